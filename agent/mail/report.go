package mail

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/config"
)

// Report says which document is wanted.
type Report struct {
	Name, Format, Lang string
	Period             string     // the word, as it is at At
	Filter             url.Values // as GET /v1/calls has it, without a period
	At                 time.Time
}

// report is a lane's source of reports.
type report struct {
	o  *Options
	c  config.Report
	to string
}

func (r *report) begin(now time.Time, n *note, known bool) {
	at := call.MomentOf(now)
	if text := r.c.Schedule().String(); !known || n.Schedule != text {
		// What the schedule would have said before it was there is nobody's report.
		n.Schedule, n.At, n.Due = text, max(n.At, at), 0
	}
	if n.At.Sub(at) > 24*time.Hour {
		r.o.Logger.Warn("a report was mailed in the future, which the clock must have shown: it goes on from now", "report", r.c.Name, "at", n.At.Time())
		n.At, n.Due = at, 0
	}
}

func (r *report) next(now time.Time, n *note) (*letter, rest, error) {
	s := r.c.Schedule()
	now = now.In(r.o.Zone)
	last := n.At.Time().In(r.o.Zone)
	if n.Due == 0 {
		due := s.Latest(last, now)
		if due.IsZero() {
			return nil, rest{until: s.Next(last)}, nil
		}
		if first := s.Next(last); first.Before(due) {
			r.o.Logger.Warn("reports whose time came while nothing could be mailed are left out, but for the last one", "report", r.c.Name, "first", first, "mailed", due)
		}
		n.Due = call.MomentOf(due)
	}
	due := n.Due
	return &letter{
		what:  r.c.Name + " " + due.Time().In(r.o.Zone).Format("2006-01-02 15:04"),
		old:   s.Next(due.Time().In(r.o.Zone)),
		write: func(ctx context.Context) (*Message, error) { return r.write(ctx, due.Time()) },
		done:  func(n *note) { n.At, n.Due = max(n.At, due), 0 },
	}, rest{}, nil
}

// write makes the mail of one moment of the schedule.
func (r *report) write(ctx context.Context, due time.Time) (*Message, error) {
	d, about, err := r.document(ctx, due)
	if err != nil {
		return nil, err
	}
	return r.message(about, d)
}

func (r *report) document(ctx context.Context, due time.Time) (*Document, Report, error) {
	about := Report{Name: r.c.Name, Format: r.c.Format, Lang: r.c.Lang, Period: r.c.Period, Filter: r.c.Filter.Values(), At: due.In(r.o.Zone)}
	d, err := r.o.Document(ctx, about)
	if err != nil {
		return nil, about, fmt.Errorf("make the report: %w", err)
	}
	return d, about, nil
}

func (r *report) message(about Report, d *Document) (*Message, error) {
	text, html, err := reportBody(r.o.Agent, about, d)
	if err != nil {
		return nil, err
	}
	return &Message{
		To: r.to, Subject: reportSubject(about, d), Text: text, HTML: html, Attached: d, At: r.o.Now(),
		ID: fmt.Sprintf("report %s %s %d", r.o.Agent, about.Name, about.At.UnixMilli()),
	}, nil
}
