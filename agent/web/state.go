package web

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/access"
	"calljournal/agent/api"
	"calljournal/agent/call"
)

// statePage is what whoever looks after the daemon sees of it.
type statePage struct {
	api.Status
	Config api.Configuration
	Log    []api.LogEntry
	Users  []access.User
}

func (s *Site) state(v *visit) (any, error) {
	var p statePage
	ctx := v.Context()
	// Who may not see this is refused here, before he is shown anything.
	config, err := v.Client.Config(ctx)
	if err != nil {
		return nil, err
	}
	p.Config = config
	if p.Status, err = v.Client.Status(ctx); err != nil {
		return nil, err
	}
	log, err := v.Client.Log(ctx)
	if err != nil {
		return nil, err
	}
	p.Log = log.Entries
	users, err := v.Client.Users(ctx)
	p.Users = users.Users
	return &p, err
}

// Finding is what is wrong, in words of this language; "" if there are none for its
// kind. What a far side or the system said of it stays as it was said.
func (l *language) Finding(f api.Finding, brief func(call.Moment) string) string {
	text, ok := l.words["finding."+f.Kind]
	if !ok {
		return ""
	}
	var fill []string
	for name, v := range f.Values {
		n, err := strconv.ParseInt(v, 10, 64)
		isNumber := err == nil
		switch t, err := time.Parse(time.RFC3339, v); {
		case name == "since" && err == nil:
			v = brief(call.MomentOf(t))
		case name == "state", name == "kind":
			v = l.Word("state", v)
		case name == "why":
			v = l.Word("linkwhy", v)
		case name == "free" && isNumber:
			v = l.Bytes(n)
		case name == "step_ms" && isNumber:
			v = l.Lasting(n)
		case slices.Contains([]string{"count", "lost", "tries"}, name) && isNumber:
			v = l.Number(n)
		}
		fill = append(fill, "{"+name+"}", v)
	}
	return strings.NewReplacer(fill...).Replace(text)
}

// counted is how often something of a kind happened.
type counted struct {
	What  string
	Times uint64
}

// countedOf lists counters by kind, the most frequent first.
func countedOf(counters map[string]uint64) []counted {
	var list []counted
	for _, what := range slices.Sorted(maps.Keys(counters)) {
		list = append(list, counted{what, counters[what]})
	}
	slices.SortStableFunc(list, func(x, y counted) int { return cmp.Compare(y.Times, x.Times) })
	return list
}

// accessPage is the newest of the access log.
type accessPage struct {
	api.AccessPage
	Period    period
	Who, Call string
	lang      *language
}

const accessLimit = "50"

// Named is who asked: what he is in the reader's language, and his name.
func (p *accessPage) Named(who string) string {
	if kind, name, ok := strings.Cut(who, " "); ok && (kind == "user" || kind == "token") {
		return p.lang.Word("asked", kind) + " " + name
	}
	return who
}

// Asked is a filter of the log in the reader's words, without what says only how
// the answer was to look.
func (p *accessPage) Asked(filter string) string {
	q, err := url.ParseQuery(filter)
	if err != nil {
		return filter
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(q)) {
		switch name {
		case "limit", "table", "sort", "format", "lang":
			continue
		case "from", "to":
			parts = append(parts, p.lang.Word("period", name)+" "+strings.Join(q[name], ", "))
		default:
			parts = append(parts, p.lang.Word("filter", name)+": "+strings.Join(q[name], ", "))
		}
	}
	return strings.Join(parts, "; ")
}

func (s *Site) accessLog(v *visit) (any, error) {
	q := v.URL.Query()
	p := accessPage{Who: q.Get("who"), Call: q.Get("call"), lang: v.Lang}
	var err error
	if p.Period, err = v.period(allTime); err != nil {
		return nil, err
	}
	ask := url.Values{"limit": {accessLimit}}
	for _, name := range []string{"who", "call"} {
		if text := q.Get(name); text != "" {
			ask.Set(name, text)
		}
	}
	p.Period.ask(ask)
	p.AccessPage, err = v.Client.Access(v.Context(), ask)
	return &p, err
}
