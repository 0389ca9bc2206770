package collect_test

import (
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"calljournal/agent/call"
)

var load = flag.Duration("load", 0, "how long TestLoad_ManyAgents feeds 2,000 entries a second; 0: as fast as it goes, and little")

// 200 agents feed one centre while one of them hangs in the middle of an answer
// and the database is cut off and started again: every entry has its effect
// exactly once, and nobody waits for the one that hangs.
func TestLoad_ManyAgents(t *testing.T) {
	const (
		agents = 200
		rate   = 2000 // entries a second, of all of them
		paused = 100 * time.Millisecond
	)
	if testing.Short() {
		t.Skip("without -short: 200 agents and a restart of PostgreSQL")
	}
	each := 20
	if *load > 0 {
		each = int(load.Seconds()*rate) / agents
	}
	dsn, p := database(t)
	var all []*farAgent
	for i := range agents {
		all = append(all, newFarAgent(fmt.Sprintf("office-%03d", i)))
	}
	stuck, released := all[17], make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	defer release()
	stuck.hold = func() { <-released }
	toml := serveAgents(t, all...)
	if *load > 0 {
		toml = "pause = \"1s\"\n" + toml
	}
	c := startCentre(t, dsn, toml)

	began := time.Now()
	var feeding sync.WaitGroup
	for i, a := range all {
		feeding.Go(func() {
			for n := range each {
				if *load > 0 { // in step, but not all at the same moment
					due := began.Add(time.Duration(n)*time.Second*agents/rate + time.Duration(i)*paused/agents)
					time.Sleep(time.Until(due))
				}
				// Every fourth call is told of twice.
				a.add(callBody(n-n%4/3, 1+n%4/3, call.StatusAnswered))
			}
		})
	}
	stored := func() (n int, most time.Duration) {
		looks, _ := c.Looks(t.Context())
		for _, l := range looks {
			if l.Name != stuck.name {
				n += int(l.Cursor)
				if !l.LastSeen.IsZero() {
					most = max(most, time.Since(l.LastSeen))
				}
			}
		}
		return n, most
	}
	if *load > 0 {
		var ages []time.Duration
		for time.Since(began) < *load {
			time.Sleep(time.Second)
			n, age := stored()
			ages = append(ages, age)
			if len(ages)%10 == 0 {
				t.Logf("after %v: %d stored, the longest without an answer %v", time.Since(began).Round(time.Second), n, age.Round(time.Millisecond))
			}
		}
		slices.Sort(ages)
		t.Logf("longest without an answer: median %v, most %v", ages[len(ages)/2], ages[len(ages)-1])
	} else {
		until(t, "a part is stored", func() bool { n, _ := stored(); return n > agents*each/3 })
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if err := p.start(); err != nil {
		t.Fatal(err)
	}
	feeding.Wait()
	want := (agents - 1) * each
	until(t, "all but the one that hangs are stored", func() bool { n, _ := stored(); return n == want })
	took := time.Since(began)
	t.Logf("%d entries of %d agents in %v: %.0f a second, the database restarted in between", want, agents, took.Round(time.Millisecond), float64(want)/took.Seconds())
	if n := c.look(t, stuck.name).Cursor; n != 0 {
		t.Errorf("the one that hangs is at %d", n)
	}
	release()
	c.stored(t, stuck.name, each)
	c.reconnect(t, dsn)
	calls := agents * (each - each/4)
	if got := one[string](t, c, "SELECT format('%s %s', count(*), sum(rev)) FROM calls"); got != fmt.Sprintf("%d %d", calls, agents*each) {
		t.Errorf("calls and revisions: %s, want %d %d", got, calls, agents*each)
	}
	if got := one[string](t, c, "SELECT format('%s %s %s', sum(entries), sum(refused + lost + resets), count(*)) FROM agents"); got != fmt.Sprintf("%d 0 %d", agents*each, agents) {
		t.Errorf("entries: %s, want %d", got, agents*each)
	}
}
