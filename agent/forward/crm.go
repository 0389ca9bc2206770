package forward

import (
	"context"
	"io"
	"strings"
	"time"

	"calljournal/agent/call"
)

// SoundFile is a recording of a call. Whoever gets it closes it.
type SoundFile struct {
	io.ReadCloser
	Name string // with its ending
	Size int64
}

// Recording opens the nth recording of a call; it fails where there is none that
// can be read.
type Recording func(ctx context.Context, r *call.Record, n int) (*SoundFile, error)

// clientCall is a call as a CRM sees it: with somebody outside.
type clientCall struct {
	*call.Record
	inbound   bool
	phone     string // of the one outside
	extension string // of the employee; "": nobody's phone was tried
	seconds   int64  // of talk
}

// clientCallOf gives false for what a CRM has no place for: calls inside the
// company, callers without a number, gaps.
func clientCallOf(e *Entry) (c clientCall, ok bool) {
	r := e.Call
	if r == nil {
		return c, false
	}
	c = clientCall{Record: r, inbound: r.Direction == call.Inbound}
	outside := r.From
	switch r.Direction {
	case call.Outbound:
		outside, c.extension = r.To, text(r.From.Extension)
	case call.Inbound:
		c.extension = employeeOf(r)
	default:
		return c, false
	}
	if c.phone = text(outside.E164); c.phone == "" {
		c.phone = text(outside.Number)
	}
	if r.TalkMs != nil {
		c.seconds = (*r.TalkMs + 500) / 1000
	}
	return c, strings.ContainsAny(c.phone, "0123456789")
}

func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// employeeOf is whose an inbound call was: of who talked last, else of the phone
// that was tried last.
func employeeOf(r *call.Record) string {
	spoke := text(r.LastTalkedBy)
	last := ""
	for i := range r.Legs {
		ext := text(r.Legs[i].Extension)
		if ext == "" || r.Legs[i].Role != call.RolePhone {
			continue
		}
		if ext == spoke {
			return ext
		}
		last = ext
	}
	if spoke != "" && last == "" {
		return spoke
	}
	return last
}

// userDefault is the key among Settings.Users for calls of nobody who has one.
const userDefault = "default"

// user is the far side's number of an employee; "": it has to know the extension.
func (s *Settings) user(extension string) string { return s.Users[extension] }

func iso(m call.Moment) string { return m.Time().UTC().Format(time.RFC3339) }
