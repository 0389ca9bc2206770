package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"calljournal/agent/access"
	"calljournal/agent/api"
	"calljournal/agent/mail"
	"calljournal/agent/report"
)

// mailEndsWithin is what mail gets at the end, besides what the links take.
const mailEndsWithin = 2 * time.Second

func (a *Agent) newMailings() *mail.Mailings {
	c := a.o.Config
	m, err := mail.New(mail.Options{
		Agent: c.Agent.Name, Path: filepath.Join(c.Agent.DataDir, "mail.json"), Journal: a.store, Zone: c.Agent.Location(),
		Document: a.document, Logger: a.log, Now: a.now,
	})
	if err != nil {
		a.log.Error("what was mailed is not known", "err", err)
	}
	return m
}

// document makes what a report is mailed with: whom the configuration names sees
// everything.
func (a *Agent) document(ctx context.Context, r mail.Report) (*mail.Document, error) {
	period, err := report.PeriodOf(r.Period, r.At)
	if err != nil {
		return nil, err
	}
	in, err := api.ReportInputOf(r.Filter)
	if err != nil {
		return nil, err
	}
	in.Period, in.Format, in.Language = r.Period, r.Format, r.Lang
	d, err := a.server.Report(ctx, access.Role{Scope: access.ScopeAdmin}, in, r.At)
	if err != nil {
		return nil, err
	}
	return &mail.Document{Name: d.Name, ContentType: d.ContentType, Body: d.Bytes, From: period.From, To: period.To, Total: d.Total}, nil
}

// mailStatus adds the mailings, and what is wrong with them: one line for each
// report and alert, however many addresses it goes to.
func (a *Agent) mailStatus(st *api.Status) {
	type one struct{ kind, name string }
	stuck, aside := map[one]int{}, map[one]int{}
	var order []one
	first := map[one]mail.Status{}
	for _, m := range a.mailings.Status() {
		s := api.Mailing{
			Kind: m.Kind, Name: m.Name, To: m.To, State: m.State, NextAt: m.Next, Waiting: m.Waiting, SentAt: m.SentAt, Since: m.Since, Error: m.Error,
			NextTry: m.NextTry, Tries: m.Tries, Aside: []api.MailAside{}, Missed: m.Missed, Sent: m.Sent, Failed: m.Failed,
		}
		for _, x := range m.Aside {
			s.Aside = append(s.Aside, api.MailAside(x))
		}
		st.Mailings = append(st.Mailings, s)
		of := one{m.Kind, m.Name}
		if _, known := first[of]; !known {
			order = append(order, of)
			first[of] = m
		}
		if m.State == mail.StateStuck {
			if stuck[of]++; stuck[of] == 1 {
				first[of] = m
			}
		}
		aside[of] += len(m.Aside)
		if m.Missed > 0 {
			st.AddWarning("alert_missed", fmt.Sprintf("alert %s: %d entries were dropped from the journal before it looked at them", m.Name, m.Missed),
				"name", m.Name, "count", fmt.Sprint(m.Missed))
		}
	}
	for _, of := range order {
		if n := stuck[of]; n > 0 {
			m := first[of]
			since := m.Since.Time().Format(time.RFC3339)
			st.AddProblem("mail_stuck", fmt.Sprintf("%s %s: not mailed to %d addresses since %s, %d tries: %s", of.kind, of.name, n, since, m.Tries, m.Error),
				"kind", of.kind, "name", of.name, "count", fmt.Sprint(n), "since", since, "tries", fmt.Sprint(m.Tries), "error", m.Error)
		}
		if n := aside[of]; n > 0 {
			st.AddWarning("mail_aside", fmt.Sprintf("%s %s: %d mails were refused or given up: see calljournal mail list", of.kind, of.name, n),
				"kind", of.kind, "name", of.name, "count", fmt.Sprint(n))
		}
	}
}

// outgoing is what the interface may do with mail.
type outgoing struct {
	*mail.Mailings
	agent string
}

// SendReport implements api.Outgoing.
func (o outgoing) SendReport(ctx context.Context, name string) ([]api.MailSent, error) {
	sent, err := o.SendNow(ctx, name)
	if errors.Is(err, mail.ErrUnknown) {
		return nil, fmt.Errorf("%w: %w", api.ErrNotFound, err)
	}
	return became(sent), err
}

// MailReport implements api.Outgoing. The subject names the journal, as there is no
// other name.
func (o outgoing) MailReport(ctx context.Context, r api.MailedReport) ([]api.MailSent, error) {
	d := r.Document
	sent, err := o.Send(ctx, mail.Report{Name: o.agent, Lang: r.Language, At: r.At},
		&mail.Document{Name: d.Name, ContentType: d.ContentType, Body: d.Bytes, From: r.Period.From, To: r.Period.To, Total: d.Total}, r.To)
	if errors.Is(err, mail.ErrNoServer) {
		return nil, api.ErrNoMail
	}
	return became(sent), err
}

func became(sent []mail.Sent) []api.MailSent {
	out := make([]api.MailSent, 0, len(sent))
	for _, s := range sent {
		out = append(out, api.MailSent(s))
	}
	return out
}
