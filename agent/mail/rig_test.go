package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/journal"
	"calljournal/storage"
)

func ptr[T any](v T) *T { return &v }

// post is a mail server that answers as it is told, and keeps what it took.
type post struct {
	mu     sync.Mutex
	answer func(m *Message, try int) error
	tries  int
	took   []*Message
	at     []time.Time // of every try
}

func (p *post) Send(_ context.Context, m *Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries++
	p.at = append(p.at, time.Now())
	var err error
	if p.answer != nil {
		err = p.answer(m, p.tries)
	}
	if err == nil || errors.Is(err, errLost) {
		p.took = append(p.took, m)
	}
	return err
}

var (
	errDown = errors.New("connection refused")
	errLost = errors.New("the answer was lost")
	refusal = &Refused{errors.New(`550 "no such user"`)}
)

func (p *post) set(answer func(m *Message, try int) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *post) mails() []*Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.took)
}

func (p *post) subjects() []string {
	var out []string
	for _, m := range p.mails() {
		out = append(out, m.To+": "+m.Subject)
	}
	return out
}

// rig is a journal, a mail server, and what mails between them. It is made in a
// bubble, whose clock begins with the year 2000 in UTC.
type rig struct {
	t      *testing.T
	path   string
	zone   *time.Location
	db     *storage.DB
	post   *post
	m      *Mailings
	log    bytes.Buffer
	mu     sync.Mutex
	n      int
	broken error // of documents
	asked  []Report
}

func (r *rig) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, path: t.TempDir(), zone: time.UTC, post: &post{}}
	db, err := storage.Open(filepath.Join(r.path, "journal.db"), storage.Options{Reserve: -1, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	r.db = db
	t.Cleanup(func() {
		if r.m != nil {
			r.end()
		}
		_ = r.db.Close()
	})
	return r
}

// at lets time go by until the clock of the zone shows this.
func (r *rig) at(clock string) {
	r.t.Helper()
	t, err := time.ParseInLocation("2006-01-02 15:04:05", clock, r.zone)
	if err != nil {
		r.t.Fatal(err)
	}
	d := time.Until(t)
	if d < 0 {
		r.t.Fatalf("%s has been", clock)
	}
	pass(d)
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) start(reports []config.Report, alerts []config.Alert) {
	r.t.Helper()
	m, err := New(Options{
		Agent: "office", Path: filepath.Join(r.path, "mail.json"), Journal: r.db, Zone: r.zone, Now: time.Now,
		Logger: slog.New(slog.NewTextHandler(r, nil)), Open: func(config.Mail) Sender { return r.post },
		Document: func(_ context.Context, about Report) (*Document, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.asked = append(r.asked, about)
			if r.broken != nil {
				return nil, r.broken
			}
			day := time.Date(about.At.Year(), about.At.Month(), about.At.Day(), 0, 0, 0, 0, about.At.Location())
			return &Document{Name: "report.pdf", ContentType: "application/pdf", Body: []byte("%PDF"), Total: journal.Figures{Inbound: 7, Missed: 3}, From: day.AddDate(0, 0, -1), To: day}, nil
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.m = m
	m.Apply(config.Mail{Server: "smtp.example:25"}, reports, alerts)
	synctest.Wait()
}

func (r *rig) end() {
	r.t.Helper()
	select {
	case <-r.m.End():
	case <-time.After(time.Minute):
		r.t.Fatal("the mailings do not end")
	}
	r.m = nil
}

// missed commits a missed call from a number.
func (r *rig) missed(number string, change ...func(*call.Record)) *call.Record {
	r.t.Helper()
	r.n++
	now := call.MomentOf(time.Now())
	c := &call.Record{
		ID: fmt.Sprintf("main:1700000000.%d", r.n), Rev: 1, Agent: "office", PBX: "main", PBXKind: "asterisk", PBXIDs: []string{"1"},
		Direction: call.Inbound, Origin: call.OriginDialled, Status: call.StatusAbandoned, Missed: true, AbandonedIn: ptr("queue"),
		From: call.Party{Number: ptr(number), Name: ptr("Иван")}, To: call.Party{Number: ptr("74951230101")},
		Line:      &call.Line{Number: "74951230101", Name: ptr("Сайт")},
		StartedAt: now.Add(-30 * time.Second), EndedAt: now, WaitMs: ptr(int64(30000)), TotalMs: ptr(int64(30000)),
		Queues: []string{"sales"}, Transfers: []call.Transfer{}, Timeline: []call.Span{}, Recordings: []call.Recording{},
		Legs:  []call.Leg{{Channel: "SIP/101", Extension: ptr("101"), Employee: ptr("Анна"), Department: ptr("Продажи"), Role: call.RolePhone, Result: "no_answer"}},
		Types: []string{"unique"}, Tags: []string{}, Quality: call.QualityComplete, Doubts: []string{},
	}
	for _, ch := range change {
		ch(c)
	}
	r.commit(c)
	return c
}

func (r *rig) commit(c *call.Record) {
	r.t.Helper()
	if err := r.db.Commit(&storage.Batch{Entries: []storage.Entry{{Op: storage.OpCall, Call: c}}}); err != nil {
		r.t.Fatal(err)
	}
}

// healed commits that a missed caller was spoken with.
func (r *rig) healed(c *call.Record) {
	r.t.Helper()
	next := *c
	next.Rev++
	next.HealedBy, next.Types = ptr("main:1700009999.1"), []string{"unique", "called_back"}
	r.commit(&next)
}

func (r *rig) want(want ...string) {
	r.t.Helper()
	if got := r.post.subjects(); !slices.Equal(got, want) {
		r.t.Errorf("at %s mailed\n\t%s\nwant\n\t%s", time.Now().In(r.zone).Format(time.DateTime), strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func (r *rig) status(name string) Status {
	r.t.Helper()
	all := r.m.Status()
	i := slices.IndexFunc(all, func(s Status) bool { return s.Name == name })
	if i < 0 {
		r.t.Fatalf("no %s in %+v", name, all)
	}
	return all[i]
}

func reportOf(t *testing.T, lines string) config.Report {
	t.Helper()
	return configOf(t, "[[report]]\nname = \"daily\"\nperiod = \"yesterday\"\nto = [\"boss@company.example\"]\n"+lines).Report[0]
}

func alertOf(t *testing.T, lines string) config.Alert {
	t.Helper()
	return configOf(t, "[[alert]]\nname = \"missed\"\nto = [\"boss@company.example\"]\n"+lines).Alert[0]
}

// configOf reads a configuration as a daemon does.
func configOf(t *testing.T, lines string) *config.Config {
	t.Helper()
	c, err := config.Parse("calljournal.toml", []byte(`
[[pbx]]
name = "main"
kind = "asterisk"
address = "127.0.0.1:5038"
username = "calljournal"
secret = "s3cret"
[mail]
server = "smtp.example:25"
from = "journal@company.example"
`+lines), config.Env{Getenv: func(string) string { return "" }, Hostname: func() (string, error) { return "office", nil }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
