package browsertest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"calljournal/agent"
	"calljournal/agent/access"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"
	"calljournal/connectors/replay"
	"calljournal/storage"
)

const password = "correct horse battery"

// roles are who may sign in.
var roles = map[string]access.Role{
	"admin":   {Scope: access.ScopeAdmin},
	"manager": {Scope: access.ScopeJournal},
	"sales":   {Scope: access.ScopeJournal, Department: "Продажи"},
	"masked":  {Scope: access.ScopeJournal, MaskNumbers: true},
}

// office is a daemon beside a PBX, and what it has of two weeks.
type office struct {
	t    *testing.T
	dir  string
	base string // of its pages
	pbx  *replay.Server
	ctx  context.Context
}

// officeOptions say what is in an office beside its people.
type officeOptions struct {
	calls   int                 // of the last two weeks, made by journaltest
	more    []*call.Record      // beside those
	played  []*replay.Recording // what the PBX says once it is there, one after the other
	speed   float64
	numbers map[string]string // see replay.Rewrite
	config  string            // more of it
}

// newOffice starts the daemon. Its PBX is dialled, but does not answer before play.
func newOffice(t *testing.T, o officeOptions) *office {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes its time")
	}
	f := &office{t: t, dir: t.TempDir()}
	if len(o.played) == 0 {
		o.played = []*replay.Recording{recording(t, "in_answered_1")}
	}
	var at time.Duration
	var round uint32
	programme := func() (replay.Track, bool) {
		if int(round) == len(o.played) {
			return replay.Track{}, false
		}
		r := o.played[round]
		round++
		track := replay.Track{Recording: r, At: at, Round: round, Numbers: o.numbers}
		at += r.Duration() + 200*time.Millisecond
		return track, true
	}
	var err error
	f.pbx, err = replay.Listen(replay.Asterisk, programme, replay.Options{User: "calljournal", Secret: "of the PBX", Speed: o.speed, Lead: 100 * time.Millisecond})
	f.must(err)
	for _, d := range []string{"data", "monitor", "voicemail", "fax"} {
		f.must(os.Mkdir(f.path(d), 0o700))
	}
	f.people()
	f.fill(o)
	file := f.path("calljournal.toml")
	f.must(os.WriteFile(file, []byte(f.config()+o.config), 0o600))
	c, err := config.Load(file, config.OSEnv())
	f.must(err)
	log := slog.New(slog.NewTextHandler(f.t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	daemon, err := agent.New(agent.Options{Config: c, Logger: log, Version: "0.0.0-test"})
	f.must(err)
	f.base = "http://" + daemon.Addr().String()
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	f.ctx = ctx
	ended := make(chan error, 1)
	go func() { ended <- daemon.Run(ctx) }()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Error("the daemon: ", err)
		}
	})
	// A journal that another daemon filled is settled anew: that is over first.
	eventually(t, "the journal is settled", func() bool {
		st, err := daemon.Status(ctx)
		return err == nil && st.Review.EndedAt != 0
	})
	return f
}

func (f *office) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *office) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// eventually waits until something is so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for end := time.Now().Add(patience); !ok(); <-ticker.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// play lets the PBX answer and the programme begin.
func (f *office) play() {
	ctx, end := context.WithCancel(context.WithoutCancel(f.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- f.pbx.Run(ctx) }()
	f.t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			f.t.Error("the PBX: ", err)
		}
	})
}

// visit opens a browser for one of the people and signs in.
func (f *office) visit(t *testing.T, who, language string) *tab {
	t.Helper()
	b := newTab(t, f.base, language)
	b.signIn(who)
	return b
}

func (f *office) people() {
	users, err := people()
	f.must(err)
	f.write("data/users.json", users)
}

// people is the file of those who may sign in. It is made once: a password takes
// its time, and is meant to.
var people = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "browsertest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	users, err := access.OpenUsers(filepath.Join(dir, "users.json"), time.Now)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		if err := users.Add(name, roles[name], password); err != nil {
			return nil, err
		}
	}
	return os.ReadFile(filepath.Join(dir, "users.json"))
})

// config is the configuration of journaltest's company.
func (f *office) config() string {
	var b strings.Builder
	table := func(head string, pairs ...string) {
		fmt.Fprintln(&b, head)
		for i := 0; i < len(pairs); i += 2 {
			value, err := json.Marshal(pairs[i+1]) // a JSON string is a TOML one
			f.must(err)
			fmt.Fprintf(&b, "%s = %s\n", pairs[i], value)
		}
	}
	table("[agent]", "name", "office-1", "data_dir", f.path("data"), "socket", f.path("control.sock"), "timezone", "UTC")
	table("[http]", "listen", "127.0.0.1:0")
	table("[[http.token]]", "name", "program", "scope", "admin", "token", "a-token-of-a-program-of-ours")
	table("[[pbx]]", "name", "main", "kind", "asterisk", "address", f.pbx.Addr(), "username", "calljournal", "secret", "of the PBX",
		"recordings_dir", f.path("monitor"), "voicemail_dir", f.path("voicemail"), "fax_dir", f.path("fax"))
	company := journaltest.NewCompany()
	for _, e := range company.Employees {
		table("[[employee]]", "extension", e.Extension, "name", e.Name, "department", e.Department)
	}
	for _, l := range company.Lines {
		table("[[line]]", "number", l.Number, "name", l.Name, "source", l.Source)
	}
	return b.String()
}

// fill makes the journal that the daemon finds.
func (f *office) fill(o officeOptions) {
	db, err := storage.Open(f.path("data/journal.db"), storage.Options{Agent: "office-1", NoSync: true, Now: time.Now})
	f.must(err)
	f.must(fill(db, journaltest.Options{Seed: 6, Calls: o.calls, Days: 14, Hostile: 25}, o.more...))
	f.must(db.Close())
}

// fill puts the calls of journaltest's company into a journal, those of the days
// up to now, and more.
func fill(db *storage.DB, o journaltest.Options, more ...*call.Record) error {
	company := journaltest.NewCompany()
	directory := journal.NewDirectory("RU", company.Employees, company.Lines)
	now := time.Now()
	o.Start = now.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1-o.Days)
	var batch storage.Batch
	commit := func() error {
		if len(batch.Entries) == 0 {
			return nil
		}
		err := db.Commit(&batch)
		batch = storage.Batch{}
		return err
	}
	put := func(r *call.Record) {
		directory.Enrich(r)
		batch.Entries = append(batch.Entries, storage.Entry{Op: storage.OpCall, Call: r})
	}
	if o.Calls > 0 {
		for r := range journaltest.Generate(o) {
			if r.EndedAt.Time().After(now) {
				break // in order of their end
			}
			if put(r); len(batch.Entries) == 2000 {
				if err := commit(); err != nil {
					return err
				}
			}
		}
	}
	for _, r := range more {
		put(r)
	}
	return commit()
}

// recording is one of those that the program carries with it.
func recording(t *testing.T, name string) *replay.Recording {
	t.Helper()
	all, err := replay.Demo(replay.Asterisk)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(r *replay.Recording) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("there is no recording %s", name)
	}
	return all[i]
}

// calls under way in a test's own hand. ago is how long ago they began.

func newCall(n int, ago time.Duration) *call.Record {
	began := time.Now().Add(-ago).Truncate(time.Second)
	uid := fmt.Sprintf("%d.%d", began.Unix(), 1_000_000+n)
	at := func(seconds int) call.Moment { return call.MomentOf(began.Add(time.Duration(seconds) * time.Second)) }
	r := &call.Record{
		ID: "main:" + uid, Rev: 1, Agent: "office-1", PBX: "main", PBXKind: "asterisk", PBXIDs: []string{uid},
		Direction: call.Inbound, Origin: call.OriginDialled, Quality: call.QualityComplete,
		From: call.Party{Number: new("+79161234567")}, To: call.Party{Number: new("74951230101")},
		Line: &call.Line{Number: "74951230101"}, Trunk: new("trunk-provider"),
		StartedAt: at(0), PBXAnsweredAt: at(1), RingingAt: at(20), AnsweredAt: at(25), EndedAt: at(60),
		Status: call.StatusAnswered, EndedBy: new("caller"), Cause: &call.Cause{Q850: 16, Text: "Normal Clearing"},
		WaitMs: new(int64(25_000)), TotalWaitMs: new(int64(25_000)), IVRMs: new(int64(10_000)), QueueMs: new(int64(14_000)), RingMs: new(int64(5_000)),
		TalkMs: new(int64(35_000)), HoldMs: new(int64(5_000)), TotalMs: new(int64(60_000)), AnsweredBy: new("101"), LastTalkedBy: new("102"),
		Queues: []string{"sales"}, Types: []string{}, Tags: []string{}, Doubts: []string{},
		Legs: []call.Leg{
			{Channel: fmt.Sprintf("PJSIP/trunk-provider-%08x", n), Number: new("+79161234567"), Role: call.RoleCaller, StartedAt: at(0), EndedAt: at(60), TalkMs: new(int64(35_000)), Result: "answered"},
			{Channel: fmt.Sprintf("PJSIP/101-%08x", n), Number: new("101"), Extension: new("101"), Role: call.RolePhone, Queue: new("sales"), StartedAt: at(19), RingingAt: at(20), AnsweredAt: at(25), EndedAt: at(45), RingMs: new(int64(5_000)), TalkMs: new(int64(20_000)), Result: "answered"},
			{Channel: fmt.Sprintf("PJSIP/103-%08x", n), Number: new("103"), Extension: new("103"), Role: call.RolePhone, Queue: new("sales"), StartedAt: at(19), RingingAt: at(20), EndedAt: at(25), RingMs: new(int64(5_000)), TalkMs: new(int64(0)), Result: "answered_elsewhere"},
			{Channel: fmt.Sprintf("PJSIP/102-%08x", n), Number: new("102"), Extension: new("102"), Role: call.RoleConsultation, StartedAt: at(40), RingingAt: at(40), AnsweredAt: at(42), EndedAt: at(60), RingMs: new(int64(2_000)), TalkMs: new(int64(15_000)), Result: "answered"},
		},
		Transfers: []call.Transfer{{Type: "attended", By: new("101"), To: new("102"), At: at(45), Answered: new(true)}},
		Timeline: []call.Span{
			{Kind: "wait", From: at(0), To: at(1)}, {Kind: "ivr", From: at(1), To: at(11)}, {Kind: "queue", From: at(11), To: at(25), Party: new("sales")},
			{Kind: "talk", From: at(25), To: at(40), Party: new("101")}, {Kind: "hold", From: at(40), To: at(45), Party: new("101")}, {Kind: "talk", From: at(45), To: at(60), Party: new("102")},
		},
		Recordings: []call.Recording{},
	}
	return r
}

// unanswered makes a call one that nobody took.
func unanswered(r *call.Record, number, status string) *call.Record {
	r.From = call.Party{Number: &number}
	r.Legs[0].Number = &number
	r.Status, r.Missed = status, true
	if status == call.StatusAbandoned {
		r.AbandonedIn = new("queue")
	}
	r.AnsweredAt, r.AnsweredBy, r.LastTalkedBy, r.Transfers = 0, nil, nil, []call.Transfer{}
	r.EndedAt = r.Timeline[2].To
	r.Timeline = r.Timeline[:3]
	r.TalkMs, r.HoldMs, r.TotalMs = new(int64(0)), new(int64(0)), new(int64(25_000))
	r.Legs = r.Legs[:3]
	for i := range r.Legs {
		l := &r.Legs[i]
		l.AnsweredAt, l.EndedAt, l.TalkMs, l.Result = 0, r.EndedAt, new(int64(0)), "no_answer"
	}
	return r
}

// recorded gives a call a recording, as MixMonitor names it.
func (f *office) recorded(r *call.Record, seconds int) {
	name := fmt.Sprintf("in-74951230101-79161234567-%s-%s.wav", r.StartedAt.Time().Format("20060102-150405"), r.PBXIDs[0])
	f.write("monitor/"+name, wav(seconds))
}

// withMessage makes a call one that left a message, leftMessage lays that down as
// Asterisk does.
func withMessage(r *call.Record) *call.Record {
	r = unanswered(r, "+79160000002", call.StatusVoicemail)
	r.Voicemail = &call.VoicemailEntry{Mailbox: "102"}
	return r
}

func (f *office) leftMessage(r *call.Record, seconds int) {
	f.write("voicemail/default/102/INBOX/msg0000.txt", fmt.Appendf(nil, "[message]\norigmailbox=102\ncontext=in\nexten=102\ncallerchan=%s\ncallerid=%s\norigtime=%d\nmsg_id=%d-00000001\nduration=%d\n",
		r.Legs[0].Channel, *r.From.Number, r.EndedAt.Time().Unix(), r.EndedAt.Time().Unix(), seconds))
	f.write("voicemail/default/102/INBOX/msg0000.wav", wav(seconds))
}

// withFax makes a call a fax, received lays its pages down.
func withFax(r *call.Record) *call.Record {
	r.Status, r.Transfers = call.StatusFax, []call.Transfer{}
	r.Fax = &call.FaxEntry{Direction: "received", Station: new("+7 495 000-00-01"), Pages: new(int64(3)), Result: new("SUCCESS"), File: new("fax-" + r.PBXIDs[0] + ".tif")}
	return r
}

func (f *office) received(r *call.Record) { f.write("fax/"+*r.Fax.File, tiff) }

// tiff is as much of a fax as a journal looks at.
var tiff = []byte("II*\x00\x08\x00\x00\x00")

// cut is a recording up to a moment: its calls go on, for the PBX says no more.
func cut(r *replay.Recording, at time.Duration) *replay.Recording {
	short, size := *r, 0
	short.Chunks = nil
	for _, c := range r.Chunks {
		if c.At > at {
			break
		}
		short.Chunks = append(short.Chunks, c)
		size += c.Bytes
	}
	short.Stream = r.Stream[:size]
	return &short
}

// named is the recording of a caller with another name, up to a moment.
func named(t *testing.T, name string, at time.Duration) *replay.Recording {
	t.Helper()
	const was = "Иван Петров"
	r := cut(recording(t, "name_cyrillic"), at)
	said := bytes.ReplaceAll(r.Stream, []byte(was), []byte(name))
	if bytes.Equal(said, r.Stream) {
		t.Fatalf("the recording has no %s", was)
	}
	r.Stream = said
	return r
}

func (f *office) write(name string, content []byte) {
	f.must(os.MkdirAll(filepath.Dir(f.path(name)), 0o700))
	f.must(os.WriteFile(f.path(name), content, 0o600))
}

// wav is a tone.
func wav(seconds int) []byte {
	const rate = 8000
	n := seconds * rate * 2
	b := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(36+n))
	b = append(b, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"...)
	b = binary.LittleEndian.AppendUint32(b, rate)
	b = binary.LittleEndian.AppendUint32(b, rate*2)
	b = append(b, "\x02\x00\x10\x00data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	for i := range seconds * rate {
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(3000*math.Sin(2*math.Pi*440*float64(i)/rate))))
	}
	return b
}

// hostile is a name as nobody has it: each way that markup, an address or a style
// could become a script.
const hostile = `"'><script>window.__pwned=1;alert(1)</script><img src=x onerror="window.__pwned=2;alert(2)"><svg onload="window.__pwned=3"></svg>` +
	`<a href="javascript:window.__pwned=4" autofocus onfocus="window.__pwned=5">x</a>{{7*7}}</title></textarea></style><style>*{display:none}</style>`

// everywhere puts a text into every field of a record in which a PBX, and so a
// caller, may have put it.
func everywhere(r *call.Record, text string) *call.Record {
	kept := map[string]bool{ // what the daemon itself says, in words of its own
		"ID": true, "Agent": true, "PBX": true, "PBXKind": true, "Direction": true, "Origin": true, "Status": true, "AbandonedIn": true, "EndedBy": true,
		"Kind": true, "Role": true, "Result": true, "Quality": true, "Doubts": true, "Types": true, "HealedBy": true, "Cost": true, "Type": true,
		"Extension": true, "Employee": true, "Department": true, "PBXIDs": true,
	}
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			v.SetString(text)
		case reflect.Pointer:
			if !v.IsNil() {
				walk(v.Elem())
			} else if v.Type().Elem().Kind() == reflect.String {
				v.Set(reflect.ValueOf(&text))
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if !kept[v.Type().Field(i).Name] {
					walk(v.Field(i))
				}
			}
		default:
		}
	}
	r.Tags = []string{text}
	r.Recordings = []call.Recording{{File: &text, StartedAt: r.StartedAt}}
	r.Voicemail = &call.VoicemailEntry{}
	r.Fax = &call.FaxEntry{Direction: "received", Result: &text}
	walk(reflect.ValueOf(r).Elem())
	r.Fax.Direction = "received"
	return r
}
