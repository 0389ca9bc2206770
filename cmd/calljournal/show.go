package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
)

type showVerb struct {
	ID   string `arg:"" help:"As calljournal calls lists it."`
	Why  bool   `help:"Also the facts of the PBX, and the rule behind each conclusion."`
	JSON bool   `name:"json" help:"As JSON."`
}

func (v showVerb) Run(sh *shell) error {
	c, err := sh.client()
	if err != nil {
		return err
	}
	var e api.Explained
	if v.Why {
		e, err = c.Why(sh.ctx, v.ID)
	} else {
		e.Call, err = c.Call(sh.ctx, v.ID)
	}
	if errors.Is(err, api.ErrNotFound) {
		return fmt.Errorf("%w\nTry: calljournal calls", err)
	}
	if err != nil {
		return err
	}
	switch {
	case v.JSON && v.Why:
		return sh.json(e)
	case v.JSON:
		return sh.json(e.Call)
	}
	w := sh.screen()
	printCall(w, e.Call, sh.zone())
	if v.Why {
		printWhy(w, &e)
	}
	return nil
}

func printCall(w io.Writer, r *call.Record, zone *time.Location) {
	var b strings.Builder
	fact := func(name, text string) {
		if text != "" && text != "-" {
			fmt.Fprintf(&b, "%-14s %s\n", name, text)
		}
	}
	fmt.Fprintf(&b, "%s call, %s%s\n", r.Direction, r.Status, map[bool]string{true: ", missed"}[r.Missed])
	fact("id", fmt.Sprintf("%s (revision %d)", short(r.ID, 300), r.Rev))
	fact("from", party(r.From))
	fact("to", party(r.To))
	if r.Line != nil {
		fact("line", short(strings.TrimSpace(r.Line.Number+" "+strings.Trim(str(r.Line.Name), "-")), 120))
	}
	fact("trunk", short(str(r.Trunk), 120))
	fact("started", timeIn(zone, r.StartedAt))
	fact("answered", timeIn(zone, r.AnsweredAt))
	fact("ended", timeIn(zone, r.EndedAt))
	fact("ended by", str(r.EndedBy))
	fact("abandoned in", str(r.AbandonedIn))
	fact("wait", ms(r.WaitMs))
	fact("in menus", ms(r.IVRMs))
	fact("in queues", ms(r.QueueMs))
	fact("ringing", ms(r.RingMs))
	fact("talk", ms(r.TalkMs))
	fact("on hold", ms(r.HoldMs))
	fact("total", ms(r.TotalMs))
	fact("answered by", short(str(r.AnsweredBy), 120))
	fact("last with", short(str(r.LastTalkedBy), 120))
	fact("queues", short(strings.Join(r.Queues, ", "), 300))
	if r.Cause != nil {
		fact("cause", short(causeText(r.Cause), 120))
	}
	fact("types", strings.Join(r.Types, ", "))
	fact("healed by", short(str(r.HealedBy), 300))
	fact("account", short(str(r.Account), 120))
	if c := r.Cost; c != nil {
		fact("cost", short(fmt.Sprintf("%s %s for %s to %s", c.Amount, c.Currency, ms(&c.BilledMs), c.Prefix), 120))
	}
	fact("tags", short(strings.Join(r.Tags, ", "), 300))
	for _, rec := range r.Recordings {
		fact("recording", fileText(rec.File, rec.DurationMs, rec.Available))
	}
	if m := r.Voicemail; m != nil {
		fact("voicemail", short("mailbox "+m.Mailbox, 60)+": "+fileText(m.File, m.DurationMs, m.Available))
	}
	if f := r.Fax; f != nil {
		fact("fax", f.Direction+": "+fileText(f.File, nil, f.Available))
	}
	if q := quality(r); q != "" {
		fact("quality", styleBad.Render(q))
	}

	if len(r.Legs) > 0 {
		rows := make([][]string, 0, len(r.Legs))
		for _, l := range r.Legs {
			who := str(l.Number)
			if l.Employee != nil {
				who += " " + *l.Employee
			}
			rows = append(rows, []string{l.Role, short(who, 30), l.Result, clock(r, l.StartedAt), clock(r, l.RingingAt), clock(r, l.AnsweredAt), clock(r, l.EndedAt),
				ms(l.RingMs), ms(l.TalkMs), short(str(l.Queue), 16), short(l.Channel, 40)})
		}
		b.WriteString("\n" + tableText([]string{"LEG", "WHO", "RESULT", "START", "RINGS", "ANSWERS", "ENDS", "RANG", "TALKED", "QUEUE", "CHANNEL"}, rows) + "\n")
	}
	if len(r.Timeline) > 0 {
		rows := make([][]string, 0, len(r.Timeline))
		for _, s := range r.Timeline {
			rows = append(rows, []string{s.Kind, clock(r, s.From), clock(r, s.To), s.To.Sub(s.From).Round(10 * time.Millisecond).String(), short(str(s.Party), 30)})
		}
		b.WriteString("\n" + tableText([]string{"TIMELINE", "FROM", "TO", "FOR", "WITH"}, rows) + "\n")
	}
	for _, t := range r.Transfers {
		fmt.Fprintf(&b, "\n%s transfer at %s by %s to %s", t.Type, clock(r, t.At), short(str(t.By), 60), short(str(t.To), 60))
	}
	if len(r.Transfers) > 0 {
		b.WriteByte('\n')
	}
	_, _ = io.WriteString(w, b.String())
}

// fileText is a file of a call, and whether it is there.
func fileText(name *string, lasts *int64, available bool) string {
	text := "no file"
	if name != nil {
		text = short(*name, 120)
	}
	if lasts != nil {
		text += ", " + ms(lasts)
	}
	if name != nil && !available {
		text += ", not there"
	}
	return text
}

func causeText(c *call.Cause) string {
	var parts []string
	if c.Q850 != 0 {
		parts = append(parts, fmt.Sprint(c.Q850))
	}
	if c.Text != "" {
		parts = append(parts, c.Text)
	}
	if c.SIP != 0 {
		parts = append(parts, fmt.Sprintf("(SIP %d)", c.SIP))
	}
	return strings.Join(parts, " ")
}

// clock is a moment of a call as time since its start.
func clock(r *call.Record, m call.Moment) string {
	if m == 0 {
		return "-"
	}
	return fmt.Sprintf("+%.2fs", m.Sub(r.StartedAt).Seconds())
}

func printWhy(w io.Writer, e *api.Explained) {
	var b strings.Builder
	if len(e.Reasons) == 0 && len(e.Facts) == 0 {
		b.WriteString("\nThe journal no longer has the facts behind this call.\n")
	}
	if len(e.Reasons) > 0 {
		rows := make([][]string, 0, len(e.Reasons))
		for _, r := range e.Reasons {
			rows = append(rows, []string{r.Field, r.Rule, factNumbers(r.Facts)})
		}
		b.WriteString("\n" + tableText([]string{"FIELD", "RULE", "FACTS"}, rows) + "\n")
	}
	if len(e.Facts) > 0 {
		rows := make([][]string, 0, len(e.Facts))
		for i := range e.Facts {
			f := &e.Facts[i]
			rows = append(rows, []string{fmt.Sprint(f.N), clock(e.Call, f.At), f.Kind.String(), factDetail(f)})
		}
		b.WriteString("\n" + tableText([]string{"FACT", "AT", "KIND", "WHAT THE PBX SAID"}, rows) + "\n")
	}
	_, _ = io.WriteString(w, b.String())
}

func factNumbers(facts []uint64) string {
	parts := make([]string, 0, len(facts))
	for _, n := range facts {
		parts = append(parts, fmt.Sprint(n))
	}
	return strings.Join(parts, " ")
}

// factDetail names what a fact says, without what it does not say.
func factDetail(f *call.Event) string {
	var parts []string
	add := func(name, text string) {
		if text != "" {
			parts = append(parts, name+"="+short(text, 60))
		}
	}
	add("leg", string(f.Leg))
	add("peer", string(f.Peer))
	add("channel", f.Channel)
	add("number", f.Number)
	add("name", f.CallerName)
	add("dialled", f.Dialled)
	add("bridge", f.Bridge)
	add("queue", f.Queue)
	add("result", f.Result)
	add("by", f.By)
	add("data", f.Data)
	add("file", f.File)
	if f.Cause != nil {
		add("cause", causeText(f.Cause))
	}
	if f.Transfer != nil {
		add("transfer", f.Transfer.Type+" to "+f.Transfer.To)
	}
	return strings.Join(parts, " ")
}
