package report_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"
	"calljournal/agent/report"
)

// memory is a journal that is a list of calls.
type memory struct {
	calls []*call.Record
	zone  *time.Location
	rules journal.Rules
	seq   uint64
	grows uint64 // by so much whenever it is asked where the feed ends
}

// office is a company with its calls of some days, judged.
func office(t testing.TB, o journaltest.Options) *memory {
	t.Helper()
	company := journaltest.NewCompany()
	directory := journal.NewDirectory("RU", company.Employees, company.Lines)
	m := &memory{zone: o.Zone, rules: journal.DefaultRules(), seq: 12_345}
	end := call.Moment(0)
	for r := range journaltest.Generate(o) {
		directory.Enrich(r)
		m.calls, end = append(m.calls, r), r.EndedAt
	}
	verdicts := journaltest.Verdicts(m.calls, m.rules, journal.NewSpamList(directory, nil, company.Spam), end)
	for _, r := range m.calls {
		v := verdicts[r.ID]
		r.Types, r.Missed = v.Types, v.Missed
		if r.HealedBy = nil; v.HealedBy != "" {
			r.HealedBy = &v.HealedBy
		}
	}
	return m
}

func (m *memory) Rules() journal.Rules { return m.rules }

func (m *memory) Position() (string, uint64) {
	m.seq += m.grows
	return "j7k2m9xq", m.seq
}

func (m *memory) in(p report.Period, c *call.Record) bool {
	at := c.StartedAt.Time()
	return (p.From.IsZero() || !at.Before(p.From)) && (p.To.IsZero() || at.Before(p.To))
}

func (m *memory) Rows(_ context.Context, p report.Period, tables []report.Table) ([][]journal.Row, error) {
	var out [][]journal.Row
	for _, t := range tables {
		s := journal.NewSheet(journal.NewCalendar(m.zone), m.rules, t.By, t.Step)
		for _, c := range m.calls {
			if m.in(p, c) {
				s.AddCall(c)
			}
		}
		out = append(out, s.Rows())
	}
	return out, nil
}

func (m *memory) Missed(_ context.Context, p report.Period, n int) (callers []*journal.MissedCaller, more bool, err error) {
	fates := []string{"called_back", "came_back", "lost"}
	for _, c := range slices.Backward(m.calls) {
		if !c.Missed || !m.in(p, c) || slices.ContainsFunc(c.Types, func(t string) bool { return slices.Contains(fates, t) }) {
			continue
		}
		if len(callers) == n {
			return callers, true, nil
		}
		missed := journal.MissedCall{ID: c.ID, StartedAt: c.StartedAt, Line: c.Line, Queues: c.Queues}
		for _, l := range c.Legs {
			if l.Extension != nil {
				missed.Asked = append(missed.Asked, journal.Asked{Extension: *l.Extension, Employee: l.Employee})
			}
		}
		callers = append(callers, &journal.MissedCaller{
			Number: c.From.Number, E164: c.From.E164, Name: c.From.Name, State: journal.StateOpen, Times: 1, FirstAt: c.StartedAt, LastAt: c.StartedAt,
			Calls: []journal.MissedCall{missed}, LostAt: c.EndedAt.Add(m.rules.LostWindow),
		})
	}
	return callers, false, nil
}
