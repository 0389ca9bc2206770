package mail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/journal"
	"calljournal/storage"
)

// settle is how long after its record a call is taken for finished: the tracker
// lets go of it after 15 s.
const settle = 20 * time.Second

const (
	mostCalls = 50  // in one mail; of the others it says how many they are
	scanMost  = 500 // entries looked at together
	scanPause = time.Second
	mostNamed = 5 // people who should have answered, queues
)

// alert is a lane's source of mail about missed calls. It follows the feed: the
// note has how far it has come, and what it gathers can be gathered again.
//
//	    Seq                     Until
//	─────┼──────────┬────────────┼───────────┬─────────────▶ feed
//	     │ gathered: in the mail │ not yet   │ not settled
//	     └── every, from the ────┘           └── settle, or after
//	         first one missed
type alert struct {
	o  *Options
	c  config.Alert
	to string

	// What was gathered between the note's Seq and at.
	at      uint64
	rows    []missedCall
	more    int         // gathered and not in rows
	firstAt call.Moment // when the first of them was settled
}

func (a *alert) begin(_ time.Time, n *note, known bool) {
	if id := a.o.Journal.Journal(); !known || n.Journal != id {
		// Of a journal that is another one, or was there before the alert, nobody
		// wants to be woken.
		n.Journal, n.Seq, n.Until = id, a.o.Journal.Head(), 0
	}
	n.Seq = min(n.Seq, a.o.Journal.Head())
	a.forget(n.Seq)
}

// forget begins to gather anew, behind an entry.
func (a *alert) forget(seq uint64) { a.at, a.rows, a.more, a.firstAt = seq, nil, 0, 0 }

// delay is from a call's record to when it is looked at.
func (a *alert) delay() time.Duration { return max(settle, a.c.After.Duration) }

func (a *alert) next(now time.Time, n *note) (*letter, rest, error) {
	r, err := a.gather(now, n)
	if err != nil {
		return nil, r, err
	}
	if a.count() == 0 {
		n.Seq, n.Until = a.at, 0
		return nil, r, nil
	}
	n.Seq = max(n.Seq, a.before()-1)
	if n.Until == 0 {
		due := a.firstAt.Time().Add(a.c.Every.Duration)
		if due.Before(now) {
			due = now
		}
		if due = a.c.QuietHours().End(due.In(a.o.Zone)); due.After(now) {
			if due.Sub(now) > 2*longestDigest { // the clock was set back
				a.firstAt = call.MomentOf(now)
			}
			return nil, rest{until: due, waiting: a.count()}, nil
		}
		// Who was called back while others were gathered is in no mail.
		n.Until = a.at
		a.forget(n.Seq)
		if r, err = a.gather(now, n); err != nil {
			return nil, r, err
		}
		if a.count() == 0 {
			n.Seq, n.Until = n.Until, 0
			return nil, rest{until: now}, nil
		}
	}
	until := n.Until
	return &letter{
		what:  fmt.Sprintf("%s: %d missed calls", a.c.Name, a.count()),
		write: func(context.Context) (*Message, error) { return a.message(until) },
		done: func(n *note) {
			n.Seq, n.Until = until, 0
			a.forget(until)
		},
	}, rest{waiting: a.count()}, nil
}

// longestDigest bounds what is waited for: a day of gathering, a day of quiet.
const longestDigest = 24 * time.Hour

func (a *alert) count() int { return len(a.rows) + a.more }

// before is the entry of the first missed call that was gathered.
func (a *alert) before() uint64 { return a.rows[0].seq }

// gather looks at what came to the feed and is settled, up to the end of the mail
// under way if there is one.
func (a *alert) gather(now time.Time, n *note) (rest, error) {
	for {
		if n.Until != 0 && a.at >= n.Until {
			return rest{}, nil
		}
		page, err := a.o.Journal.Feed(a.at, scanMost)
		if errors.Is(err, storage.ErrExpired) {
			a.o.Logger.Error("entries were dropped from the journal before an alert could look at them", "alert", a.c.Name, "from", a.at+1, "to", page.Oldest-1)
			n.Missed += page.Oldest - 1 - a.at
			a.at = page.Oldest - 1
			continue
		}
		if err != nil {
			return rest{}, err
		}
		for i := range page.Entries {
			e := &page.Entries[i]
			if n.Until != 0 && e.Seq > n.Until {
				return rest{}, nil
			}
			if left := e.At.Add(a.delay()).Sub(call.MomentOf(now)); left > 0 {
				// The clock may have been set back.
				return rest{until: now.Add(max(scanPause, min(left, a.delay())))}, nil
			}
			if err := a.look(e); err != nil {
				return rest{}, err
			}
			a.at = e.Seq
		}
		if len(page.Entries) == 0 {
			return rest{changed: true}, nil
		}
	}
}

// look takes a call that is missed since this entry, and that nobody has called back.
func (a *alert) look(e *storage.Entry) error {
	if e.Call == nil || !open(e.Call) {
		return nil
	}
	r, err := a.o.Journal.Call(e.Call.ID)
	if errors.Is(err, storage.ErrNotFound) { // erased, or part of another call
		return nil
	}
	if err != nil {
		return err
	}
	if !open(r) || !a.wants(r) {
		return nil
	}
	if r.Rev > 1 { // else there is no other revision
		news, err := a.news(e)
		if err != nil || !news {
			return err
		}
	}
	if len(a.rows) == 0 {
		a.firstAt = e.At.Add(a.delay())
	}
	if len(a.rows) >= mostCalls {
		a.more++
		return nil
	}
	a.rows = append(a.rows, missedOf(e.Seq, r))
	return nil
}

// open: the call was missed, and nobody has spoken with the caller since.
func open(r *call.Record) bool { return r.Missed && r.HealedBy == nil }

// old is how long after its end a call is no news, if it was not missed at first:
// when rules change, calls of years may become missed ones.
const old = 24 * time.Hour

// news says whether a call is mailed about because of this entry: once in its life,
// at the first of its revisions from which on it stayed open as long as an alert
// waits. What its revisions say does not change, so that another look, after a
// restart too, comes to the same.
//
//	rev 1    2       3             4
//	open   closed  open ────────▶ open          mailed because of 3
//	  └─ too short ┘ └── delay ──┘ └── the same as 3
func (a *alert) news(e *storage.Entry) (bool, error) {
	if e.Call.Rev > 1 && e.At.Sub(e.Call.EndedAt) > old {
		return false, nil
	}
	revs, err := a.o.Journal.Revisions(e.Call.ID)
	if err != nil {
		return false, err
	}
	var since call.Moment // when the stretch began in which the call is open; 0: it is not
	var first uint64      // the entry with which it began
	for i := range revs {
		rev := &revs[i]
		switch {
		case open(rev.Call) && since == 0:
			since, first = rev.At, rev.Seq
		case !open(rev.Call):
			if since != 0 && rev.At.Sub(since) >= a.delay() {
				return first == e.Seq, nil
			}
			since = 0
		}
	}
	return since != 0 && first == e.Seq, nil
}

// wants applies the filter.
func (a *alert) wants(r *call.Record) bool {
	c := &a.c
	if len(c.Queue) > 0 && !slices.ContainsFunc(r.Queues, func(q string) bool { return slices.Contains(c.Queue, q) }) {
		return false
	}
	if len(c.Line) > 0 && (r.Line == nil || !slices.Contains(c.Line, r.Line.Number) && (r.Line.Name == nil || !slices.Contains(c.Line, *r.Line.Name))) {
		return false
	}
	if len(c.Department) == 0 {
		return true
	}
	in := func(d *string) bool { return d != nil && slices.Contains(c.Department, *d) }
	return in(r.To.Department) || slices.ContainsFunc(r.Legs, func(l call.Leg) bool { return in(l.Department) })
}

// missedCall is what a mail says of one call.
type missedCall struct {
	seq                uint64
	at                 time.Time
	number, name, line string
	status             string
	abandonedIn        string
	wait               time.Duration
	queues, asked      []string // who should have answered
	askedMore          int
}

func missedOf(seq uint64, r *call.Record) missedCall {
	m := missedCall{seq: seq, at: r.StartedAt.Time(), status: r.Status}
	text := func(list ...*string) string {
		for _, s := range list {
			if s != nil && *s != "" {
				return oneLine(*s, 80)
			}
		}
		return ""
	}
	m.number, m.name, m.abandonedIn = text(r.From.E164, r.From.Number), text(r.From.Name), text(r.AbandonedIn)
	if journal.Withheld(m.number) {
		m.number = ""
	}
	if m.name == m.number || r.From.Number != nil && m.name == *r.From.Number {
		m.name = ""
	}
	if r.Line != nil {
		m.line = text(r.Line.Name, &r.Line.Number)
	}
	if r.WaitMs != nil {
		m.wait = time.Duration(*r.WaitMs) * time.Millisecond
	}
	for _, q := range r.Queues {
		if len(m.queues) < mostNamed {
			m.queues = append(m.queues, oneLine(q, 80))
		}
	}
	for i := range r.Legs {
		l := &r.Legs[i]
		if l.Role != call.RolePhone {
			continue
		}
		if who := text(l.Employee, l.Extension); who != "" && !slices.Contains(m.asked, who) {
			m.asked = append(m.asked, who)
		}
	}
	if n := len(m.asked); n > mostNamed {
		m.asked, m.askedMore = slices.Clone(m.asked[:mostNamed]), n-mostNamed
	}
	return m
}

func (a *alert) message(until uint64) (*Message, error) {
	text, html, err := alertBody(a.o.Agent, a.o.Zone, a.c, a.rows, a.more)
	if err != nil {
		return nil, err
	}
	return &Message{
		To: a.to, Subject: alertSubject(a.c.Lang, a.rows, a.more), Text: text, HTML: html, At: a.o.Now(),
		ID: fmt.Sprintf("alert %s %s %s %d", a.o.Agent, a.o.Journal.Journal(), a.c.Name, until),
	}, nil
}
