package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"

	tea "charm.land/bubbletea/v2"
)

func TestNagios(t *testing.T) {
	well := api.Status{State: api.StateWell, OpenCalls: 3, Links: []api.Link{{PBX: "main", State: api.LinkUp}, {PBX: "old", State: api.LinkUp}}}
	warned, down := well, well
	warned.Warnings = []string{"no token | yet"}
	down.State, down.Problems = api.StateDegraded, []string{"pbx main: link lost", "the disk is full\nreally"}
	down.Links = []api.Link{{PBX: "main", State: api.LinkLost}}
	down.Forwarders = []api.Forwarder{{Name: "it's=x", Lag: 7}}
	for _, c := range []struct {
		name   string
		status api.Status
		err    error
		code   int
		line   string // its beginning
		figure string
	}{
		{"well", well, nil, nagiosOK, "CALLJOURNAL OK - 2 links up, 3 open calls | ", "links_up=2;;2:;0;2 "},
		{"a warning", warned, nil, nagiosWarning, "CALLJOURNAL WARNING - no token / yet | ", "open_calls=3"},
		{"degraded", down, nil, nagiosCritical, "CALLJOURNAL CRITICAL - pbx main: link lost; the disk is full really | ", "'forward_it_s_x'=7"},
		{"no daemon", api.Status{}, fmt.Errorf("%w: nobody", api.ErrNoDaemon), nagiosCritical, "CALLJOURNAL CRITICAL - ", ""},
		{"another fault", api.Status{}, errors.New("odd"), nagiosUnknown, "CALLJOURNAL UNKNOWN - odd", ""},
	} {
		line, code := nagios(c.status, c.err)
		if code != c.code || !strings.HasPrefix(line, c.line) || !strings.Contains(line, c.figure) || strings.Contains(line, "\n") || strings.Count(line, "|") > 1 {
			t.Errorf("%s: %d %q", c.name, code, line)
		}
	}
}

// A watch keeps showing the last answer beside the fault, scrolls within what
// there is, and ends on q.
func TestWatch(t *testing.T) {
	st := api.Status{Agent: "office", State: api.StateWell, At: call.MomentOf(time.Now())}
	for i := range 30 {
		st.Warnings = append(st.Warnings, fmt.Sprintf("warning %d", i))
	}
	var m tea.Model = watch{ask: func() (api.Status, error) { return st, nil }}
	tell := func(msg tea.Msg) (cmd tea.Cmd) {
		m, cmd = m.Update(msg)
		return cmd
	}
	shows := func() string { return m.View().Content }
	press := func(k rune) tea.Cmd { return tell(tea.KeyPressMsg{Code: k, Text: string(k)}) }

	tell(tea.WindowSizeMsg{Width: 80, Height: 10})
	if tell(m.Init()()) == nil {
		t.Error("it asks only once")
	}
	if !strings.HasPrefix(shows(), "office") || strings.Count(shows(), "\n") != 9 || strings.Contains(shows(), "warning 20") {
		t.Errorf("shows\n%s", shows())
	}
	for range 100 {
		press('j')
	}
	if strings.HasPrefix(shows(), "office") || !strings.Contains(shows(), "journal") || strings.Count(shows(), "\n") != 9 {
		t.Errorf("at the end it shows\n%s", shows())
	}
	press('g')
	tell(asked{err: errors.New("nobody\x1b[2J there")})
	if !strings.Contains(shows(), "nobody·[2J there") || !strings.Contains(shows(), "office") {
		t.Errorf("after a fault it shows\n%s", shows())
	}
	if cmd := press('q'); cmd == nil {
		t.Error("q does not end it")
	} else if _, ok := cmd().(tea.QuitMsg); !ok {
		t.Error("q does something else")
	}
}

// Of each gap it is said what becomes of it.
func TestStatus_Gaps(t *testing.T) {
	now := call.MomentOf(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
	gap := func(pbx, reason string, healed bool) call.Gap {
		return call.Gap{PBX: pbx, From: now.Add(-time.Minute), To: now, Reason: reason, Healed: healed}
	}
	st := api.Status{
		Agent: "office", State: api.StateWell, At: now,
		Links: []api.Link{
			{PBX: "main", State: api.LinkUp, Healing: &api.Healing{File: "/var/log/Master.csv", Waiting: 1, Rows: 12, ReadAt: now.Add(-3 * time.Second)}},
			{PBX: "old", State: api.LinkUp},
		},
		Gaps: []call.Gap{gap("main", "newest", false), gap("old", "elsewhere", false), gap("main", "read back", true), gap("main", "before cdr_file was set", false)},
	}
	var b strings.Builder
	if err := printStatus(&b, st, time.UTC); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"records of main in /var/log/Master.csv: gaps waiting to be healed 1, 12 rows read, last 3s ago\n",
		": newest: waits for its records\n",
		": elsewhere: not healed, as it has no cdr_file\n",
		": read back: healed\n",
		": before cdr_file was set: not healed\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, b.String())
		}
	}
}
