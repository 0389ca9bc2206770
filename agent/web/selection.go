package web

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// selection is which calls an address asks for. Every page of calls or figures
// takes the same parameters as the interface does, and a period by a word: so a
// link from one page to another only changes the path.
//
//	address ──▶ visit.selection ──▶ Query  ──▶ api.Client
//	   ▲                        ├─▶ Chips, With, Without: links
//	   └── form GET ◀───────────┴─▶ Picks: the form
type selection struct {
	Period period
	path   string
	asked  url.Values // as the address has it, without what is empty
	own    []string   // parameters of the page that are none of a filter
	lang   *language
	names  api.Directory
	masked bool
}

// filterField is a parameter by which calls are selected.
type filterField struct {
	name   string
	values []string // that it may have; nil: names
	most   bool     // asked for often
}

// filterFields are those that may be given several times, in the order of the form.
var filterFields = []filterField{
	{name: "direction", values: []string{call.Inbound, call.Outbound, call.Internal}, most: true},
	{name: "status", most: true, values: []string{
		call.StatusAnswered, call.StatusAbandoned, call.StatusNoAnswer, call.StatusBusy, call.StatusRejected,
		call.StatusFailed, call.StatusVoicemail, call.StatusFax, call.StatusSelfService,
	}},
	{name: "employee", most: true},
	{name: "type", values: []string{"unique", "repeat", "target", "callback", "called_back", "came_back", "lost", "short", "spam"}},
	{name: "department"}, {name: "queue"}, {name: "line"}, {name: "source"}, {name: "trunk"},
	{name: "has", values: []string{"recording", "voicemail", "fax"}},
	{name: "weekday", values: weekdays[:]}, {name: "hour", values: hours[:]},
}

// The days and hours of the week, as the interface calls them.
var (
	weekdays = [7]string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	hours    = [24]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21", "22", "23"}
)

// The other parameters of a filter: each given once, but for number.
var (
	lengths = []string{"min_wait", "max_wait", "min_talk", "max_talk"}
	singles = append([]string{"missed", "part", "number", "q"}, lengths...)
)

// selection reads the address. One that says a thing twice, or nothing with many
// words, as a form does that was not filled in, or something that is none of ours, as
// what a link is followed by, is led to the address that says the same shortly.
// standard is the period without a word about it, own are the page's parameters
// that are none of a filter.
func (v *visit) selection(standard string, own ...string) (*selection, error) {
	given := v.URL.Query()
	asked := url.Values{}
	for name, values := range given {
		if !asks(name) && !slices.Contains(own, name) {
			continue
		}
		for _, text := range values {
			if text = strings.TrimSpace(text); text != "" && !slices.Contains(asked[name], text) {
				asked.Add(name, text)
			}
		}
	}
	if asked.Has("from") || asked.Has("to") {
		asked.Del("period")
	}
	if !asked.Has("employee") && !asked.Has("department") {
		asked.Del("part")
	}
	if short := asked.Encode(); short != given.Encode() {
		return nil, v.redirect(address(v.URL.Path, asked))
	}
	s := &selection{path: v.URL.Path, asked: asked, own: own, lang: v.Lang, masked: v.User.MaskNumbers}
	var err error
	if s.Period, err = v.period(standard); err != nil {
		return nil, err
	}
	if err = s.check(v); err != nil {
		return nil, err
	}
	s.names, err = v.Client.Directory(v.Context())
	return s, err
}

// asks says whether a parameter is one of every selection.
func asks(name string) bool {
	return slices.Contains([]string{"period", "from", "to"}, name) || slices.Contains(singles, name) ||
		slices.ContainsFunc(filterFields, func(f filterField) bool { return f.name == name })
}

// check refuses what people may well type or mend in an address, in their language.
// The interface would refuse it in its own, or not be asked.
func (s *selection) check(v *visit) error {
	for _, name := range lengths {
		for _, text := range s.asked[name] {
			if _, ok := readLength(text); !ok {
				return v.refuse("error.length", s.lang.Text("filter."+name), text)
			}
		}
	}
	for _, f := range filterFields {
		for _, value := range s.taken(f) {
			if f.values != nil && value != "" && !slices.Contains(f.values, value) {
				return s.noSuch(v, f.name, value)
			}
		}
	}
	for _, text := range s.asked["missed"] {
		if _, err := strconv.ParseBool(text); err != nil {
			return s.noSuch(v, "missed", text)
		}
	}
	for _, text := range s.asked["part"] {
		if text != journal.PartCounted && text != journal.PartElsewhere {
			return s.noSuch(v, "part", text)
		}
	}
	return nil
}

func (s *selection) noSuch(v *visit, name, value string) error {
	return v.refuse("error.value", s.lang.Text("filter."+name), value)
}

func address(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// Query is the filter as the interface takes it.
func (s *selection) Query() url.Values {
	q := url.Values{}
	for name, values := range s.asked {
		if !slices.Contains(s.own, name) {
			q[name] = slices.Clone(values)
		}
	}
	for _, name := range lengths {
		for i, text := range q[name] {
			d, _ := readLength(text) // it was checked
			q[name][i] = d.String()
		}
	}
	s.Period.ask(q)
	return q
}

// readLength reads a length of time as pages write it, 1:30, or as the interface
// takes it: 90s, 1m30s, seconds.
func readLength(text string) (d time.Duration, ok bool) {
	parts := strings.Split(text, ":")
	if len(parts) > 3 {
		return 0, false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 20)
		if err != nil || i > 0 && (n > 59 || len(part) != 2) {
			d, err = time.ParseDuration(text)
			return d, err == nil && d >= 0
		}
		d = d*60 + time.Duration(n)*time.Second
	}
	return d, true
}

// Narrow says that more is asked for than a period.
func (s *selection) Narrow() bool {
	q := s.Query()
	q.Del("from")
	q.Del("to")
	return len(q) > 0
}

// links below never keep the page that is looked at: it is one of another list.
func (s *selection) copy() url.Values {
	q := url.Values{}
	for name, values := range s.asked {
		if name != "cursor" {
			q[name] = slices.Clone(values)
		}
	}
	return q
}

// With is the address with one more thing changed: an empty value takes the
// parameter away.
func (s *selection) With(name, value string) string {
	q := s.copy()
	if q.Del(name); value != "" {
		q.Set(name, value)
	}
	return address(s.path, q)
}

// At is the same selection on another page.
func (s *selection) At(path string) string {
	q := s.copy()
	for _, name := range s.own {
		q.Del(name)
	}
	s.Period.keep(q) // without a word each page has a period of its own
	return address(path, q)
}

// Without is the address with one value less.
func (s *selection) Without(name, value string) string {
	q := s.copy()
	q[name] = slices.DeleteFunc(q[name], func(v string) bool { return v == value })
	if len(q[name]) == 0 {
		q.Del(name)
	}
	if !q.Has("employee") && !q.Has("department") {
		q.Del("part")
	}
	return address(s.path, q)
}

// Plain is the address without any filter but the period.
func (s *selection) Plain() string {
	q := s.copy()
	for name := range q {
		if !slices.Contains(append([]string{"period", "from", "to"}, s.own...), name) {
			q.Del(name)
		}
	}
	return address(s.path, q)
}

// Download is the address of the table of all calls of the selection.
func (s *selection) Download(format string) string {
	q := s.Query()
	q.Set("format", format)
	if sort := s.asked.Get("sort"); sort != "" {
		q.Set("sort", sort)
	}
	return address("/v1/calls/export", q)
}

// Asked is the first value of a parameter of the address.
func (s *selection) Asked(name string) string { return s.asked.Get(name) }

// chip is one thing that is asked for, and the address without it.
type chip struct{ Name, Text, Without string }

// Chips are all that is asked for but a preset.
func (s *selection) Chips() []chip {
	var chips []chip
	add := func(name, value, text string) {
		chips = append(chips, chip{s.lang.Text("filter." + name), text, s.Without(name, value)})
	}
	if s.asked.Has("from") || s.asked.Has("to") {
		q := s.copy()
		q.Del("from")
		q.Del("to")
		chips = append(chips, chip{s.lang.Text("period.period"), s.lang.Span(s.Period), address(s.path, q)})
	}
	for _, f := range filterFields {
		for _, value := range s.asked[f.name] {
			text := value
			switch {
			case f.values != nil && strings.Contains(value, ","): // as the interface takes it too
				var words []string
				for one := range strings.SplitSeq(value, ",") {
					words = append(words, s.lang.Word(f.name, one))
				}
				text = strings.Join(words, ", ")
			case f.values != nil:
				text = s.lang.Word(f.name, value)
			default:
				for _, o := range s.known(f.name) {
					if o.Value == value {
						text = o.Text
					}
				}
			}
			add(f.name, value, text)
		}
	}
	for _, name := range singles {
		for _, value := range s.asked[name] {
			switch name {
			case "missed":
				add(name, value, s.lang.Word("whether", value))
			case "part":
				add(name, value, s.lang.Word("part", value))
			case "min_wait", "max_wait", "min_talk", "max_talk":
				d, _ := readLength(value)
				add(name, value, length(d.Milliseconds()))
			default:
				add(name, value, value)
			}
		}
	}
	return chips
}

// Kept are parameters that the form has no field for.
func (s *selection) Kept() []chip {
	var kept []chip
	for _, name := range append([]string{"part"}, s.own...) {
		if name == "cursor" || name == "sort" || name == "limit" {
			continue
		}
		for _, value := range s.asked[name] {
			kept = append(kept, chip{Name: name, Text: value})
		}
	}
	return kept
}

// pick is a list of the form, of which several may be taken.
type pick struct {
	Name    string
	Options []option
	Chosen  []string // as people read it
	Others  []option // of too many to show: for what is typed
	Typed   bool     // names may be typed
}

type option struct {
	Value, Text string
	Checked     bool
}

// mostShown is how many names are shown with boxes; of more, one is typed.
const mostShown = 60

// Common are the lists that are always there, Rare those behind a fold.
func (s *selection) Common() []pick { return s.picks(true) }

// Rare are the other ones.
func (s *selection) Rare() []pick { return s.picks(false) }

func (s *selection) picks(most bool) []pick {
	var picks []pick
	for _, f := range filterFields {
		if f.most != most {
			continue
		}
		p := pick{Name: f.name, Typed: f.values == nil}
		if p.Options = s.known(f.name); p.Typed && len(p.Options) > mostShown {
			p.Others, p.Options = p.Options, nil
		}
		for _, value := range s.taken(f) {
			at := slices.IndexFunc(p.Options, func(o option) bool { return o.Value == value })
			if at < 0 {
				at = len(p.Options)
				p.Options = append(p.Options, option{Value: value, Text: value})
			}
			p.Options[at].Checked = true
			p.Chosen = append(p.Chosen, p.Options[at].Text)
		}
		picks = append(picks, p)
	}
	return picks
}

// taken are the values of a field that are asked for.
func (s *selection) taken(f filterField) (values []string) {
	for _, value := range s.asked[f.name] {
		if f.values == nil {
			values = append(values, value)
			continue
		}
		values = append(values, strings.Split(value, ",")...)
	}
	return values
}

// known are the values of a field that there are.
func (s *selection) known(name string) (options []option) {
	add := func(value string, text ...string) {
		text = slices.DeleteFunc(text, func(t string) bool { return t == "" })
		if value != "" && !strings.Contains(value, "***") { // what is masked cannot be asked for
			options = append(options, option{Value: value, Text: cmp.Or(strings.Join(text, " · "), value)})
		}
	}
	d := s.names
	switch name {
	case "employee":
		for _, e := range d.Employees {
			add(cmp.Or(e.Name, e.Extension), e.Name, e.Extension)
		}
	case "line":
		for _, l := range d.Lines {
			if strings.Contains(l.Number, "***") {
				add(l.Name)
				continue
			}
			add(cmp.Or(l.Name, l.Number), l.Name, l.Number)
		}
	case "department", "queue", "source", "trunk":
		for _, value := range map[string][]string{"department": d.Departments, "queue": d.Queues, "source": d.Sources, "trunk": d.Trunks}[name] {
			add(value)
		}
	default:
		for _, f := range filterFields {
			if f.name == name {
				for _, value := range f.values {
					add(value, s.lang.Word(name, value))
				}
			}
		}
	}
	return options
}

// Numbers says whether who looks may search for numbers.
func (s *selection) Numbers() bool { return !s.masked }

// RareAsked is how many things are asked for that the fold hides.
func (s *selection) RareAsked() (n int) {
	for _, f := range filterFields {
		if !f.most {
			n += len(s.asked[f.name])
		}
	}
	for _, name := range append([]string{"number"}, lengths...) {
		n += len(s.asked[name])
	}
	return n
}
