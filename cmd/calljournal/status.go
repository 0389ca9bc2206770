package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/api"
)

type statusVerb struct {
	JSON   bool `name:"json" xor:"form" help:"As JSON: the same as GET /v1/status."`
	Watch  bool `xor:"form" help:"A view that stays up to date, until q or Ctrl-C."`
	Nagios bool `xor:"form" help:"One line and the exit code that Nagios and its kin want: 0 well, 1 warnings, 2 degraded or not there, 3 unknown."`
}

func (v statusVerb) Run(sh *shell) error {
	c, err := sh.client()
	if v.Nagios {
		var st api.Status
		if err == nil {
			st, err = c.Status(sh.ctx)
		}
		line, code := nagios(st, err)
		fmt.Fprintln(sh.out, line)
		return &exitError{code: code}
	}
	switch {
	case err != nil:
		return err
	case v.Watch && !terminal(sh.out):
		return &exitError{code: exitUsage, text: "--watch needs a terminal\nTry: calljournal status, or --json"}
	case v.Watch:
		return v.watch(sh, c)
	}
	return v.once(sh, c)
}

func (v statusVerb) once(sh *shell, c *api.Client) error {
	st, err := c.Status(sh.ctx)
	if err != nil {
		return err
	}
	if v.JSON {
		err = sh.json(st)
	} else {
		err = printStatus(sh.screen(), st, sh.zone())
	}
	if err == nil && st.State == api.StateDegraded {
		return &exitError{code: exitDegraded}
	}
	return err
}

func printStatus(w io.Writer, st api.Status, zone *time.Location) error {
	var b strings.Builder
	state := styleGood.Render(st.State)
	if st.State != api.StateWell {
		state = styleBad.Render(st.State)
	}
	fmt.Fprintf(&b, "%s %s, calljournal %s, for %s\n", plain(st.Agent), state, plain(st.Version), st.At.Sub(st.StartedAt).Round(time.Second))
	for _, p := range st.Problems {
		fmt.Fprintf(&b, "%s %s\n", styleBad.Render("!"), plain(p))
	}
	for _, w := range st.Warnings {
		fmt.Fprintf(&b, "%s %s\n", styleDim.Render("?"), plain(w))
	}
	b.WriteByte('\n')
	var links [][]string
	for _, l := range st.Links {
		links = append(links, []string{plain(l.PBX), plain(strings.TrimSpace(l.Kind + " " + short(l.PBXVersion, 24))), plain(l.Address), l.State, ago(st.At, l.Since),
			ago(st.At, l.LastByteAt), strconv.Itoa(l.OpenCalls), strconv.FormatUint(l.Events, 10), strconv.FormatUint(l.Dropped, 10), strconv.FormatUint(l.Anomalies, 10)})
	}
	b.WriteString(tableText([]string{"PBX", "KIND", "ADDRESS", "LINK", "SINCE", "LAST BYTE", "OPEN", "FACTS", "DROPPED", "ODD"}, links) + "\n\n")

	last := "none yet"
	if st.LastCall != nil {
		last = plain(st.LastCall.ID) + ", " + ago(st.At, st.LastCall.At)
	}
	j := st.Journal
	fmt.Fprintf(&b, "open calls %d, last call %s\n", st.OpenCalls, last)
	fmt.Fprintf(&b, "journal %s: %d calls, %s, %s, %s free on the disk\n", plain(j.Path), j.Calls, entries(j), size(j.FileBytes), size(j.DiskFree))
	if r := st.Retention; r.CallsDays > 0 || r.MaxBytes > 0 {
		var limits []string
		if r.CallsDays > 0 {
			limits = append(limits, fmt.Sprintf("%d days", r.CallsDays))
		}
		if r.MaxBytes > 0 {
			limits = append(limits, fmt.Sprintf("%s, in use %s", size(r.MaxBytes), size(r.UsedBytes)))
		}
		fmt.Fprintf(&b, "kept %s; %d entries dropped since the start\n", strings.Join(limits, " and "), r.Dropped)
	}
	if r := st.Retention; r.RecordingsDays > 0 || r.VoicemailDays > 0 {
		fmt.Fprintf(&b, "files of old calls: %d recordings and %d messages deleted since the start, %s\n", r.RecordingsDeleted, r.MessagesDeleted, size(r.BytesDeleted))
	}
	for _, c := range st.Consumers {
		since := ""
		if c.Lag > 0 {
			since = fmt.Sprintf(" for %s", (time.Duration(c.LagMs) * time.Millisecond).Round(time.Second))
		}
		fmt.Fprintf(&b, "consumer %s: has %d, %d behind%s, told %s\n", plain(c.Name), c.Seq, c.Lag, since, ago(st.At, c.At))
	}
	if u := st.Uplink; u != nil {
		fmt.Fprintf(&b, "uplink to %s: %s, since %s, asked %d times\n", plain(u.URL), u.State, ago(st.At, u.Since), u.Requests)
	}
	for _, f := range st.Forwarders {
		fmt.Fprintf(&b, "forward %s (%s): %s, sent up to %d, %d behind, oldest waiting for %s, %d dead\n",
			plain(f.Name), f.Kind, f.State, f.Seq, f.Lag, waiting(st, f), f.Dead)
	}
	for _, m := range st.Mailings {
		fmt.Fprintf(&b, "%s %s to %s: %s, last mailed %s, next %s, %d tries, %d set aside\n",
			m.Kind, plain(m.Name), plain(m.To), m.State, ago(st.At, m.SentAt), timeIn(zone, m.NextAt), m.Tries, len(m.Aside))
	}
	waits := map[string]int{}
	recorded := map[string]bool{}
	for _, l := range st.Links {
		h := l.Healing
		if h == nil {
			continue
		}
		recorded[l.PBX], waits[l.PBX] = true, h.Waiting
		read := "not read yet in this run"
		if h.ReadAt != 0 {
			read = fmt.Sprintf("%d rows read, last %s", h.Rows, ago(st.At, h.ReadAt))
		}
		fmt.Fprintf(&b, "records of %s in %s: gaps waiting to be healed %d, %s\n", plain(l.PBX), plain(h.File), h.Waiting, read)
	}
	for _, g := range st.Gaps { // the newest first, and it is the newest that wait
		healed := "not healed"
		switch {
		case g.Healed:
			healed = "healed"
		case !recorded[g.PBX]:
			healed = "not healed, as it has no cdr_file"
		case waits[g.PBX] > 0:
			healed = "waits for its records"
			waits[g.PBX]--
		}
		fmt.Fprintf(&b, "gap at %s: %s to %s: %s: %s\n", plain(g.PBX), timeIn(zone, g.From), timeIn(zone, g.To), plain(g.Reason), healed)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// entries is what the feed has to give.
func entries(j api.Journal) string {
	if j.Head < j.Oldest {
		return "no entries"
	}
	return fmt.Sprintf("entries %d to %d", j.Oldest, j.Head)
}
