package collect_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/collect"
)

func TestCollect_LatestRevision(t *testing.T) {
	dsn, _ := database(t)
	a := newFarAgent("office-1")
	a.add(callBody(1, 1, call.StatusAbandoned), callBody(2, 1, call.StatusAnswered), callBody(1, 2, call.StatusAnswered))
	c := startCentre(t, dsn, serveAgents(t, a))
	c.stored(t, "office-1", 3)
	if n := one[int](t, c, "SELECT count(*) FROM calls"); n != 2 {
		t.Errorf("%d calls", n)
	}
	a.add(callBody(2, 3, call.StatusBusy), callBody(2, 2, call.StatusFailed), // an older revision must not win
		`"op":"gap","gap":{"pbx":"main","from":"2026-01-02T00:00:00.000Z","to":null,"reason":"link lost","healed":false}`,
		`"op":"delete","id":"main:1700000000.1","into":"main:1700000000.2"`)
	c.stored(t, "office-1", 7)
	got := one[string](t, c, "SELECT string_agg(format('%s %s %s', id, rev, status), ', ') FROM calls")
	if got != "main:1700000000.2 3 busy" {
		t.Error(got)
	}
	if l := c.look(t, "office-1"); l.State != collect.Up || l.Gaps != 1 || l.Lag() != 0 || l.Entries != 7 || l.Lost+l.Refused+l.Resets != 0 {
		t.Errorf("%+v", l)
	}
	a.add(`"op":"gap","gap":{"pbx":"main","from":"2026-01-02T00:00:00.000Z","to":"2026-01-02T00:10:00.000Z","reason":"link lost","healed":true}`)
	c.stored(t, "office-1", 8)
	if l := c.look(t, "office-1"); l.Gaps != 0 || one[int](t, c, "SELECT count(*) FROM gaps WHERE to_at = '2026-01-02T00:10:00Z'") != 1 {
		t.Errorf("%+v", l)
	}
	until(t, "acknowledged", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.consumer == 8 })
}

// Every column has its value, typed, as a report would ask for it.
func TestCollect_Columns(t *testing.T) {
	dsn, _ := database(t)
	a := newFarAgent("office-1")
	a.add(callBody(1, 1, call.StatusAnswered))
	c := startCentre(t, dsn, serveAgents(t, a))
	c.stored(t, "office-1", 1)
	for sql, want := range map[string]string{
		"from_name":                            `Иван "Ж"`,
		"from_e164":                            "+74951",
		"coalesce(from_extension, '-')":        "-",
		"to_extension":                         "101",
		"line_number || ' ' || line_name":      "74951230101 Site",
		"trunk":                                "trunk-a",
		"cause_q850::text":                     "16",
		"coalesce(cause_sip, -1)::text":        "-1",
		"missed::text":                         "false",
		"(cost_amount * 2)::text":              "3.60",
		"queues[2] || array_length(queues, 1)": "support2",
		"coalesce(tags::text, 'null')":         "null",
		"extract(epoch FROM ended_at - started_at)::int::text":               "8",
		"to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')": "2026-01-02 03:04:06.678",
		"(wait_ms + total_ms)::text":                                         "11000",
		"raw->'legs'->0->>'channel'":                                         "PJSIP/101-1",
		"raw->>'status' || agent || seq":                                     "answeredoffice-11",
	} {
		if got := one[string](t, c, "SELECT "+sql+" FROM calls"); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}

// What PostgreSQL cannot hold is replaced or set aside; the rest goes on.
func TestCollect_HostileEntries(t *testing.T) {
	dsn, _ := database(t)
	a := newFarAgent("office-1")
	a.add(callBody(1, 1, call.StatusAnswered))
	a.add(strings.Replace(callBody(2, 1, call.StatusAnswered), `trunk-a`, `a\u0000b\\u0000`, 1))
	a.add(strings.Replace(callBody(3, 1, call.StatusAnswered), `"wait_ms":3000`, `"wait_ms":"a while"`, 1))
	a.add(strings.Replace(callBody(4, 1, call.StatusAnswered), `trunk-a`, `\ud800`, 1))
	a.add(strings.Replace(callBody(5, 1, call.StatusAnswered), `"id":"main:1700000000.5"`, `"id":"`+incompressible(20_000)+`"`, 1))
	a.add(`"op":"tidings","call":{"id":"x","rev":1}`)
	a.add(`"op":"gap"`)
	a.add(`"op":"call","call":{"id":"'); DROP TABLE calls; --","rev":1,"from":{"name":"<script>"}}`)
	a.add(callBody(6, 1, call.StatusAnswered))
	c := startCentre(t, dsn, serveAgents(t, a))
	c.stored(t, "office-1", 9)
	got := one[string](t, c, "SELECT string_agg(seq::text, ' ' ORDER BY seq) FROM calls")
	if got != "1 2 8 9" {
		t.Errorf("stored: %s", got)
	}
	got = one[string](t, c, "SELECT string_agg(seq::text, ' ' ORDER BY seq) FROM refused")
	if got != "3 4 5 6 7" {
		t.Errorf("refused: %s", got)
	}
	if got := one[string](t, c, "SELECT trunk FROM calls WHERE seq = 2"); got != "a\uFFFDb\\u0000" {
		t.Errorf("a character that cannot be kept: %q", got)
	}
	if got := one[string](t, c, "SELECT convert_from(entry, 'UTF8') FROM refused WHERE seq = 3"); got != a.entries[2] {
		t.Errorf("what was refused: %s", got)
	}
	if l := c.look(t, "office-1"); l.Refused != 5 || l.Entries != 9 || l.State != collect.Up {
		t.Errorf("%+v", l)
	}
}

// Another journal begins at its oldest entry; a call's greatest revision stays.
func TestCollect_AnotherJournal(t *testing.T) {
	dsn, _ := database(t)
	a := newFarAgent("office-1")
	a.add(callBody(1, 2, call.StatusAnswered), callBody(2, 1, call.StatusAnswered), callBody(3, 1, call.StatusAnswered))
	c := startCentre(t, dsn, serveAgents(t, a))
	c.stored(t, "office-1", 3)
	a.mu.Lock()
	a.journal, a.entries, a.oldest = "saved", nil, 1
	a.mu.Unlock()
	a.add(callBody(1, 1, call.StatusBusy), callBody(2, 1, call.StatusBusy), callBody(4, 1, call.StatusAnswered), callBody(1, 3, call.StatusFailed))
	until(t, "the new journal", func() bool { l := c.look(t, "office-1"); return l.Journal == "saved" && l.Cursor == 4 })
	got := one[string](t, c, "SELECT string_agg(format('%s %s', seq, status), ', ' ORDER BY id) FROM calls")
	if got != "4 failed, 2 busy, 3 answered, 3 answered" {
		t.Error(got)
	}
	if l := c.look(t, "office-1"); l.Resets != 1 || l.Lost != 0 || l.State != collect.Up {
		t.Errorf("%+v", l)
	}
}

// What an agent did not keep is counted, not passed over in silence.
func TestCollect_Expired(t *testing.T) {
	dsn, _ := database(t)
	a := newFarAgent("office-1")
	a.oldest = 5 // four entries were dropped before anyone asked
	a.add(callBody(5, 1, call.StatusAnswered))
	c := startCentre(t, dsn, serveAgents(t, a))
	c.stored(t, "office-1", 5)
	c.end()
	a.mu.Lock()
	a.oldest, a.entries = 9, nil
	a.mu.Unlock()
	a.add(callBody(9, 1, call.StatusAnswered))
	c = startCentre(t, dsn, serveAgents(t, a))
	c.stored(t, "office-1", 9)
	if l := c.look(t, "office-1"); l.Lost != 3 || l.Resets != 0 {
		t.Errorf("%+v", l)
	}
}

// An entry that comes late does not bring back what was erased.
func TestCollect_ErasedStaysErased(t *testing.T) {
	dsn, _ := database(t)
	a := newFarAgent("office-1")
	a.add(callBody(1, 1, call.StatusAnswered), `"op":"delete","id":"main:1700000000.1"`)
	c := startCentre(t, dsn, serveAgents(t, a))
	c.stored(t, "office-1", 2)
	c.end()
	// As after a backup of the table agents was put back.
	if _, err := c.db.Exec(t.Context(), "UPDATE agents SET cursor = 0"); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	a.entries[1] = strings.Replace(a.entries[1], "1700000000.1", "1700000000.9", 1)
	a.mu.Unlock()
	c = startCentre(t, dsn, serveAgents(t, a))
	c.stored(t, "office-1", 2)
	if n := one[int](t, c, "SELECT count(*) FROM calls"); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// An agent that answers nonsense is shown, with what to do, and costs the others
// nothing.
func TestCollect_BadAgents(t *testing.T) {
	dsn, _ := database(t)
	good, other := newFarAgent("good"), newFarAgent("other-name")
	good.add(callBody(1, 1, call.StatusAnswered))
	toml := serveAgents(t, good, other)
	toml = strings.Replace(toml, `name = "other-name"`, `name = "misnamed"`, 1)
	toml += "[[agent]]\nname = \"absent\"\nurl = \"http://127.0.0.1:1\"\ntoken = \"0123456789abcdef\"\n"
	toml += strings.Replace(serveAgents(t, newFarAgent("locked")), agentToken, "quite another token", 1)
	c := startCentre(t, dsn, toml)
	c.stored(t, "good", 1)
	for name, want := range map[string][2]string{
		"misnamed": {collect.Refused, `"other-name"`},
		"absent":   {collect.Lost, "connection refused"},
		"locked":   {collect.Refused, "401"},
	} {
		until(t, name, func() bool {
			l := c.look(t, name)
			return l.State == want[0] && strings.Contains(l.Error, want[1]) && !l.NextTry.IsZero()
		})
	}
}

// Killed at any moment, started again: each entry has its effect once.
func TestCollect_Restarts(t *testing.T) {
	dsn, _ := database(t)
	a := newFarAgent("office-1")
	for n := range 300 {
		a.add(callBody(n%100, n/100+1, call.StatusAnswered))
	}
	toml := "page = 7\n" + serveAgents(t, a)
	for range 5 {
		c := startCentre(t, dsn, toml)
		before := c.look(t, "office-1").Cursor
		until(t, "some progress", func() bool { l := c.look(t, "office-1").Cursor; return l > before || l == 300 })
		c.end()
	}
	c := startCentre(t, dsn, toml)
	c.stored(t, "office-1", 300)
	if got := one[string](t, c, "SELECT format('%s %s %s', count(*), min(rev), max(rev)) FROM calls"); got != "100 3 3" {
		t.Error(got)
	}
	if n := one[int](t, c, "SELECT entries FROM agents"); n != 300 {
		t.Errorf("%d entries were counted", n)
	}
}

// A second centre on the same database does no harm, and is told.
func TestCollect_TwoCentres(t *testing.T) {
	dsn, _ := database(t)
	a := newFarAgent("office-1")
	toml := serveAgents(t, a)
	first, second := startCentre(t, dsn, toml), startCentre(t, dsn, toml)
	for n := range 50 {
		until(t, "one of them follows", func() bool {
			return first.look(t, "office-1").State == collect.Up || second.look(t, "office-1").State == collect.Up
		})
		a.add(callBody(n, 1, call.StatusAnswered))
	}
	until(t, "the cursor is there", func() bool { return one[int](t, first, "SELECT cursor FROM agents") == 50 })
	if n := one[int](t, first, "SELECT count(*) FROM calls"); n != 50 {
		t.Errorf("%d calls", n)
	}
	if n := one[int](t, first, "SELECT entries FROM agents"); n != 50 {
		t.Errorf("%d entries were counted", n)
	}
}

func incompressible(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + r.IntN(26))
	}
	return string(b)
}

func TestCollect_SchemaOfALaterVersion(t *testing.T) {
	dsn, _ := database(t)
	c := startCentre(t, dsn, serveAgents(t, newFarAgent("office-1")))
	c.end()
	if _, err := c.db.Exec(t.Context(), "INSERT INTO calljournal_schema (version) VALUES (1000)"); err != nil {
		t.Fatal(err)
	}
	later, err := collect.New(collect.Options{Config: collectConfig(t, dsn, serveAgents(t, newFarAgent("office-1"))), Logger: quiet(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := later.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "update this program") {
		t.Errorf("%v", err)
	}
}

func TestCollect_Reload(t *testing.T) {
	dsn, _ := database(t)
	stays, goes, comes := newFarAgent("stays"), newFarAgent("goes"), newFarAgent("comes")
	all := serveAgents(t, stays, goes, comes)
	tables := strings.SplitAfter(all, fmt.Sprintf("token = %q\n", agentToken))
	c := startCentre(t, dsn, tables[0]+tables[1])
	stays.add(callBody(1, 1, call.StatusAnswered))
	c.stored(t, "stays", 1)
	applied, restart := c.Reload(c.ctx, collectConfig(t, dsn, tables[0]+tables[2]))
	if got := strings.Join(applied, ", "); got != "agent comes, agent goes" || len(restart) != 0 {
		t.Errorf("applied %s, restart %v", got, restart)
	}
	comes.add(callBody(1, 1, call.StatusAnswered))
	stays.add(callBody(2, 1, call.StatusAnswered))
	c.stored(t, "comes", 1)
	c.stored(t, "stays", 2)
	if looks, err := c.Looks(t.Context()); err != nil || len(looks) != 2 {
		t.Errorf("%+v, %v", looks, err)
	}
}

// While the database is not there a Reload says whom to follow, and Run follows
// each once when it comes.
func TestCollect_ReloadBeforeTheDatabase(t *testing.T) {
	agents := strings.SplitAfter(serveAgents(t, newFarAgent("one"), newFarAgent("two")), fmt.Sprintf("token = %q\n", agentToken))
	nobody := "postgres://nobody@127.0.0.1:1/none?connect_timeout=1"
	c, err := collect.New(collect.Options{Config: collectConfig(t, nobody, agents[0]), Logger: quiet(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	c.Reload(ctx, collectConfig(t, nobody, agents[0]+agents[1]))
	if looks, _ := c.Looks(ctx); len(looks) != 0 {
		t.Errorf("followed without a database: %+v", looks)
	}
	end()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
