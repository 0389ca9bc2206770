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
		State: api.StateWell, Problems: []string{}, Warnings: a.warnings(c),
		Links: []api.Link{}, Consumers: []api.Consumer{}, Forwarders: []api.Forwarder{}, Mailings: []api.Mailing{}, LastCall: a.lastCall.Load(),
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
			st.Warnings = append(st.Warnings, fmt.Sprintf("pbx %s: %s", s.PBX, w))
		}
		if h := s.Healing; h != nil {
			if h.Error != "" {
				st.Warnings = append(st.Warnings, fmt.Sprintf("pbx %s: cdr_file: %s", s.PBX, h.Error))
			}
			for _, why := range slices.Sorted(maps.Keys(h.Unreadable)) {
				st.Warnings = append(st.Warnings, fmt.Sprintf("pbx %s: cdr_file: %d rows: %s", s.PBX, h.Unreadable[why], why))
			}
		}
		if s.State != api.LinkUp {
			st.Problems = append(st.Problems, linkProblem(s))
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
	st.Warnings = append(st.Warnings, a.media.Trouble(ctx)...)
	a.forwardStatus(&st)
	a.mailStatus(&st)
	switch n := a.access.Lost(); {
	case a.access.Failing():
		st.Problems = append(st.Problems, fmt.Sprintf("access log: %d entries could not be written: see to room and permissions in %s", n, c.Agent.DataDir))
	case n > 0: // it is over, but who asked then is not known
		st.Warnings = append(st.Warnings, fmt.Sprintf("access log: %d entries could not be written since the start", n))
	}
	if a.users == nil {
		st.Problems = append(st.Problems, fmt.Sprintf("users: %s cannot be read: nobody can sign in", filepath.Join(c.Agent.DataDir, "users.json")))
	}
	if st.Uplink = a.uplinkStatus(); st.Uplink != nil && st.Uplink.State != uplink.Up {
		st.Problems = append(st.Problems, fmt.Sprintf("uplink: %s: %s", st.Uplink.State, cmp.Or(st.Uplink.Error, "no answer yet")))
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

// linkProblem is why a link is not up and what to do, in one line.
func linkProblem(s api.Link) string {
	why := s.Error
	if why == "" {
		why = "no answer yet"
	}
	return fmt.Sprintf("pbx %s: link %s: %s", s.PBX, s.State, why)
}

func (a *Agent) journalStatus(st *api.Status) {
	s := a.store.Stats()
	st.Journal = api.Journal{
		ID: s.Journal, Path: s.Path, Calls: s.Calls, Head: s.Head, Oldest: s.Oldest, FileBytes: s.FileBytes, FreeBytes: s.FreeBytes,
		DiskFree: s.DiskFree, LastCommit: s.LastCommit, Stuck: a.trouble.get(),
	}
	if k := st.Journal.Stuck; k != nil {
		st.Problems = append(st.Problems, fmt.Sprintf("journal: nothing can be written since %s: %s; %s are free on the disk",
			k.Since.Time().Format(time.RFC3339), k.Error, bytesText(s.DiskFree)))
	}
	if s.DiskFree > 0 && s.DiskFree < diskShort {
		st.Problems = append(st.Problems, fmt.Sprintf("disk: only %s are free at %s", bytesText(s.DiskFree), s.Path))
	}
	if s.Damaged != "" {
		st.Problems = append(st.Problems, "journal: damaged: "+s.Damaged+"; calljournal service restart saves what can be read into a new one")
	}
	if v := s.Salvaged; v != nil {
		st.Journal.Salvaged = fmt.Sprintf("%s: %d calls saved, %d entries lost, the damaged file is %s", v.Reason, v.Calls, v.Lost, v.From)
		st.Warnings = append(st.Warnings, "journal: made out of a damaged one: "+st.Journal.Salvaged)
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
