package api

import (
	"encoding/json"
	"strconv"

	"calljournal/storage"
)

// appendPage writes a page of the feed. It is written by hand around the
// records because a page is most of what a central server ever asks for.
func appendPage(b []byte, journal, agent string, p *storage.Page) ([]byte, error) {
	b = append(b, `{"journal":`...)
	b = appendString(b, journal)
	b = append(b, `,"agent":`...)
	b = appendString(b, agent)
	b = append(b, `,"entries":[`...)
	for i := range p.Entries {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendEntry(b, &p.Entries[i]); err != nil {
			return nil, err
		}
	}
	b = append(b, `],"next":`...)
	b = strconv.AppendUint(b, p.Next, 10)
	b = append(b, `,"head":`...)
	b = strconv.AppendUint(b, p.Head, 10)
	b = append(b, `,"oldest":`...)
	b = strconv.AppendUint(b, p.Oldest, 10)
	return append(b, "}\n"...), nil
}

func appendEntry(b []byte, e *storage.Entry) ([]byte, error) {
	line, err := json.Marshal(feedEntry{Seq: e.Seq, At: e.At, Op: e.Op, Call: e.Call, Gap: e.Gap, ID: e.ID, Into: e.Into})
	return append(b, line...), err
}

func appendString(b []byte, s string) []byte {
	q, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...)
	}
	return append(b, q...)
}
