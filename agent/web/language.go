package web

import (
	"cmp"
	"fmt"
	"html/template"
	"io/fs"
	"math"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/transport"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/text/feature/plural"
	xlanguage "golang.org/x/text/language"
)

// language is one that the pages are in: its words, and how it writes numbers,
// dates and plurals.
type language struct {
	Code, Name string
	tag        xlanguage.Tag
	words      map[string]string
	counted    map[string]map[plural.Form]string
	months     [12]string // as in a date
	days       [7]string  // short, from Monday
	comma      string     // of decimals
	shortDay   string     // layouts of what stands under a chart
	shortMonth string
	thousands  string
	date       func(l *language, t time.Time) string
	brief      func(l *language, t time.Time, year bool) string
}

type languages struct {
	all     []*language
	matcher xlanguage.Matcher
}

var forms = map[string]plural.Form{"one": plural.One, "few": plural.Few, "many": plural.Many, "other": plural.Other}

// readLanguages reads the catalogues: lang/CODE/PART.toml with key = "text", or
// [key] with a text for each plural form.
func readLanguages() *languages {
	ls := &languages{all: []*language{
		{
			Code: "ru", Name: "Русский", tag: xlanguage.Russian, comma: ",", thousands: "\u00a0", shortDay: "02.01", shortMonth: "01.2006",
			months: [12]string{"января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября", "октября", "ноября", "декабря"},
			days:   [7]string{"пн", "вт", "ср", "чт", "пт", "сб", "вс"},
			date: func(l *language, t time.Time) string {
				return fmt.Sprintf("%d %s %d", t.Day(), l.months[t.Month()-1], t.Year())
			},
			brief: func(_ *language, t time.Time, year bool) string {
				if year {
					return t.Format("02.01.2006")
				}
				return t.Format("02.01")
			},
		},
		{
			Code: "en", Name: "English", tag: xlanguage.English, comma: ".", thousands: ",", shortDay: "2 Jan", shortMonth: "Jan 2006",
			months: [12]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
			days:   [7]string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"},
			date: func(l *language, t time.Time) string {
				return fmt.Sprintf("%d %s %d", t.Day(), l.months[t.Month()-1], t.Year())
			},
			brief: func(_ *language, t time.Time, year bool) string {
				if year {
					return t.Format("2 Jan 2006")
				}
				return t.Format("2 Jan")
			},
		},
	}}
	// English is what a browser gets that knows neither.
	ls.matcher = xlanguage.NewMatcher([]xlanguage.Tag{xlanguage.English, xlanguage.Russian})
	for _, l := range ls.all {
		l.words, l.counted = map[string]string{}, map[string]map[plural.Form]string{}
		parts, err := fs.Glob(files, "lang/"+l.Code+"/*.toml")
		if err != nil {
			panic(err)
		}
		for _, name := range parts {
			b, err := fs.ReadFile(files, name)
			if err != nil {
				panic(err)
			}
			var entries map[string]any
			if err := toml.Unmarshal(b, &entries); err != nil {
				panic(fmt.Sprintf("%s: %v", name, err))
			}
			l.take(strings.TrimSuffix(path.Base(name), ".toml"), entries)
		}
	}
	return ls
}

// take puts the entries of a catalogue under PART.key.
func (l *language) take(part string, entries map[string]any) {
	for key, entry := range entries {
		key = part + "." + key
		switch e := entry.(type) {
		case string:
			l.words[key] = e
		case map[string]any:
			l.counted[key] = map[plural.Form]string{}
			for form, text := range e {
				l.counted[key][forms[form]] = text.(string)
			}
		default:
			panic(fmt.Sprintf("lang/%s/%s: a text, or a table of plural forms", l.Code, key))
		}
	}
}

const languageCookie = "language"

// of is the language of a request: the one that was chosen, else the browser's.
func (ls *languages) of(r *http.Request) *language {
	if c, err := r.Cookie(languageCookie); err == nil {
		for _, l := range ls.all {
			if l.Code == c.Value {
				return l
			}
		}
	}
	tag, _ := xlanguage.MatchStrings(ls.matcher, r.Header.Get("Accept-Language"))
	base, _ := tag.Base()
	for _, l := range ls.all {
		if l.Code == base.String() {
			return l
		}
	}
	return ls.all[len(ls.all)-1]
}

func (s *Site) chooseLanguage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	http.SetCookie(w, &http.Cookie{
		Name: languageCookie, Value: r.PostFormValue("to"), Path: "/", MaxAge: 365 * 24 * 3600,
		HttpOnly: true, Secure: transport.Encrypted(r), SameSite: http.SameSiteLaxMode,
	})
	http.Redirect(w, r, local(r.PostFormValue("back")), http.StatusSeeOther)
}

// Text is the words for key; args fill its verbs as in fmt. A key that there is not
// is shown as it is: a test finds it.
func (l *language) Text(key string, args ...any) string {
	text, ok := l.words[key]
	if !ok {
		return key
	}
	if len(args) > 0 {
		return fmt.Sprintf(text, args...)
	}
	return text
}

// Word is the words for one of the record's own values, such as status.answered:
// what is not known is shown as the record has it.
func (l *language) Word(part, value string) string {
	if text, ok := l.words[part+"."+value]; ok {
		return text
	}
	return value
}

// Count is the words for n things; the number stands where the text has %s.
func (l *language) Count(key string, n int64) string {
	form := plural.Cardinal.MatchPlural(l.tag, int(min(max(n, -n), math.MaxInt32)), 0, 0, 0, 0)
	text, ok := l.counted[key][form]
	if !ok {
		if text, ok = l.counted[key][plural.Other]; !ok {
			return key
		}
	}
	return strings.Replace(text, "%s", l.Number(n), 1)
}

// Number writes 1234567 as people read it.
func (l *language) Number(n int64) string {
	digits := fmt.Sprint(n)
	sign := ""
	if n < 0 {
		sign, digits = "\u2212", digits[1:]
	}
	var b strings.Builder
	for i, d := range digits {
		// A number of four digits stands together.
		if i > 0 && (len(digits)-i)%3 == 0 && len(digits) > 4 {
			b.WriteString(l.thousands)
		}
		b.WriteRune(d)
	}
	return sign + b.String()
}

// Decimal writes x with so many digits after the comma.
func (l *language) Decimal(x float64, digits int) string {
	return strings.Replace(fmt.Sprintf("%.*f", digits, x), ".", l.comma, 1)
}

// unknown is what stands for null.
const unknown = "\u2013"

// length writes milliseconds as 0:07, 12:34 or 1:02:03.
func length(ms int64) string {
	seconds := (ms + 500) / 1000
	if seconds < 3600 {
		return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

// Lasting writes a long time in words, as exactly as people want it.
func (l *language) Lasting(ms int64) string {
	minutes := ms / 60_000
	switch hours := minutes / 60; {
	case minutes < 1:
		return l.Text("lasting.seconds", ms/1000)
	case hours < 1:
		return l.Text("lasting.minutes", minutes)
	case hours >= 48:
		return l.Count("lasting.days", hours/24)
	case hours >= 10 || minutes%60 == 0:
		return l.Text("lasting.hours", hours)
	default:
		return l.Text("lasting.both", hours, minutes%60)
	}
}

// Bytes writes an amount of bytes, in thousands as disks are sold.
func (l *language) Bytes(n int64) string {
	x, unit := float64(n), 0
	units := []string{"bytes.b", "bytes.kb", "bytes.mb", "bytes.gb", "bytes.tb"}
	for x >= 999.5 && unit < len(units)-1 {
		x, unit = x/1000, unit+1
	}
	digits := 0
	if unit > 0 && x < 99.95 {
		digits = 1
	}
	return l.Decimal(x, digits) + "\u00a0" + l.Text(units[unit])
}

// funcs are what a template may say in this language.
//
//	t KEY ARGS...     words                     word PART VALUE   words for a value of the record
//	n KEY NUMBER      counted things            num NUMBER        1 234 567
//	date, clock, when MOMENT   2 марта 2026; 09:15:03; both, without what is today's
//	brief MOMENT      when for a table: 02.03 09:15
//	iso MOMENT        for the time element
//	length MS         1:05; a null is a dash (integer MS: as a number, a null is 0)
//	bytes N           12,3 МБ
//	counted MAP       counters by name, to range over
//	lasting MS        45 с; 12 мин; 3 ч 5 мин; 4 дня
//	between FROM TO   1:05
//	yes *BOOL         whether it is known and true
//	finding FINDING   what is wrong; "" if there are no words for its kind
//	faxresult RESULT  what became of a fax; a null is a dash
//	span PERIOD       2–8 марта 2026
//	cause CAUSE       the hang-up cause      reason RECORD     why it has its status, or ""
//	money COST        12,60 ₽; a null is a dash
//	segment TEXT      as one part of a path
//	id CALL           the id of a call's element
//	words TEXT...     a list, to range over
//	text *STRING      the text, or a dash
//	known *NUMBER     the number, "" of one that is withheld
//	asset NAME        the address of an asset
func (l *language) funcs(zone *time.Location, now func() time.Time) template.FuncMap {
	in := func(m call.Moment) time.Time { return m.Time().In(zone) }
	date := func(m call.Moment) string {
		if m == 0 {
			return unknown
		}
		return l.date(l, in(m))
	}
	clock := func(m call.Moment) string {
		if m == 0 {
			return unknown
		}
		return in(m).Format("15:04:05")
	}
	brief := func(m call.Moment) string {
		t := in(m)
		switch {
		case m == 0:
			return unknown
		case t.Format(time.DateOnly) == now().In(zone).Format(time.DateOnly):
			return clock(m)
		}
		return l.brief(l, t, t.Year() != now().In(zone).Year()) + " " + t.Format("15:04")
	}
	return template.FuncMap{
		"t": l.Text, "n": func(key string, n any) string { return l.Count(key, integer(n)) },
		"word": func(part string, value any) string { return l.Word(part, plain(value)) },
		"num":  func(n any) string { return l.Number(integer(n)) },
		"date": date, "clock": clock,
		"when": func(m call.Moment) string {
			if m != 0 && in(m).Format(time.DateOnly) == now().In(zone).Format(time.DateOnly) {
				return clock(m)
			}
			return date(m) + ", " + clock(m)
		},
		"brief": brief,
		"iso":   func(m call.Moment) string { return m.Time().UTC().Format(time.RFC3339) },
		"length": func(ms any) string {
			if p, ok := ms.(*int64); ok && p == nil || ms == nil {
				return unknown
			}
			return length(integer(ms))
		},
		"bytes":   func(n any) string { return l.Bytes(integer(n)) },
		"counted": countedOf,
		"lasting": func(ms any) string { return l.Lasting(integer(ms)) },
		"between": func(from, to call.Moment) string {
			if from == 0 || to == 0 {
				return unknown
			}
			return length(to.Sub(from).Milliseconds())
		},
		"yes":     func(b *bool) bool { return b != nil && *b },
		"span":    l.Span,
		"finding": func(f api.Finding) string { return l.Finding(f, brief) },
		"faxresult": func(result *string) string {
			if key := strings.ToLower(plain(result)); l.words["faxresult."+key] != "" {
				return l.words["faxresult."+key]
			}
			return cmp.Or(plain(result), unknown)
		},
		"segment": url.PathEscape,
		"id":      func(call string) string { return "call-" + elementID(call) },
		"words":   func(list ...string) []string { return list },
		"cause":   l.Cause, "reason": l.Reason, "money": l.Money,
		"plain": plain, "integer": integer,
		"known": known,
		"text":  func(s any) string { return cmp.Or(plain(s), unknown) },
		"asset": assetPath,
	}
}

// known is a number, unless it is withheld.
func known(number *string) string {
	if n := plain(number); !journal.Withheld(n) {
		return n
	}
	return ""
}

// integer and plain take what the record's fields are, pointers too.
func integer(n any) int64 {
	switch n := n.(type) {
	case *int64:
		if n != nil {
			return *n
		}
	case int64:
		return n
	case int:
		return int64(n)
	case uint64:
		return int64(min(n, math.MaxInt64))
	case uint32:
		return int64(n)
	}
	return 0
}

func plain(s any) string {
	switch s := s.(type) {
	case *string:
		if s != nil {
			return *s
		}
	case string:
		return s
	}
	return ""
}
