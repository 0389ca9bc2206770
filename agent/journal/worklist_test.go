package journal_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

func (o *office) worklist() []journal.MissedCaller {
	o.t.Helper()
	var list []journal.MissedCaller
	w := journal.Worklist{Rules: o.settings.Rules, Until: o.now + 1}
	for _, r := range slices.Backward(o.all()) {
		m, err := w.Caller(o.memory, r, nil)
		if err != nil {
			o.t.Fatal(err)
		}
		if m != nil {
			list = append(list, *m)
		}
	}
	return list
}

func TestWorklist(t *testing.T) {
	rules := journal.DefaultRules()
	o := newOffice(t, rules)
	from := func(number string, s sketch) sketch { s.number = number; return s }
	unreached := func(s sketch) sketch { s.status = call.StatusBusy; return s }
	lost := from("79031110001", missed("lost", 0))
	o.put(lost,
		from("79031110002", missed("back1", time.Hour)), from("79031110002", missed("back2", 2*time.Hour)),
		from("79031110002", unreached(talked("try", call.Outbound, 3*time.Hour))),
		from("79031110002", talked("reached", call.Outbound, 4*time.Hour)),
		from("79031110002", missed("again", 26*time.Hour)), // after he was called back: begins anew
		from("79031110003", missed("came", 27*time.Hour)), from("79031110003", talked("himself", call.Inbound, 28*time.Hour)),
		from("", missed("withheld", 29*time.Hour)),
		from("79031110004", missed("tried", 30*time.Hour)), from("79031110004", unreached(talked("try2", call.Outbound, 31*time.Hour))),
	)
	o.tick(epoch.Add(32 * time.Hour))
	want := []string{
		"tried attempted, 1 attempts, by nobody",
		"withheld open, 0 attempts, by nobody",
		"came came_back, 0 attempts, by himself after 59m45s",
		"again open, 0 attempts, by nobody",
		"back1 back2 called_back, 2 attempts, by reached after 2h59m45s",
		"lost lost, 0 attempts, by nobody",
	}
	got := o.worklist()
	for i, m := range got {
		text := ""
		for _, c := range m.Calls {
			text += c.ID + " "
		}
		text += fmt.Sprintf("%s, %d attempts, by ", m.State, m.Attempts)
		if m.HealedBy == nil {
			text += "nobody"
		} else {
			text += fmt.Sprintf("%s after %s", *m.HealedBy, time.Duration(*m.HealedInMs)*time.Millisecond)
		}
		if i >= len(want) || text != want[i] {
			t.Errorf("line %d: %s", i, text)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
	if got[0].AttemptAt != epoch.Add(31*time.Hour) {
		t.Errorf("attempted at %s", got[0].AttemptAt.Time())
	}
	if want := epoch.Add(30*time.Hour + 20*time.Second + rules.LostWindow); got[0].LostAt != want {
		t.Errorf("lost at %s, want %s", got[0].LostAt.Time(), want.Time())
	}
}

// Who should have answered: those whose phones were called, each once.
func TestWorklist_Asked(t *testing.T) {
	o := newOffice(t, journal.DefaultRules())
	r := missed("a", 0).record()
	for _, ext := range []string{"101", "102", "101"} {
		r.Legs = append(r.Legs, call.Leg{Role: call.RolePhone, Extension: &ext, Result: "no_answer"})
	}
	line := "74951230101"
	r.To.Number, r.Line, r.Queues = &line, &call.Line{Number: line}, []string{"sales"}
	o.settle([]journal.Incoming{{ID: "a", Record: r}})
	c := o.worklist()[0].Calls[0]
	if len(c.Asked) != 2 || c.Asked[0].Extension != "101" || str(c.Asked[0].Employee) != "Анна Петрова" || c.Asked[1].Extension != "102" {
		t.Errorf("asked: %+v", c.Asked)
	}
	if c.Line == nil || str(c.Line.Name) != "Линия 1" || len(c.Queues) != 1 {
		t.Errorf("line %+v, queues %q", c.Line, c.Queues)
	}
}

// A caller who tries every hour and is never answered has one line as long as he
// goes on, and another after he was lost.
func TestWorklist_Times(t *testing.T) {
	o := newOffice(t, journal.DefaultRules())
	from := func(n int, after time.Duration) sketch {
		s := missed(fmt.Sprintf("m%d", n), after)
		s.number = "79031110009"
		return s
	}
	for n := range 30 {
		o.put(from(n, time.Duration(n)*time.Hour))
	}
	o.put(from(30, 100*time.Hour))
	o.tick(epoch.Add(200 * time.Hour))
	got := o.worklist()
	if len(got) != 2 {
		t.Fatalf("%d lines: %+v", len(got), got)
	}
	if m := got[0]; m.Times != 1 || m.State != journal.StateLost || m.LastAt != epoch.Add(100*time.Hour) {
		t.Errorf("the later one: %+v", m)
	}
	if m := got[1]; m.Times != 30 || len(m.Calls) != 20 || m.Calls[19].ID != "m29" || m.FirstAt != epoch || m.LastAt != epoch.Add(29*time.Hour) {
		t.Errorf("the earlier one: %d times, %d calls, from %s to %s", m.Times, len(m.Calls), m.FirstAt.Time(), m.LastAt.Time())
	}
}
