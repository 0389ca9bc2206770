package connectors_test

import (
	"slices"
	"testing"

	"calljournal/agent/call"
	"calljournal/connectors"
)

func TestRoll_Compare(t *testing.T) {
	type step struct {
		fact call.Event // if Kind is not 0
		list []call.LegID
		lost []call.LegID
	}
	created := func(id call.LegID) step { return step{fact: call.Event{Kind: call.LegCreated, Leg: id}} }
	ended := func(id call.LegID) step { return step{fact: call.Event{Kind: call.LegEnded, Leg: id}} }
	list := func(ids ...call.LegID) step { return step{list: append([]call.LegID{}, ids...)} }
	loses := func(s step, ids ...call.LegID) step { s.lost = ids; return s }
	for name, steps := range map[string][]step{
		"all is well":                      {created("a"), list("a"), ended("a"), list(), list()},
		"a hang-up was lost":               {created("a"), list("a"), list(), loses(list(), "a")},
		"a hang-up is on its way":          {created("a"), list(), ended("a"), list(), list()},
		"a leg was born unheard":           {list("a"), loses(list("a"), "a")},
		"a birth is on its way":            {list("a"), created("a"), list("a")},
		"one after the other on their way": {list("a"), created("a"), list("a", "b"), created("b"), list("a", "b")},
		"born on the way of one list, ended on that of the next": {list("a"), created("a"), list(), ended("a"), list()},
		"in doubt, well again, in doubt":                         {created("a"), list(), list("a"), list(), loses(list(), "a")},
		"ended, and listed for a while":                          {created("a"), ended("a"), list("a"), list("a"), list(), list()},
		"an alias is the same leg": {created("a"), {fact: call.Event{Kind: call.LegAlias, Leg: "b", Peer: "a"}},
			list("b"), list("b")},
		"a snapshot settles it": {created("a"), list(), {fact: call.Event{Kind: call.Snapshot}}, list(), list()},
		"a new process has no legs": {created("a"), {fact: call.Event{Kind: call.PBXStarted}},
			list(), list()},
	} {
		t.Run(name, func(t *testing.T) {
			var r connectors.Roll
			for i, s := range steps {
				if s.fact.Kind != 0 {
					r.Take(&s.fact)
				}
				if s.list != nil {
					if lost := r.Compare(s.list, call.Moment(i+1)); !slices.Equal(lost, s.lost) {
						t.Errorf("step %d: lost %v, want %v", i, lost, s.lost)
					}
				}
			}
		})
	}
}

func TestRoll_LossBeginsWhereAllWasWell(t *testing.T) {
	var r connectors.Roll
	r.Take(&call.Event{Kind: call.LegCreated, Leg: "a"})
	r.Compare([]call.LegID{"a"}, 100)
	r.Compare(nil, 200)
	if lost := r.Compare(nil, 300); len(lost) != 1 {
		t.Fatalf("lost %v", lost)
	}
	if e := r.Loss(400, 500); e.Kind != call.LinkGap || e.From != 100 || e.At != 400 || e.Seen != 500 {
		t.Errorf("%+v", e)
	}
}
