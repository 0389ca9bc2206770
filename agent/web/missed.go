package web

import (
	"cmp"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"calljournal/agent/access"
	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// missedPage is the worklist of missed callers.
type missedPage struct {
	State   string // stateToDo, stateAll or one of journal's
	States  []choice
	Period  period
	Here    string // this page, to come back to
	Callers []missedRow
	Older   string // address of the next page, "" on the last
	Newest  string // address of the first page, "" on the first
	Cut     bool   // there is more to do than is shown
	Admin   bool
	Marked  string // the number that was named as a spammer's a moment ago
}

// choice is a link of which one is the current.
type choice struct {
	Word, Path string
	Current    bool
}

// missedRow is one missed caller as the page shows him.
type missedRow struct {
	*journal.MissedCaller
	Caller   call.Party
	Open     bool
	Last     journal.MissedCall
	Earlier  []journal.MissedCall // the newest first
	More     int                  // calls beyond those
	Asked    []journal.Asked      // in any of the calls
	Queues   []string
	WaitsMs  int64        // since he was missed first; 0 if it is over
	LeftMs   int64        // until he is lost; 0 if it is over
	Level    string       // bad from half of the time on after which he is lost
	Dial     template.URL // to call back; "" if there is nothing to dial
	Spammer  string       // the number to name, "" if there is none
	AllCalls string       // address of the journal with his calls
}

// What the list shows beside one state: whom somebody should call back; everybody.
const (
	stateToDo = "todo"
	stateAll  = "all"
)

var missedStates = []string{stateToDo, journal.StateOpen, journal.StateAttempted, journal.StateCalledBack, journal.StateCameBack, journal.StateLost, stateAll}

const (
	missedLimit = 50
	toDoLimit   = 500
	shownCalls  = 4 // before the last
)

func (s *Site) missed(v *visit) (any, error) {
	q := v.URL.Query()
	p := missedPage{
		State: cmp.Or(q.Get("state"), stateToDo), Here: v.URL.RequestURI(), Admin: v.User.Scope == access.ScopeAdmin,
	}
	if !slices.Contains(missedStates, p.State) {
		return nil, v.refuse("missed.nostate")
	}
	var err error
	if p.Period, err = v.period(allTime); err != nil {
		return nil, err
	}
	ask := url.Values{"limit": {strconv.Itoa(missedLimit)}}
	switch p.State {
	case stateToDo:
		ask["state"], ask["limit"] = []string{journal.StateOpen + "," + journal.StateAttempted}, []string{strconv.Itoa(toDoLimit)}
	case stateAll:
	default:
		ask["state"] = []string{p.State}
	}
	p.Period.ask(ask)
	if cursor := q.Get("cursor"); cursor != "" && p.State != stateToDo {
		ask.Set("cursor", cursor)
		p.Newest = v.with("cursor", "")
	}
	if p.Marked, err = v.marked(); err != nil {
		return nil, err
	}
	page, err := v.Client.Missed(v.Context(), ask)
	if err != nil {
		return nil, err
	}
	for _, word := range missedStates {
		p.States = append(p.States, choice{word, v.with("cursor", "", "marked", "", "state", word), word == p.State})
	}
	now := call.MomentOf(s.o.Now())
	for _, m := range page.Callers {
		p.Callers = append(p.Callers, v.missedRow(m, now))
	}
	if p.State == stateToDo {
		// Who has waited longest is called back first.
		slices.SortStableFunc(p.Callers, func(x, y missedRow) int { return cmp.Compare(x.FirstAt, y.FirstAt) })
		p.Cut = page.Cursor != nil
	} else if page.Cursor != nil {
		p.Older = v.with("cursor", *page.Cursor, "marked", "")
	}
	return &p, nil
}

func (v *visit) missedRow(m *journal.MissedCaller, now call.Moment) missedRow {
	row := missedRow{
		MissedCaller: m, Caller: call.Party{Number: m.Number, E164: m.E164, Name: m.Name},
		Open: m.State == journal.StateOpen || m.State == journal.StateAttempted,
	}
	if n := len(m.Calls); n > 0 {
		row.Last = m.Calls[n-1]
		row.Earlier = slices.Clone(m.Calls[:n-1])
		slices.Reverse(row.Earlier)
		row.Earlier = row.Earlier[:min(len(row.Earlier), shownCalls)]
	}
	row.More = max(0, m.Times-1-len(row.Earlier))
	for _, c := range slices.Backward(m.Calls) {
		for _, a := range c.Asked {
			if !slices.ContainsFunc(row.Asked, func(o journal.Asked) bool { return o.Extension == a.Extension }) {
				row.Asked = append(row.Asked, a)
			}
		}
		for _, queue := range c.Queues {
			if !slices.Contains(row.Queues, queue) {
				row.Queues = append(row.Queues, queue)
			}
		}
	}
	number := cmp.Or(plain(m.E164), plain(m.Number))
	if number != "" && !v.User.MaskNumbers {
		row.AllCalls = "/?" + url.Values{"number": {number}}.Encode()
		row.Spammer = number
	}
	if row.Spammer != "" && m.HealedBy == nil {
		row.Dial = dial(number)
	}
	if !row.Open {
		return row
	}
	row.WaitsMs, row.LeftMs = max(0, now.Sub(m.FirstAt).Milliseconds()), max(0, m.LostAt.Sub(now).Milliseconds())
	row.Level = level(row.WaitsMs, m.LostAt.Sub(m.LastAt).Milliseconds()/2)
	return row
}

// marked is the number that the address says was named as a spammer's, if it is: an
// address may be an old one, or made up.
func (v *visit) marked() (string, error) {
	number := v.URL.Query().Get("marked")
	if number == "" || v.User.Scope != access.ScopeAdmin {
		return "", nil
	}
	list, err := v.Client.Spam(v.Context())
	if !slices.ContainsFunc(list.Numbers, func(n api.SpamNumber) bool { return n.Number == number }) {
		return "", err
	}
	return number, err
}

// dial is a link that a telephone understands (RFC 3966), or "" if the text is no
// number. It has nothing in it but what is checked here: so it may be trusted.
func dial(number string) template.URL {
	digits := strings.TrimPrefix(number, "+")
	if len(digits) < 3 || len(digits) > 20 || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	return template.URL("tel:" + number)
}

// with is the address of this page with other parameters; "" takes one away.
func (v *visit) with(pairs ...string) string {
	q := v.URL.Query()
	for i := 0; i < len(pairs); i += 2 {
		if q.Del(pairs[i]); pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return v.URL.Path
	}
	return v.URL.Path + "?" + q.Encode()
}

// markSpam names a number as a spammer's, or takes it off that list, and comes back.
func (s *Site) markSpam(v *visit) (any, error) {
	if err := v.readForm(maxForm); err != nil {
		return nil, err
	}
	number, back := v.PostFormValue("number"), local(v.PostFormValue("back"))
	to, err := url.Parse(back)
	if err != nil {
		return nil, err
	}
	q := to.Query()
	if q.Del("marked"); v.PostFormValue("off") == "" {
		named, err := v.Client.MarkSpam(v.Context(), number)
		if err != nil {
			return nil, err
		}
		q.Set("marked", named.Number)
	} else if err := v.Client.UnmarkSpam(v.Context(), number); err != nil {
		return nil, err
	}
	to.RawQuery = q.Encode()
	return nil, v.redirect(to.String())
}
