package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/journal"
)

// words is everything that a report says in one language; %s and %d are filled
// in. A test holds that no language lacks any of it.
type words struct {
	Title, Page, Continued, Filter, Department, Masked, SoFar string
	Feed, FeedGrew, Made                                      string
	Summary, SummaryMissed, Empty                             string
	TooNew, Compared, Before, Change                          string
	Sections                                                  map[string]string
	Figures                                                   map[string]figureWords
	ByStep, StepHead                                          map[journal.Step]string
	By, Head                                                  map[journal.By]string
	ByHour, ByWeek, Sum, More, Overlap                        string
	Missed, NobodyMissed, MoreMissed                          string
	LastAt, Caller, Line, Asked, Times, Tried, LostAt         string
	Withheld, Formulas, Formula, WholeJournal                 string
	About, Total, Week, Weekday                               string // of workbooks
	ThisPeriod, PeriodBefore                                  string
	Conditions                                                map[string]string
	Values                                                    map[string]map[string]string
	Weekdays, LongWeekdays                                    []string // from Monday
	Months, MonthsOf, ShortMonths                             []string
	CallsOf, InboundOf, DaysOf, RowsOf, CallersOf             []string // plural forms

	Points, Thousands, Point, Percent string
	Hours, Minutes, Seconds           string // units
	DayTime                           string // layout of a moment

	// plural says which of the plural forms goes with a number.
	plural func(n int64) int
	// spell writes dates: of one day, of days in one month, in one year, or else.
	spell func(w *words, first, last time.Time) string
	// formulas are those of all figures, with {settings}.
	formulas map[string]string
}

// figureWords are the names of a figure: in a list, and over a narrow column.
type figureWords struct{ Name, Head string }

func languages() map[string]*words {
	return map[string]*words{Russian: russian(), English: english()}
}

// of is a number with the word that goes with it.
func (w *words) of(n int64, forms []string) string { return w.count(n) + "\u00a0" + forms[w.plural(n)] }

// count is a number with its thousands apart.
func (w *words) count(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + w.Thousands + text[i:]
	}
	return text
}

// none stands where there is no figure.
const none = "–"

// share is a share in percent.
func (w *words) share(r journal.Ratio) string {
	p := r.Percent()
	if p == "" {
		return none
	}
	return strings.Replace(p, ".", w.Point, 1) + w.Percent
}

// clock is a duration as h:mm:ss or m:ss.
func (w *words) clock(ms int64) string {
	s := (ms + 500) / 1000
	if s >= 3600 {
		return fmt.Sprintf("%s:%02d:%02d", w.count(s/3600), s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// long is a long duration for reading, not for adding up.
func (w *words) long(ms int64) string {
	if m := (ms + 30_000) / 60_000; m >= 60 {
		return w.count(m/60) + "\u00a0" + w.Hours + "\u00a0" + strconv.FormatInt(m%60, 10) + "\u00a0" + w.Minutes
	}
	return w.clock(ms)
}

// setting is a duration as a rule has it: 30 s, 5 min, 24 h.
func (w *words) setting(d time.Duration) string {
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return w.count(int64(d/time.Hour)) + "\u00a0" + w.Hours
	case d >= time.Minute && d%time.Minute == 0:
		return w.count(int64(d/time.Minute)) + "\u00a0" + w.Minutes
	}
	return strings.Replace(strconv.FormatFloat(d.Seconds(), 'f', -1, 64), ".", w.Point, 1) + "\u00a0" + w.Seconds
}

// dates is a period in words, with its hours if it is not of whole days. A period
// that is not over says so.
func (w *words) dates(p Period) string {
	if !p.wholeDays() {
		return p.From.Format(w.DayTime) + " – " + p.To.Format(w.DayTime)
	}
	return w.spell(w, p.From, p.To.Add(-time.Nanosecond))
}

// step names a row of statistics: an hour, a day, a week by its Monday, a month.
func (w *words) step(at string, step journal.Step) string {
	switch step {
	case journal.Hourly:
		if len(at) > 16 {
			return at[11:16]
		}
	case journal.Daily:
		if t, err := time.Parse(time.DateOnly, at); err == nil {
			return w.Weekdays[(t.Weekday()+6)%7] + " " + w.day(t)
		}
	case journal.Weekly:
		if t, err := time.Parse(time.DateOnly, at); err == nil {
			last := t.AddDate(0, 0, 6)
			if last.Month() == t.Month() {
				return strconv.Itoa(t.Day()) + "–" + w.day(last)
			}
			return w.day(t) + " – " + w.day(last)
		}
	case journal.Monthly:
		if t, err := time.Parse("2006-01", at); err == nil {
			return w.Months[t.Month()-1] + " " + strconv.Itoa(t.Year())
		}
	}
	return at
}

// mark names a step under a narrow bar.
func (w *words) mark(at string, step journal.Step) string {
	switch step {
	case journal.Hourly:
		if len(at) > 13 {
			return strings.TrimPrefix(at[11:13], "0")
		}
	case journal.Daily:
		if t, err := time.Parse(time.DateOnly, at); err == nil {
			return strconv.Itoa(t.Day())
		}
	case journal.Weekly:
		if t, err := time.Parse(time.DateOnly, at); err == nil {
			return w.day(t)
		}
	case journal.Monthly:
		if t, err := time.Parse("2006-01", at); err == nil {
			return string([]rune(w.Months[t.Month()-1])[:3]) + " " + t.Format("06")
		}
	}
	return at
}

func (w *words) day(t time.Time) string {
	return strconv.Itoa(t.Day()) + " " + w.ShortMonths[t.Month()-1]
}

// value is a word of a filter as people say it.
func (w *words) value(condition, word string) string {
	if text, ok := w.Values[condition][word]; ok {
		return text
	}
	switch condition {
	case "hour":
		if h, err := strconv.Atoi(word); err == nil {
			return fmt.Sprintf("%d:00–%d:00", h, h+1)
		}
	case "min_talk", "max_talk", "min_wait", "max_wait":
		d, err := time.ParseDuration(word)
		if seconds, plain := strconv.ParseUint(word, 10, 31); plain == nil {
			d, err = time.Duration(seconds)*time.Second, nil
		}
		if err == nil {
			return w.setting(d)
		}
	}
	return clean(word)
}

// figure is how a figure is called; one that has no words yet, as it is in JSON.
func (w *words) figure(name string) figureWords {
	if f, ok := w.Figures[name]; ok {
		return f
	}
	return figureWords{name, name}
}

// formula says how a figure is made by the rules that are in force.
func (w *words) formula(name string, r journal.Rules) string {
	depth := w.of(int64(r.UniqueDepth/(24*time.Hour)), w.DaysOf)
	if r.UniqueDepth == 0 {
		depth = w.WholeJournal
	}
	return strings.NewReplacer("{depth}", depth, "{target}", w.setting(r.TargetMinTalk), "{short}", w.setting(r.ShortAbandon),
		"{lost}", w.setting(r.LostWindow), "{level}", w.setting(r.ServiceLevel)).Replace(w.formulas[name])
}
