//go:build linux

package sqlitebench

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite"

	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"
	"calljournal/storage"
)

var (
	callsFlag = flag.Int("calls", 20_000, "how many calls, over a year")
	factor    = flag.Float64("year", 20, "how many times faster than SQLite a year's statistics must be")
	slack     = flag.Float64("slack", 1, "how many times slower than SQLite any other answer may be")
	asCBOR    = flag.Bool("cbor", false, "SQLite keeps the records as CBOR, not as JSON")
	keep      = flag.String("dir", "", "where the files are made and left; \"\": a temporary folder")
)

// both are the two journals of the same calls.
type both struct {
	t         *testing.T
	dir       string
	ours      *storage.DB
	other     *sql.DB
	calls     int
	first     time.Time
	marshal   func(any) ([]byte, error)
	unmarshal func([]byte, any) error
	who       string // an employee
	from      string // a number
}

const schema = `
CREATE TABLE calls(
	num INTEGER PRIMARY KEY, id TEXT NOT NULL, started INTEGER NOT NULL, direction TEXT NOT NULL, status TEXT NOT NULL, missed INTEGER NOT NULL,
	wait INTEGER, ring INTEGER, talk INTEGER, total INTEGER, record BLOB NOT NULL);
CREATE TABLE parts(
	who TEXT NOT NULL, started INTEGER NOT NULL, num INTEGER NOT NULL, counts INTEGER NOT NULL, calls INTEGER, inbound INTEGER, answered INTEGER,
	missed INTEGER, outbound INTEGER, elsewhere INTEGER, in_time INTEGER, wait INTEGER, ring INTEGER, talk INTEGER);
CREATE TABLE numbers(num INTEGER PRIMARY KEY, number TEXT NOT NULL UNIQUE);
CREATE TABLE call_numbers(number INTEGER NOT NULL, started INTEGER NOT NULL, num INTEGER NOT NULL, PRIMARY KEY(number, started, num)) WITHOUT ROWID;
CREATE VIRTUAL TABLE numbers_text USING fts5(number, content='', tokenize='trigram', detail=full);
`

const indexes = `
CREATE UNIQUE INDEX calls_id ON calls(id);
CREATE INDEX calls_started ON calls(started);
CREATE INDEX calls_talk ON calls(status, direction, talk, started);
CREATE INDEX calls_missed ON calls(missed, started);
CREATE INDEX parts_who ON parts(who, started, num);
CREATE INDEX parts_started ON parts(started, who, counts, calls, inbound, answered, missed, outbound, elsewhere, in_time, wait, ring, talk);
ANALYZE;
`

func (b *both) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *both) openOurs() {
	db, err := storage.Open(filepath.Join(b.dir, "journal.db"), storage.Options{Agent: "bench", NoSync: true, Reserve: -1})
	b.must(err)
	b.ours = db
}

// fill puts the same calls into both.
func (b *both) fill() {
	b.openOurs()
	other, err := sql.Open("sqlite", "file:"+filepath.Join(b.dir, "sqlite.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=cache_size(-65536)&_pragma=mmap_size(17179869184)")
	b.must(err)
	other.SetMaxOpenConns(1)
	b.other = other
	_, err = other.Exec(schema)
	b.must(err)
	b.first = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const batch = 2000
	var calls []*call.Record
	rules := journal.DefaultRules()
	calendar := journal.NewCalendar(time.UTC)
	numbers := map[string]int{}
	num := 0
	spent := [2]time.Duration{}
	flush := func() {
		at := time.Now()
		entries := make([]storage.Entry, len(calls))
		for i, r := range calls {
			entries[i] = storage.Entry{Op: storage.OpCall, Call: r}
		}
		b.must(b.ours.Commit(&storage.Batch{Entries: entries}))
		spent[0] += time.Since(at)
		at = time.Now()
		tx, err := other.Begin()
		b.must(err)
		stmt := func(text string) *sql.Stmt {
			s, err := tx.Prepare(text)
			b.must(err)
			return s
		}
		putCall, putPart := stmt(`INSERT INTO calls VALUES(?,?,?,?,?,?,?,?,?,?,?)`), stmt(`INSERT INTO parts VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)`)
		putNumber, putText, putCallNumber := stmt(`INSERT INTO numbers VALUES(?,?)`), stmt(`INSERT INTO numbers_text(rowid, number) VALUES(?,?)`), stmt(`INSERT OR IGNORE INTO call_numbers VALUES(?,?,?)`)
		for _, r := range calls {
			num++
			record, err := b.marshal(r)
			b.must(err)
			_, err = putCall.Exec(num, r.ID, int64(r.StartedAt), r.Direction, r.Status, r.Missed, r.WaitMs, r.RingMs, r.TalkMs, r.TotalMs, record)
			b.must(err)
			sheet := journal.NewSheet(calendar, rules, journal.ByEmployee, journal.Whole)
			sheet.AddCall(r)
			seen := map[string]bool{}
			for _, p := range sheet.Rows() {
				seen[p.Group] = true
				_, err := putPart.Exec(p.Group, int64(r.StartedAt), num, 1, p.Calls, p.Inbound, p.Answered, p.Missed, p.Outbound, p.Elsewhere,
					p.ServiceLevel.Part, p.WaitLongest, p.RingLongest, p.TalkLongest)
				b.must(err)
			}
			for _, l := range r.Legs { // took part, and counts nowhere
				if l.Employee != nil && !seen[*l.Employee] {
					seen[*l.Employee] = true
					_, err := putPart.Exec(*l.Employee, int64(r.StartedAt), num, 0, 0, 0, 0, 0, 0, 0, 0, nil, nil, nil)
					b.must(err)
				}
			}
			for _, p := range []*call.Party{&r.From, &r.To} {
				if p.Employee != nil && !seen[*p.Employee] {
					seen[*p.Employee] = true
					_, err := putPart.Exec(*p.Employee, int64(r.StartedAt), num, 0, 0, 0, 0, 0, 0, 0, 0, nil, nil, nil)
					b.must(err)
				}
			}
			for n := range numbersOf(r) {
				id, ok := numbers[n]
				if !ok {
					id = len(numbers) + 1
					numbers[n] = id
					_, err := putNumber.Exec(id, n)
					b.must(err)
					_, err = putText.Exec(id, n)
					b.must(err)
				}
				_, err := putCallNumber.Exec(id, int64(r.StartedAt), num)
				b.must(err)
			}
		}
		b.must(tx.Commit())
		spent[1] += time.Since(at)
		calls = calls[:0]
	}
	company := journaltest.NewCompany()
	directory := journal.NewDirectory("RU", company.Employees, company.Lines)
	for r := range journaltest.Generate(journaltest.Options{Seed: 11, Calls: b.calls, Start: b.first, Days: 365}) {
		r.Rev = 1
		directory.Enrich(r)
		if calls = append(calls, r); len(calls) == batch {
			flush()
		}
		if r.Direction == call.Inbound && r.AnsweredBy != nil {
			for _, l := range r.Legs {
				if l.Employee != nil && l.Result == "answered" {
					b.who = *l.Employee
				}
			}
			if n := r.From.Number; n != nil && strings.Trim(*n, "0123456789") == "" && len(*n) == 11 {
				b.from = (*n)[1:]
			}
		}
	}
	flush()
	at := time.Now()
	_, err = other.Exec(indexes)
	b.must(err)
	_, err = other.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
	b.must(err)
	spent[1] += time.Since(at)
	b.t.Logf("filled with %d calls: journal %v, SQLite %v (with the cutting of shares)", b.calls, spent[0].Round(time.Millisecond), spent[1].Round(time.Millisecond))
}

func numbersOf(r *call.Record) map[string]bool {
	out := map[string]bool{}
	add := func(list ...*string) {
		for _, s := range list {
			if s != nil && *s != "" {
				out[*s] = true
			}
		}
	}
	for _, p := range []*call.Party{&r.From, &r.To} {
		add(p.Number, p.E164, p.Extension)
	}
	if r.Line != nil {
		add(&r.Line.Number)
	}
	for i := range r.Legs {
		add(r.Legs[i].Number, r.Legs[i].Extension)
	}
	return out
}

// records runs a query of SQLite for records.
func (b *both) records(query string, args ...any) []*call.Record {
	rows, err := b.other.QueryContext(context.Background(), query, args...)
	b.must(err)
	defer rows.Close()
	var out []*call.Record
	var blob sql.RawBytes
	for rows.Next() {
		b.must(rows.Scan(&blob))
		r := new(call.Record)
		b.must(b.unmarshal(blob, r))
		out = append(out, r)
	}
	b.must(rows.Err())
	return out
}

func (b *both) query(q storage.Query) []*call.Record {
	recs, _, err := b.ours.Calls(q)
	b.must(err)
	return recs
}

func (b *both) all(q storage.Query) (out []*call.Record) {
	for r, err := range b.ours.All(q) {
		b.must(err)
		out = append(out, r)
	}
	return out
}

// figures are those that SQLite is asked for too.
type figures struct {
	Who                                                           string
	Calls, Inbound, Answered, Missed, Outbound, Elsewhere, InTime int64
	WaitSum, WaitLongest, RingLongest, TalkTotal, TalkLongest     int64
	WaitP90, TalkP90                                              int64
}

func value(p *int64) int64 {
	if p == nil {
		return 0
	}
	return *p
}

func (b *both) stats(from, to time.Time) (out []figures) {
	sheet := journal.NewSheet(journal.NewCalendar(time.UTC), journal.DefaultRules(), journal.ByEmployee, journal.Whole)
	calendar := journal.NewCalendar(time.UTC)
	first, _ := calendar.Day(call.MomentOf(from))
	end, _ := calendar.Day(call.MomentOf(to))
	_, ok, err := b.ours.Cells(journal.ByEmployee, first, end, func(k journal.Key, c *journal.Cell) error {
		sheet.AddDay(k.Name, k.Day, c)
		return nil
	})
	b.must(err)
	if !ok || sheet.Unsure() {
		b.t.Fatal("no totals")
	}
	for _, r := range sheet.Rows() {
		out = append(out, figures{
			r.Group, r.Calls, r.Inbound, r.Answered, r.Missed, r.Outbound, r.Elsewhere, r.ServiceLevel.Part,
			value(r.WaitAverage), value(r.WaitLongest), value(r.RingLongest), r.TalkTotal, value(r.TalkLongest), value(r.WaitP90), value(r.TalkP90),
		})
	}
	return out
}

const sums = `SELECT who, sum(calls), sum(inbound), sum(answered), sum(missed), sum(outbound), sum(elsewhere), sum(in_time),
	ifnull((sum(wait) + count(wait)/2) / count(wait), 0), ifnull(max(wait), 0), ifnull(max(ring), 0), ifnull(sum(talk), 0), ifnull(max(talk), 0)
	FROM parts WHERE started >= ? AND started < ? AND counts = 1 GROUP BY who ORDER BY who`

func (b *both) sums(from, to time.Time) (out []figures) {
	rows, err := b.other.Query(sums, from.UnixMicro(), to.UnixMicro())
	b.must(err)
	defer rows.Close()
	for rows.Next() {
		var f figures
		b.must(rows.Scan(&f.Who, &f.Calls, &f.Inbound, &f.Answered, &f.Missed, &f.Outbound, &f.Elsewhere, &f.InTime,
			&f.WaitSum, &f.WaitLongest, &f.RingLongest, &f.TalkTotal, &f.TalkLongest))
		out = append(out, f)
	}
	b.must(rows.Err())
	slices.SortFunc(out, func(a, b figures) int { return cmp.Compare(a.Who, b.Who) })
	return out
}

// percentiles adds what needs the durations in order.
func (b *both) percentiles(out []figures, from, to time.Time) []figures {
	for column, into := range map[string]func(*figures, int64){
		"wait": func(f *figures, ms int64) { f.WaitP90 = min(journal.Rounded(ms), f.WaitLongest) },
		"talk": func(f *figures, ms int64) { f.TalkP90 = min(journal.Rounded(ms), f.TalkLongest) },
	} {
		rows, err := b.other.Query(fmt.Sprintf(`SELECT who, %[1]s FROM (
			SELECT who, %[1]s, row_number() OVER (PARTITION BY who ORDER BY %[1]s) AS n, count(*) OVER (PARTITION BY who) AS of
			FROM parts WHERE started >= ? AND started < ? AND counts = 1 AND %[1]s IS NOT NULL) WHERE n = (of * 90 + 99) / 100`, column), from.UnixMicro(), to.UnixMicro())
		b.must(err)
		for rows.Next() {
			var who string
			var ms int64
			b.must(rows.Scan(&who, &ms))
			for i := range out {
				if out[i].Who == who {
					into(&out[i], ms)
				}
			}
		}
		b.must(rows.Err())
		b.must(rows.Close())
	}
	return out
}

// TestBesideSQLite asks both the same, compares, and times.
func TestBesideSQLite(t *testing.T) {
	b := &both{t: t, calls: *callsFlag, dir: *keep, marshal: json.Marshal, unmarshal: json.Unmarshal}
	if *asCBOR {
		b.marshal, b.unmarshal = cbor.Marshal, cbor.Unmarshal
	}
	if b.dir == "" {
		b.dir = t.TempDir()
	}
	b.fill()
	defer func() { b.other.Close() }()
	day := b.first.AddDate(0, 0, 200)
	month, after := b.first.AddDate(0, 5, 0), b.first.AddDate(0, 6, 0)
	end := b.first.AddDate(1, 0, 0)
	for _, q := range []struct {
		name        string
		ours, other func() any
		least       float64 // how many times faster than SQLite
	}{
		{"first page", func() any { return b.query(storage.Query{}) },
			func() any { return b.records(`SELECT record FROM calls ORDER BY started DESC, num DESC LIMIT 50`) }, 1},
		{"one employee's month, first page", func() any {
			return b.query(storage.Query{Employee: []string{b.who}, From: call.MomentOf(month), To: call.MomentOf(after)})
		}, func() any {
			return b.records(`SELECT record FROM parts JOIN calls USING(num) WHERE who = ? AND parts.started >= ? AND parts.started < ? ORDER BY parts.started DESC, num DESC LIMIT 50`,
				b.who, month.UnixMicro(), after.UnixMicro())
		}, 1},
		{"one employee's month, every call", func() any {
			return b.all(storage.Query{Employee: []string{b.who}, From: call.MomentOf(month), To: call.MomentOf(after)})
		}, func() any {
			return b.records(`SELECT record FROM parts JOIN calls USING(num) WHERE who = ? AND parts.started >= ? AND parts.started < ? ORDER BY parts.started DESC, num DESC`,
				b.who, month.UnixMicro(), after.UnixMicro())
		}, 1},
		{"a number", func() any { return b.query(storage.Query{Number: []string{b.from}}) }, func() any {
			return b.records(`SELECT record FROM calls WHERE num IN (SELECT DISTINCT num FROM call_numbers WHERE number IN (SELECT rowid FROM numbers_text WHERE numbers_text MATCH ?))
				ORDER BY started DESC, num DESC LIMIT 50`, `"`+b.from+`"`)
		}, 1},
		{"answered inbound calls by talk", func() any {
			return b.query(storage.Query{Status: []string{"answered"}, Direction: []string{"inbound"}, Sort: "-talk"})
		}, func() any {
			return b.records(`SELECT record FROM calls WHERE status = 'answered' AND direction = 'inbound' ORDER BY talk DESC, started DESC, num DESC LIMIT 50`)
		}, 1},
		{"an employee's missed calls of a year by wait", func() any {
			return b.query(storage.Query{Employee: []string{b.who}, Missed: &yes, Sort: "-wait"})
		}, func() any {
			return b.records(`SELECT record FROM parts JOIN calls USING(num) WHERE who = ? AND calls.missed = 1 ORDER BY calls.wait DESC, calls.started DESC, num DESC LIMIT 50`, b.who)
		}, 1},
		{"a day's statistics by employee", func() any { return b.stats(day, day.AddDate(0, 0, 1)) },
			func() any { return b.percentiles(b.sums(day, day.AddDate(0, 0, 1)), day, day.AddDate(0, 0, 1)) }, 1},
		{"a year's statistics by employee", func() any { return b.stats(b.first, end) },
			func() any { return b.percentiles(b.sums(b.first, end), b.first, end) }, *factor},
		{"the same, SQLite without percentiles", func() any { return withoutPercentiles(b.stats(b.first, end)) },
			func() any { return b.sums(b.first, end) }, 1},
	} {
		got, want := q.ours(), q.other()
		if !same(t, q.name, got, want) {
			continue
		}
		ours, other := timed(q.ours, q.other)
		times := float64(other) / float64(ours)
		t.Logf("%-46s journal %10v  SQLite %10v  %6.1f times (%d answers)", q.name, ours, other, times, reflect.ValueOf(got).Len())
		if times*(*slack) < q.least {
			t.Errorf("%s: %.1f times as fast as SQLite, want %.1f", q.name, times, q.least)
		}
	}
	b.disk()
	b.start()
}

var yes = true

func withoutPercentiles(list []figures) []figures {
	for i := range list {
		list[i].WaitP90, list[i].TalkP90 = 0, 0
	}
	return list
}

func same(t *testing.T, name string, got, want any) bool {
	key := func(v any) (list []string) {
		switch v := v.(type) {
		case []*call.Record:
			for _, r := range v {
				list = append(list, r.ID)
			}
		case []figures:
			for _, f := range v {
				list = append(list, fmt.Sprintf("%+v", f))
			}
		}
		return list
	}
	g, w := key(got), key(want)
	if len(g) == 0 {
		t.Errorf("%s: no answer", name)
		return false
	}
	if !slices.Equal(g, w) {
		for i := range min(len(g), len(w)) {
			if g[i] != w[i] {
				t.Errorf("%s: answer %d is\n%s, SQLite says\n%s", name, i, g[i], w[i])
				return false
			}
		}
		t.Errorf("%s: %d answers, SQLite has %d", name, len(g), len(w))
		return false
	}
	return true
}

// timed runs both by turns and gives the median of each.
func timed(a, b func() any) (time.Duration, time.Duration) {
	var spent [2][]time.Duration
	began := time.Now()
	for n := 0; n < 3 || n < 200 && time.Since(began) < 2*time.Second; n++ {
		for i, f := range []func() any{a, b} {
			at := time.Now()
			f()
			spent[i] = append(spent[i], time.Since(at))
		}
	}
	for i := range spent {
		slices.Sort(spent[i])
	}
	return spent[0][len(spent[0])/2], spent[1][len(spent[1])/2]
}

// disk compares what both take.
func (b *both) disk() {
	s := b.ours.Stats()
	b.must(b.ours.Close())
	other, err := os.Stat(filepath.Join(b.dir, "sqlite.db"))
	b.must(err)
	n := float64(b.calls)
	b.t.Logf("disk: journal %.0f bytes a call, SQLite with its indexes %.0f", float64(s.UsedBytes)/n, float64(other.Size())/n)
	if s.UsedBytes > other.Size() {
		b.t.Errorf("the journal takes more than SQLite")
	}
}

// start opens the journal anew and asks for the first page: with the file in the
// machine's memory, as after a restart of the daemon, and from the disk, as after
// one of the machine. How fast the disk is is not ours to judge.
func (b *both) start() {
	for _, from := range []string{"memory", "disk"} {
		took, mib := b.startFrom(from == "disk")
		b.t.Logf("start to first page from %s: %v, %.1f MiB allocated", from, took.Round(time.Millisecond), mib)
		if from == "memory" && took > 2*time.Second {
			b.t.Errorf("start to first page took %v", took)
		}
	}
}

func (b *both) startFrom(disk bool) (took time.Duration, mib float64) {
	if disk {
		b.forget()
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	at := time.Now()
	b.openOurs()
	if len(b.query(storage.Query{})) == 0 {
		b.t.Error("no first page")
	}
	took = time.Since(at)
	runtime.ReadMemStats(&after)
	b.must(b.ours.Close())
	return took, float64(after.TotalAlloc-before.TotalAlloc) / (1 << 20)
}

// forget has the machine read the journal from the disk the next time.
func (b *both) forget() {
	f, err := os.Open(filepath.Join(b.dir, "journal.db"))
	b.must(err)
	defer f.Close()
	b.must(f.Sync())
	b.must(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
}
