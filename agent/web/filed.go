package web

import (
	"net/url"
	"strconv"

	"calljournal/agent/api"
)

// filedPage is a list of what calls left: messages in mailboxes, or faxes.
type filedPage struct {
	Period     period
	Number     string
	Masked     bool // no search by digits, and no fax that names its station
	Mailbox    string
	Directions []choice // of faxes
	Direction  string
	Messages   []api.Message
	Faxes      []api.Fax
	Newest     string // address of the first page, "" on the first
	Older      string // of the next, "" on the last
}

const filedLimit = 50

// filed reads what both lists can be asked for.
func (v *visit) filed() (p *filedPage, ask url.Values, err error) {
	q := v.URL.Query()
	p = &filedPage{Number: q.Get("number"), Masked: v.User.MaskNumbers}
	if p.Period, err = v.period(allTime); err != nil {
		return nil, nil, err
	}
	ask = url.Values{"limit": {strconv.Itoa(filedLimit)}}
	for _, name := range []string{"number", "cursor"} {
		if text := q.Get(name); text != "" {
			ask.Set(name, text)
		}
	}
	p.Period.ask(ask)
	if ask.Has("cursor") {
		p.Newest = v.with("cursor", "")
	}
	return p, ask, nil
}

func (v *visit) older(cursor *string) string {
	if cursor == nil {
		return ""
	}
	return v.with("cursor", *cursor)
}

func (s *Site) voicemail(v *visit) (any, error) {
	p, ask, err := v.filed()
	if err != nil {
		return nil, err
	}
	if p.Mailbox = v.URL.Query().Get("mailbox"); p.Mailbox != "" {
		ask.Set("mailbox", p.Mailbox)
	}
	page, err := v.Client.Voicemail(v.Context(), ask)
	p.Messages, p.Older = page.Voicemail, v.older(page.Cursor)
	return p, err
}

func (s *Site) faxes(v *visit) (any, error) {
	p, ask, err := v.filed()
	if err != nil {
		return nil, err
	}
	p.Direction = v.URL.Query().Get("direction")
	if p.Direction != "" {
		ask.Set("direction", p.Direction)
	}
	for _, word := range []string{"", "received", "sent"} {
		p.Directions = append(p.Directions, choice{word, v.with("cursor", "", "direction", word), word == p.Direction})
	}
	page, err := v.Client.Faxes(v.Context(), ask)
	p.Faxes, p.Older = page.Faxes, v.older(page.Cursor)
	return p, err
}
