package journal_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"

	"pgregory.net/rapid"
)

var epoch = call.MomentOf(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))

// sketch is a call in few words. Times are from epoch; a wait below zero is a
// call that nobody answered.
type sketch struct {
	id, direction, number, status string
	start, wait, length           time.Duration
}

func (s sketch) record() *call.Record {
	r := &call.Record{
		ID: s.id, Direction: s.direction, Status: s.status, Origin: call.OriginDialled,
		StartedAt: epoch.Add(s.start), EndedAt: epoch.Add(s.start + s.length), Quality: call.QualityComplete,
	}
	total := s.length.Milliseconds()
	wait, talk := total, int64(0)
	if s.status == call.StatusAnswered {
		r.AnsweredAt = epoch.Add(s.start + s.wait)
		wait, talk = s.wait.Milliseconds(), (s.length - s.wait).Milliseconds()
	}
	r.TotalMs, r.WaitMs, r.TalkMs = &total, &wait, &talk
	party := &r.From
	if s.direction == call.Outbound {
		party = &r.To
	}
	if s.number != "" {
		party.Number = &s.number
	}
	return r
}

func missed(id string, at time.Duration) sketch {
	return sketch{id: id, direction: call.Inbound, number: "79161122001", status: call.StatusNoAnswer, start: at, length: 20 * time.Second}
}

func talked(id, direction string, at time.Duration) sketch {
	return sketch{id: id, direction: direction, number: "89161122001", status: call.StatusAnswered, start: at, wait: 5 * time.Second, length: time.Minute}
}

func (o *office) put(calls ...sketch) {
	o.t.Helper()
	var news []journal.Incoming
	for _, s := range calls {
		news = append(news, journal.Incoming{ID: s.id, Record: s.record()})
	}
	o.settle(news)
}

func (o *office) gone(ids ...string) {
	o.t.Helper()
	var news []journal.Incoming
	for _, id := range ids {
		news = append(news, journal.Incoming{ID: id})
	}
	o.settle(news)
}

// says checks what the journal says of a call: its types, and by what it was
// healed.
func (o *office) says(id string, types ...string) {
	o.t.Helper()
	r := o.memory.calls[id]
	if r == nil {
		o.t.Fatalf("%s is not in the journal", id)
	}
	got := append([]string{}, r.Types...)
	if r.HealedBy != nil {
		got = append(got, "by "+*r.HealedBy)
	}
	if r.Missed {
		got = append(got, "missed")
	}
	slices.Sort(got)
	slices.Sort(types)
	if !slices.Equal(got, types) {
		o.t.Errorf("%s: got %q, want %q", id, got, types)
	}
}

func TestEngine_CalledBack(t *testing.T) {
	o := newOffice(t, journal.DefaultRules())
	o.put(missed("a", 0))
	o.says("a", "unique", "missed")
	rev := o.memory.calls["a"].Rev
	attempt := talked("b", call.Outbound, 10*time.Minute)
	attempt.status = call.StatusNoAnswer
	o.put(attempt)
	o.says("b", "callback")
	o.says("a", "unique", "missed")
	o.put(talked("c", call.Outbound, 20*time.Minute))
	o.says("c", "callback", "target")
	o.says("a", "unique", "missed", "called_back", "by c")
	if got := o.memory.calls["a"].Rev; got != rev+1 {
		t.Errorf("revision %d after the healing, want %d", got, rev+1)
	}
	o.put(talked("d", call.Outbound, 30*time.Minute))
	o.says("d", "target")
}

func TestEngine_CameBack(t *testing.T) {
	o := newOffice(t, journal.DefaultRules())
	o.put(missed("a", 0), missed("b", time.Minute), talked("c", call.Inbound, 2*time.Minute))
	o.says("a", "unique", "missed", "came_back", "by c")
	o.says("b", "repeat", "missed", "came_back", "by c")
	o.says("c", "repeat", "target")
}

// A revision that says nothing for its history still has a verdict, and that has
// its rules: the same call with other tags, and the same once more is none.
func TestEngine_TagsLeaveTheVerdict(t *testing.T) {
	o := newOffice(t, journal.DefaultRules())
	o.put(missed("a", 0))
	for i, tags := range [][]string{{"vip"}, {"vip", "angry"}, {}} {
		for range 2 {
			out, err := o.engine.Settle(o.memory, o.now, []journal.Incoming{{ID: "a", Record: clone(o.memory.calls["a"]), Tags: tags}})
			if err != nil {
				t.Fatal(err)
			}
			o.memory.commit(t, out)
			if len(out.Moves) != len(out.Calls) {
				t.Errorf("%d calls, %d moves", len(out.Calls), len(out.Moves))
			}
		}
		if got, want := o.memory.calls["a"].Rev, uint64(i+2); got != want {
			t.Errorf("revision %d, want %d", got, want)
		}
		o.says("a", "unique", "missed")
	}
}

func TestEngine_LostAndStillReached(t *testing.T) {
	rules := journal.DefaultRules()
	o := newOffice(t, rules)
	o.put(missed("a", 0))
	deadline := epoch.Add(20*time.Second + rules.LostWindow)
	o.tick(deadline)
	o.says("a", "unique", "missed") // spoken with by then: there is a moment left
	o.tick(deadline + 1)
	o.says("a", "unique", "missed", "lost")
	// The call that reached him in time was told late.
	o.put(talked("b", call.Outbound, rules.LostWindow))
	o.says("a", "unique", "missed", "called_back", "by b")
	// One that was too late is none.
	o.gone("b")
	o.put(talked("c", call.Outbound, rules.LostWindow+time.Minute))
	o.says("a", "unique", "missed", "lost")
	o.says("c", "target")
}

func TestEngine_Overlaps(t *testing.T) {
	o := newOffice(t, journal.DefaultRules())
	// Two telephones, one caller: answered on one while the other still rings.
	first := talked("a", call.Inbound, 0)
	first.wait, first.length = 30*time.Second, 5*time.Minute
	second := missed("b", 10*time.Second)
	second.length = time.Minute
	o.put(second)
	o.says("b", "unique", "missed")
	o.put(first)
	o.says("a", "unique", "target")
	o.says("b", "repeat", "missed", "came_back", "by a")
	// A talk that was under way before is not one with this caller.
	third := missed("c", 2*time.Minute)
	o.put(third)
	o.says("c", "repeat", "missed")
}

func TestEngine_ShortAndSpam(t *testing.T) {
	rules := journal.DefaultRules()
	rules.SpamShortCalls = 3
	o := newOffice(t, rules)
	short := func(id string, at, length time.Duration) sketch {
		s := missed(id, at)
		s.status, s.length = call.StatusAbandoned, length
		return s
	}
	o.put(short("a", 0, rules.ShortAbandon), short("b", time.Minute, rules.ShortAbandon-time.Millisecond))
	o.says("a", "unique", "missed")
	o.says("b", "repeat", "short")
	o.put(short("c", 2*time.Minute, time.Second), short("d", 3*time.Minute, time.Second), short("e", 62*time.Minute, time.Second))
	o.says("c", "repeat", "short")
	o.says("d", "repeat", "short", "spam")
	o.says("e", "repeat", "short") // the hour of b and c is over
	spammer := missed("f", 0)
	spammer.number = "79160001234" // by prefix
	o.put(spammer)
	o.says("f", "unique", "spam")
	listed := missed("g", 0)
	listed.number = "+79161111111" // stands in the file
	o.put(listed)
	o.says("g", "unique", "spam")
}

func TestEngine_WithheldNumber(t *testing.T) {
	rules := journal.DefaultRules()
	o := newOffice(t, rules)
	for i, number := range []string{"", "anonymous", "Unknown", "0000000"} {
		a, b := missed(fmt.Sprint("a", i), 0), missed(fmt.Sprint("b", i), time.Minute)
		a.number, b.number = number, number
		o.put(a, b)
		o.says(a.id, "missed")
		o.says(b.id, "missed")
	}
	o.tick(epoch.Add(rules.LostWindow + time.Hour))
	o.says("a0", "missed", "lost")
}

// A call that lasts as no call does keeps to what is within reach.
func TestEngine_AbsurdTimes(t *testing.T) {
	o := newOffice(t, journal.DefaultRules())
	long := missed("a", 0)
	long.length = 40 * 24 * time.Hour
	negative := missed("b", time.Hour)
	negative.length = -time.Hour
	answered := talked("c", call.Inbound, time.Hour)
	answered.wait = -time.Hour
	far := missed("d", 200*365*24*time.Hour)
	o.put(long, negative, answered, far, missed("e", -60*365*24*time.Hour))
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		if o.memory.calls[id] == nil {
			t.Errorf("%s is gone", id)
		}
	}
	// Who waits forty days is taken for having waited one.
	o = newOffice(t, journal.DefaultRules())
	out, err := o.engine.Settle(o.memory, epoch, []journal.Incoming{{ID: "a", Record: long.record()}})
	if err != nil {
		t.Fatal(err)
	}
	o.memory.commit(t, out)
	o.tick(epoch.Add(48 * time.Hour))
	o.says("a", "unique", "missed")
	o.tick(epoch.Add(48*time.Hour + time.Millisecond))
	o.says("a", "unique", "missed", "lost")
}

// A clock that steps back finds nobody again.
func TestEngine_TimeDoesNotGoBack(t *testing.T) {
	o := newOffice(t, journal.DefaultRules())
	o.put(missed("a", 0))
	o.tick(epoch.Add(48 * time.Hour))
	out, err := o.engine.Settle(o.memory, epoch, []journal.Incoming{{ID: "b", Record: missed("b", 48*time.Hour).record()}})
	if err != nil {
		t.Fatal(err)
	}
	o.memory.commit(t, out)
	o.says("a", "unique", "missed", "lost")
}

// What people set, and revisions, outlive what the tracker says later; what says
// nothing new makes no revision.
func TestEngine_KeepsTags(t *testing.T) {
	o := newOffice(t, journal.DefaultRules())
	a := missed("a", 0)
	o.put(a)
	r := clone(o.memory.calls["a"])
	o.settle([]journal.Incoming{{ID: "a", Record: r, Tags: []string{"жалоба"}}})
	if got := o.memory.calls["a"]; !slices.Equal(got.Tags, []string{"жалоба"}) || got.Rev != 2 {
		t.Errorf("tags %q, revision %d", got.Tags, got.Rev)
	}
	a.length = time.Minute
	o.put(a)
	if got := o.memory.calls["a"]; !slices.Equal(got.Tags, []string{"жалоба"}) || got.Rev != 3 || *got.TotalMs != 60_000 {
		t.Errorf("tags %q, revision %d, %d ms", got.Tags, got.Rev, *got.TotalMs)
	}
	o.put(a)
	if got := o.memory.calls["a"]; got.Rev != 3 {
		t.Errorf("the same again made revision %d", got.Rev)
	}
	o.gone("never published")
}

// A history that remembers a call that the journal has lost forgets it, and
// nothing else stops.
func TestEngine_LostRecord(t *testing.T) {
	o := newOffice(t, journal.DefaultRules())
	o.put(missed("a", 0), missed("b", time.Minute))
	delete(o.memory.calls, "a")
	o.put(talked("c", call.Outbound, time.Hour))
	o.says("b", "repeat", "missed", "called_back", "by c")
	touches, err := o.memory.Touches("+79161122001", epoch, epoch.Add(time.Hour))
	if err != nil || len(touches) != 1 || touches[0].ID != "b" {
		t.Errorf("%+v, %v", touches, err)
	}
}

func TestEngine_SpamByHand(t *testing.T) {
	o := newOffice(t, journal.DefaultRules())
	o.put(missed("a", 0), missed("b", time.Minute))
	s := o.settings
	s.Spam = journal.NewSpamList(s.Directory, []string{"8 916 112-20-01"}, nil)
	o.settings, o.engine = s, journal.NewEngine(s, 2)
	out, err := o.engine.Review(o.memory, o.now, s.Directory.Key("9161122001"), epoch, epoch.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	o.memory.commit(t, out)
	o.says("a", "unique", "spam")
	o.says("b", "repeat", "spam")
}

// Whatever comes in which order, in whichever groups, with whatever corrections,
// restarts and changes of rules: the journal says what it would say if it had
// known all from the beginning.
func TestEngine_OrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(name string, d ...time.Duration) time.Duration { return rapid.SampledFrom(d).Draw(rt, name) }
		drawRules := func() journal.Rules {
			return journal.Rules{
				UniqueDepth:    pick("depth", 0, time.Hour, 2*24*time.Hour, 9*24*time.Hour),
				TargetMinTalk:  pick("target", 0, 10*time.Second, time.Minute),
				ShortAbandon:   pick("short", 0, 5*time.Second, time.Minute),
				LostWindow:     pick("lost", 0, time.Minute, 5*time.Hour, 3*24*time.Hour),
				SpamShortCalls: rapid.IntRange(0, 3).Draw(rt, "spam"),
			}
		}
		o := newOffice(t, drawRules())
		ids := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}
		drawCall := func() sketch {
			s := sketch{
				id:        rapid.SampledFrom(ids).Draw(rt, "id"),
				direction: rapid.SampledFrom([]string{call.Inbound, call.Inbound, call.Outbound, call.Internal}).Draw(rt, "direction"),
				number:    rapid.SampledFrom([]string{"79161122001", "79161122001", "+79161122001", "79160001111", ""}).Draw(rt, "number"),
				status: rapid.SampledFrom([]string{
					call.StatusAnswered, call.StatusAnswered, call.StatusAbandoned, call.StatusNoAnswer, call.StatusVoicemail, call.StatusSelfService,
				}).Draw(rt, "status"),
				start: time.Duration(rapid.IntRange(0, 14).Draw(rt, "day")) * 24 * time.Hour,
			}
			s.start += pick("second", 0, time.Second, 30*time.Second, 20*time.Minute, 59*time.Minute, time.Hour, 3*time.Hour)
			s.wait = pick("wait", 0, time.Second, time.Minute, 2*time.Hour, 23*time.Hour)
			s.length = s.wait + pick("talk", 0, time.Second, 10*time.Second, time.Minute, 90*time.Minute)
			if s.status != call.StatusAnswered {
				s.length = min(s.length, 24*time.Hour)
			}
			return s
		}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0:
				o.gone(rapid.SliceOfN(rapid.SampledFrom(ids), 1, 3).Draw(rt, "gone")...)
			case 1:
				o.tick(epoch.Add(time.Duration(rapid.IntRange(0, 20).Draw(rt, "now")) * 24 * time.Hour))
			case 2: // a restart
				o.engine = journal.NewEngine(o.settings, 1)
			case 3: // other rules: everything is settled anew
				o.settings.Rules = drawRules()
				o.engine = journal.NewEngine(o.settings, 2)
				for _, r := range o.all() {
					o.settle([]journal.Incoming{{ID: r.ID, Record: clone(r)}})
				}
			default:
				var calls []sketch
				for range rapid.IntRange(1, 6).Draw(rt, "calls") {
					calls = append(calls, drawCall())
				}
				o.put(calls...)
			}
		}
		o.tick(o.now)
		o.t = rt
		o.agrees()
	})
}
