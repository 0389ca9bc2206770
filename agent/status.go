package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/uplink"
	"calljournal/storage"
)

// Status is what the daemon says of itself now.
func (a *Agent) Status(ctx context.Context) (api.Status, error) {
	c := a.config.Load()
	st := api.Status{
		Agent: c.Agent.Name, Version: a.o.Version, StartedAt: a.startedAt, At: call.MomentOf(a.now()),
		State: api.StateWell, Problems: []string{}, Warnings: []string{}, Findings: []api.Finding{},
		Links: []api.Link{}, Consumers: []api.Consumer{}, Forwarders: []api.Forwarder{}, Mailings: []api.Mailing{}, LastCall: a.lastCall.Load(),
	}
	for _, w := range a.warnings(c) {
		st.AddWarning("", w)
	}
	open, err := a.openCalls(ctx)
	if err != nil {
		return st, err
	}
	for i, l := range a.links {
		s := l.look()
		s.OpenCalls = open[i]
		st.OpenCalls += open[i]
		st.Links = append(st.Links, s)
		for _, w := range s.Warnings {
			st.AddWarning("", fmt.Sprintf("pbx %s: %s", s.PBX, w))
		}
		if h := s.Healing; h != nil {
			if h.Error != "" {
				st.AddWarning("cdr_file", fmt.Sprintf("pbx %s: cdr_file: %s", s.PBX, h.Error), "pbx", s.PBX, "error", h.Error)
			}
			for _, why := range slices.Sorted(maps.Keys(h.Unreadable)) {
				n := h.Unreadable[why]
				st.AddWarning("cdr_rows", fmt.Sprintf("pbx %s: cdr_file: %d rows: %s", s.PBX, n, why), "pbx", s.PBX, "count", fmt.Sprint(n), "error", why)
			}
		}
		if s.State != api.LinkUp {
			why := cmp.Or(s.Error, "no answer yet")
			st.AddProblem("link", fmt.Sprintf("pbx %s: link %s: %s", s.PBX, s.State, why), "pbx", s.PBX, "state", s.State, "why", cmp.Or(s.Why, "waiting"), "error", why)
		}
	}
	a.journalStatus(&st)
	st.Review = a.books.status()
	if st.Gaps, err = a.store.Gaps(5); err != nil {
		return st, err
	}
	if st.Gaps == nil {
		st.Gaps = []call.Gap{}
	}
	consumers, err := a.store.Consumers()
	if err != nil {
		return st, err
	}
	for _, k := range consumers {
		st.Consumers = append(st.Consumers, a.consumer(k))
	}
	a.retentionStatus(&st)
	a.sweepStatus(&st)
	for _, t := range a.media.Trouble(ctx) {
		if t.PBX == "" {
			st.AddWarning("folders_silent", t.String())
		} else {
			st.AddWarning("folder", t.String(), "pbx", t.PBX, "folder", t.Folder, "error", t.Err.Error())
		}
	}
	a.forwardStatus(&st)
	a.mailStatus(&st)
	switch n := a.access.Lost(); {
	case a.access.Failing():
		st.AddProblem("access_log", fmt.Sprintf("access log: %d entries could not be written: see to room and permissions in %s", n, c.Agent.DataDir),
			"count", fmt.Sprint(n), "path", c.Agent.DataDir)
	case n > 0: // it is over, but who asked then is not known
		st.AddWarning("access_log_lost", fmt.Sprintf("access log: %d entries could not be written since the start", n), "count", fmt.Sprint(n))
	}
	if a.users == nil {
		path := filepath.Join(c.Agent.DataDir, "users.json")
		st.AddProblem("users", fmt.Sprintf("users: %s cannot be read: nobody can sign in", path), "path", path)
	}
	if st.Uplink = a.uplinkStatus(); st.Uplink != nil && st.Uplink.State != uplink.Up {
		why := cmp.Or(st.Uplink.Error, "no answer yet")
		st.AddProblem("uplink", fmt.Sprintf("uplink: %s: %s", st.Uplink.State, why), "state", st.Uplink.State, "error", why)
	}
	if len(st.Problems) > 0 {
		st.State = api.StateDegraded
	}
	return st, nil
}

// consumer says how far behind a follower of the feed is. One that has read
// another journal has read nothing of this one.
func (a *Agent) consumer(k storage.Consumer) api.Consumer {
	j := a.store.Stats()
	c := api.Consumer{Name: k.Name, Seq: k.Seq, At: k.At}
	after := uint64(0)
	if k.Journal == j.Journal {
		after = min(k.Seq, j.Head)
		c.Missed = k.Missed(j.Oldest)
	}
	if c.Lag = j.Head - after; c.Lag == 0 {
		return c
	}
	if after+1 < j.Oldest {
		after = 0 // the oldest that is kept will have to do
	}
	if p, err := a.store.Feed(after, 1); err == nil && len(p.Entries) > 0 {
		c.LagMs = max(0, call.MomentOf(a.now()).Sub(p.Entries[0].At).Milliseconds())
	}
	return c
}

// blind names the PBXs that are not seen now.
func (a *Agent) blind() (pbxs []string) {
	for _, l := range a.links {
		if s := l.look(); s.State != api.LinkUp {
			pbxs = append(pbxs, s.PBX)
		}
	}
	return pbxs
}

func (a *Agent) journalStatus(st *api.Status) {
	s := a.store.Stats()
	st.Journal = api.Journal{
		ID: s.Journal, Path: s.Path, Calls: s.Calls, Head: s.Head, Oldest: s.Oldest, FileBytes: s.FileBytes, FreeBytes: s.FreeBytes,
		DiskFree: s.DiskFree, LastCommit: s.LastCommit, Stuck: a.trouble.get(),
	}
	if k := st.Journal.Stuck; k != nil {
		since := k.Since.Time().Format(time.RFC3339)
		st.AddProblem("journal_stuck", fmt.Sprintf("journal: nothing can be written since %s: %s; %s are free on the disk", since, k.Error, bytesText(s.DiskFree)),
			"since", since, "error", k.Error, "free", fmt.Sprint(s.DiskFree))
	}
	if s.DiskFree > 0 && s.DiskFree < diskShort {
		st.AddProblem("disk", fmt.Sprintf("disk: only %s are free at %s", bytesText(s.DiskFree), s.Path), "free", fmt.Sprint(s.DiskFree), "path", s.Path)
	}
	if s.Damaged != "" {
		st.AddProblem("damaged", "journal: damaged: "+s.Damaged+"; calljournal service restart saves what can be read into a new one", "error", s.Damaged)
	}
	if v := s.Salvaged; v != nil {
		st.Journal.Salvaged = fmt.Sprintf("%s: %d calls saved, %d entries lost, the damaged file is %s", v.Reason, v.Calls, v.Lost, v.From)
		st.AddWarning("salvaged", "journal: made out of a damaged one: "+st.Journal.Salvaged,
			"error", v.Reason, "count", fmt.Sprint(v.Calls), "lost", fmt.Sprint(v.Lost), "path", v.From)
	}
}

// diskShort is when the disk counts as short although writing still works.
const diskShort = 256 << 20

func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", n)
}

func (a *Agent) openCalls(ctx context.Context) (n []int, err error) {
	err = a.ask(ctx, func() {
		for _, l := range a.links {
			n = append(n, l.tracker.Open())
		}
	})
	if n == nil {
		n = make([]int, len(a.links)) // while ending
	}
	return n, err
}

// warnings is standing advice, from the configuration.
func (a *Agent) warnings(c *config.Config) []string { return append([]string{}, c.Warnings...) }

// say tells the log at the start what an administrator must not miss.
func (a *Agent) say(c *config.Config) {
	for _, w := range a.warnings(c) {
		a.log.Warn(w)
	}
}

// healthy says why only a new start can help.
func (a *Agent) healthy() error {
	if quiet := a.now().Sub(a.begun) - time.Duration(a.heartbeat.Load()); quiet > 30*time.Second {
		return fmt.Errorf("no facts were taken in for %s", quiet.Round(time.Second))
	}
	return nil
}

// ready says why this daemon does not do its work just now.
func (a *Agent) ready() error {
	if a.isEnding() {
		return errors.New("ending")
	}
	if k := a.trouble.get(); k != nil {
		return errors.New("the journal cannot be written: " + k.Error)
	}
	return a.healthy()
}
