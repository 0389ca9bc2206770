package collect

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// page is an answer of GET /v1/sync, and, without the last three, what a webhook
// of an agent brings.
type page struct {
	Journal string            `json:"journal"`
	Agent   string            `json:"agent"`
	Entries []json.RawMessage `json:"entries"`
	Next    uint64            `json:"next"`
	Head    uint64            `json:"head"`
	Oldest  uint64            `json:"oldest"`
}

// entry is one entry of a feed. What a record holds is left to the database: a
// record of a later version, with more in it, is kept whole.
type entry struct {
	Seq  int64           `json:"seq"`
	At   time.Time       `json:"at"`
	Op   string          `json:"op"`
	Call json.RawMessage `json:"call"`
	Gap  json.RawMessage `json:"gap"`
	ID   string          `json:"id"`
	Into string          `json:"into"`

	rev  int64           // of Call
	text json.RawMessage // all of it
}

// readEntries reads the entries of a page and puts them in order: what an agent
// sends again after a while may come among newer ones. An entry of a kind that is
// not known here, as a later version may have, is kept too: among the refused.
func readEntries(texts []json.RawMessage) ([]entry, error) {
	out := make([]entry, len(texts))
	for i, text := range texts {
		e := &out[i]
		if err := json.Unmarshal(text, e); err != nil {
			return nil, fmt.Errorf("an entry: %w", err)
		}
		if e.Seq < 1 {
			return nil, fmt.Errorf("an entry with the number %d", e.Seq)
		}
		e.text = text
		if e.Op == "call" {
			var head struct {
				ID  string `json:"id"`
				Rev int64  `json:"rev"`
			}
			if err := json.Unmarshal(e.Call, &head); err != nil {
				return nil, fmt.Errorf("entry %d: %w", e.Seq, err)
			}
			e.ID, e.rev = head.ID, head.Rev
			e.Call = withoutNUL(e.Call)
		}
		e.Gap = withoutNUL(e.Gap)
		e.ID, e.Into = noNUL(e.ID), noNUL(e.Into)
	}
	slices.SortStableFunc(out, func(a, b entry) int { return cmp.Compare(a.Seq, b.Seq) })
	for i := 1; i < len(out); i++ {
		if out[i].Seq == out[i-1].Seq {
			return nil, fmt.Errorf("two entries with the number %d", out[i].Seq)
		}
	}
	return out, nil
}

// check says why an entry cannot be stored, before the database is asked.
func (e *entry) check() error {
	switch {
	case e.Op != "call" && e.Op != "gap" && e.Op != "delete":
		return fmt.Errorf("op %.40q is not known to this version", e.Op)
	case e.Op == "gap" && e.Gap == nil:
		return errors.New("a gap without what it is about")
	case e.Op != "gap" && e.ID == "":
		return errors.New("a call without an id")
	case e.Op == "call" && e.rev < 1:
		return errors.New("a call without a rev")
	}
	return nil
}

var nul, replaced = []byte(`\u0000`), []byte(`\ufffd`)

// withoutNUL replaces the one character that a caller's name may hold and
// PostgreSQL cannot. The text is JSON: the character is written as an escape.
func withoutNUL(text json.RawMessage) json.RawMessage {
	if !bytes.Contains(text, nul) {
		return text
	}
	out := bytes.Clone(text)
	for i := 0; i < len(out); i++ {
		if out[i] != '\\' {
			continue
		}
		if bytes.HasPrefix(out[i:], nul) {
			copy(out[i:], replaced)
		}
		i++ // what is escaped, a backslash perhaps
	}
	return out
}

func noNUL(s string) string {
	return string(bytes.ReplaceAll([]byte(s), []byte{0}, []byte("\uFFFD")))
}

// number takes a count of the other side's for the database.
func number(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
