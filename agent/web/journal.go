package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"calljournal/agent/api"
	"calljournal/agent/call"
)

// journalPage is the table of calls.
type journalPage struct {
	*selection
	Columns []column
	Sort    string
	Sorts   []option
	Limits  []option
	Calls   []journalRow
	First   string // the address of the first page; "" on it
	Next    string // of the next one; "" on the last
	Sum     *sum
}

// column is a heading of the table, by which the calls can be sorted or not.
type column struct {
	Name   string
	Number bool
	To     string // the address sorted by it; "" if it cannot be
	Order  string // ascending, descending; "" if they are not sorted by it
}

// journalColumns in their order: by what the interface sorts, and which way first.
var journalColumns = []struct {
	name, sort   string
	number, down bool
}{
	{name: "began", sort: "started_at", down: true},
	{name: "from", sort: "from"}, {name: "to", sort: "to"}, {name: "employee"}, {name: "status", sort: "status"},
	{name: "wait", sort: "wait", number: true, down: true}, {name: "talk", sort: "talk", number: true, down: true},
	{name: "types"}, {name: "cost", sort: "cost", number: true, down: true}, {name: "files"},
}

// sorts are all that the interface sorts by, the headings' and others.
var sorts = []string{"-started_at", "started_at", "-ended_at", "-wait", "-talk", "-total", "-ring", "-cost", "from", "to", "status"}

var pageSizes = []string{"50", "100"}

// sum is what the calls of the selection come to.
type sum struct {
	Row *api.StatisticsRow // nil: nobody has counted
	// Count is the address that counts; Now says that it may be asked at once.
	Count string
	Now   bool
}

// sumDays is how long a period may be whose calls are counted unasked for a reader
// of one department: each of them must be looked at.
const sumDays = 31

// journalRow is a call as the table shows it.
type journalRow struct{ *call.Record }

// journal is the table of calls.
func (s *Site) journal(v *visit) (any, error) {
	sel, err := v.selection(allTime, "sort", "limit", "cursor", "sum")
	if err != nil {
		return nil, err
	}
	ask := sel.Query()
	for _, name := range []string{"sort", "limit", "cursor"} {
		if value := sel.Asked(name); value != "" {
			ask.Set(name, value)
		}
	}
	calls, err := v.Client.Calls(v.Context(), ask)
	if refused := (*api.Refusal)(nil); errors.As(err, &refused) && refused.Status == http.StatusUnprocessableEntity && ask.Has("cursor") {
		// The page of another day, or of before a salvage: the list begins anew.
		ask.Del("cursor")
		if _, err := v.Client.Calls(v.Context(), ask); err == nil {
			return nil, v.redirect(sel.With("cursor", ""))
		}
	}
	if err != nil {
		return nil, err
	}
	p := &journalPage{selection: sel, Sort: cmp.Or(sel.Asked("sort"), "-started_at")}
	for _, r := range calls.Calls {
		p.Calls = append(p.Calls, journalRow{r})
	}
	if sel.asked.Has("cursor") {
		p.First = sel.With("cursor", "")
	}
	if calls.Cursor != nil {
		p.Next = sel.With("cursor", *calls.Cursor)
	}
	for _, c := range journalColumns {
		p.Columns = append(p.Columns, p.column(c.name, c.sort, c.number, c.down))
	}
	for _, name := range sorts {
		if sel.masked && (name == "from" || name == "to") {
			continue
		}
		value := name
		if name == sorts[0] {
			value = "" // goes without saying
		}
		p.Sorts = append(p.Sorts, option{value, v.Lang.Text("sort." + name), name == p.Sort})
	}
	for _, size := range pageSizes {
		value := size
		if size == pageSizes[0] {
			value = ""
		}
		p.Limits = append(p.Limits, option{value, size, value == sel.Asked("limit")})
	}
	p.Sum, err = v.sum(sel)
	return p, err
}

func (p *journalPage) column(name, sort string, number, down bool) column {
	c := column{Name: name, Number: number}
	if sort == "" || p.masked && (sort == "from" || sort == "to") {
		return c
	}
	first, second := sort, "-"+sort
	if down {
		first, second = second, first
	}
	next := first
	switch p.Sort {
	case sort:
		c.Order = "ascending"
	case "-" + sort:
		c.Order = "descending"
	}
	if p.Sort == first {
		next = second
	}
	c.To = p.With("sort", next)
	return c
}

// sum counts the calls of the selection if that is done in no time, or if it was
// asked for. A page that comes without it asks again, in its own time.
func (v *visit) sum(sel *selection) (*sum, error) {
	if sel.asked.Has("cursor") {
		return nil, nil
	}
	s := &sum{Count: sel.With("sum", "1"), Now: v.User.Department == "" || sel.Period.short(sumDays)}
	if !sel.asked.Has("sum") && (sel.Narrow() || v.User.Department != "") {
		return s, nil
	}
	st, err := v.Client.Stats(v.Context(), sel.Query())
	if err != nil {
		return nil, err
	}
	s.Row = &api.StatisticsRow{}
	if len(st.Rows) > 0 {
		s.Row = &st.Rows[0]
	}
	return s, nil
}

// Follow says that new calls may appear on this page.
func (p *journalPage) Follow() bool { return p.First == "" }

// Address is where the call is shown.
func (r journalRow) Address() string { return callAddress(r.ID) }

func callAddress(id string) string { return "/calls/" + url.PathEscape(id) }

// Key is the call's id as an element of a page may be named.
func (r journalRow) Key() string { return "call-" + elementID(r.ID) }

// elementID makes of a name from outside what an id and a selector hold.
func elementID(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '_'
	}, name)
}

// Employees are who of the company had to do with the call: who called or spoke
// with the caller; if nobody did, whose phones rang.
func (r journalRow) Employees() (list []call.Party, spoke bool) {
	add := func(p call.Party) {
		if p.Extension != nil && !slices.ContainsFunc(list, func(o call.Party) bool { return *o.Extension == *p.Extension }) {
			list = append(list, p)
		}
	}
	leg := func(l *call.Leg) call.Party {
		return call.Party{Number: l.Number, Extension: l.Extension, Employee: l.Employee, Department: l.Department}
	}
	if r.Direction != call.Inbound {
		add(r.From)
	}
	for _, who := range []*string{r.AnsweredBy, r.LastTalkedBy} {
		for i := range r.Legs {
			if l := &r.Legs[i]; who != nil && l.Extension != nil && *l.Extension == *who {
				add(leg(l))
			}
		}
	}
	if len(list) > 0 {
		return list, true
	}
	for i := range r.Legs {
		if l := &r.Legs[i]; l.Role == call.RolePhone {
			add(leg(l))
		}
	}
	if len(list) == 0 {
		add(r.To)
	}
	return list, false
}

// Who is the first of them for the table, with how many more.
func (r journalRow) Who() *who {
	list, spoke := r.Employees()
	if len(list) == 0 {
		return nil
	}
	return &who{list[0], len(list) - 1, spoke}
}

type who struct {
	call.Party
	More  int
	Spoke bool
}

// Reason is why a call was not answered, for people; "" if there is no more to
// say than its status.
func (l *language) Reason(r *call.Record) string {
	switch {
	case r.Status == call.StatusAbandoned && r.AbandonedIn != nil:
		text := l.Word("abandoned", *r.AbandonedIn)
		if *r.AbandonedIn == "queue" && len(r.Queues) > 0 {
			text += " " + r.Queues[len(r.Queues)-1]
		}
		return text
	case r.Status == call.StatusVoicemail && r.Voicemail != nil:
		return r.Voicemail.Mailbox
	case r.Cause == nil || r.Cause.Q850 == 0 && r.Cause.SIP == 0 || r.Cause.Q850 == 16 && r.Cause.SIP == 0 || r.Status == call.StatusAnswered || r.Status == call.StatusAbandoned || r.Status == call.StatusFax:
		return "" // 16 is how any call ends, and 0 is no cause
	}
	// What the status says already is not said twice.
	why := l.Cause(r.Cause)
	if rest, said := strings.CutPrefix(why, l.Word("status", r.Status)); said {
		why = strings.Trim(rest, " ()")
	}
	return why
}

// Cause is a hang-up cause for people: the Q.850 one in their language, or what
// the PBX said.
func (l *language) Cause(c *call.Cause) string {
	if c == nil {
		return unknown
	}
	if c.Q850 == 0 && c.SIP != 0 {
		return fmt.Sprintf("SIP %d", c.SIP)
	}
	key := "q" + strconv.Itoa(c.Q850)
	text := l.Word("cause", key)
	if text == key {
		text = c.Text
	}
	if c.SIP != 0 {
		text = strings.TrimSpace(text + fmt.Sprintf(" (SIP %d)", c.SIP))
	}
	return cmp.Or(text, unknown)
}

// Money writes what a call cost: 12,60 RUB.
func (l *language) Money(c *call.Cost) string {
	if c == nil || c.Amount == "" {
		return unknown
	}
	sign := c.Currency
	if sign == "RUB" {
		sign = "₽"
	}
	return strings.Replace(c.Amount, ".", l.comma, 1) + "\u00a0" + sign
}
