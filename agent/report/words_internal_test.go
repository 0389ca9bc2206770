package report

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"calljournal/agent/journal"
)

// No language lacks a word that the other one has, and every figure of the
// statistics has its names and its formula in each.
func TestWords_NothingMissing(t *testing.T) {
	keys := map[string]map[string]bool{}
	for code, w := range languages() {
		keys[code] = map[string]bool{}
		var look func(path string, v reflect.Value)
		look = func(path string, v reflect.Value) {
			switch v.Kind() {
			case reflect.String:
				keys[code][path] = true
				if v.Len() == 0 {
					t.Errorf("%s: %s is empty", code, path)
				}
			case reflect.Struct:
				for i := range v.NumField() {
					look(path+"."+v.Type().Field(i).Name, v.Field(i))
				}
			case reflect.Map:
				for it := v.MapRange(); it.Next(); {
					look(fmt.Sprint(path, ".", it.Key()), it.Value())
				}
			case reflect.Slice:
				if v.Len() == 0 {
					t.Errorf("%s: %s is empty", code, path)
				}
				for i := range v.Len() {
					look(path, v.Index(i))
				}
			}
		}
		look("", reflect.ValueOf(*w))
		for what, n := range map[string][]string{"7": w.Weekdays, "7 ": w.LongWeekdays, "12": w.Months, "12 ": w.MonthsOf, "12  ": w.ShortMonths} {
			if want := map[string]int{"7": 7, "12": 12}[strings.TrimSpace(what)]; len(n) != want {
				t.Errorf("%s: %v", code, n)
			}
		}
		for _, f := range journal.Formulas(journal.DefaultRules()) {
			if _, ok := w.Figures[f.Figure]; !ok {
				t.Errorf("%s: the figure %s has no name", code, f.Figure)
			}
			text := w.formula(f.Figure, journal.DefaultRules())
			if text == "" || strings.ContainsAny(text, "{}_") {
				t.Errorf("%s: the formula of %s is %q", code, f.Figure, text)
			}
			// It says which settings are in force wherever the journal's does.
			setting := regexp.MustCompile(`\d`)
			if setting.MatchString(f.Formula) && !setting.MatchString(text) {
				t.Errorf("%s: %s is %q, in the journal %q", code, f.Figure, text, f.Formula)
			}
		}
		if len(w.Figures) != len(figureNames()) || len(w.formulas) != len(figureNames()) {
			t.Errorf("%s: %d names and %d formulas of %d figures", code, len(w.Figures), len(w.formulas), len(figureNames()))
		}
	}
	for code, paths := range keys {
		for path := range paths {
			if !keys[Russian][path] || !keys[English][path] {
				t.Errorf("only %s has %s", code, path)
			}
		}
	}
}

// Every figure is in the list of all figures, but for the one that only employees
// have.
func TestFigureSections_HaveAll(t *testing.T) {
	var listed []string
	for _, half := range figureSections() {
		for _, s := range half {
			listed = append(listed, s.figures...)
		}
	}
	listed = append(listed, "answered_elsewhere")
	all := figureNames()
	slices.Sort(listed)
	slices.Sort(all)
	if !slices.Equal(listed, all) {
		t.Errorf("listed %v\nthere are %v", listed, all)
	}
	for by := range russian().By {
		for _, name := range append(groupFigures(by), tileFigures()...) {
			if !slices.Contains(all, name) {
				t.Errorf("there is no figure %s", name)
			}
		}
	}
}

func TestWords_Numbers(t *testing.T) {
	ru, en := russian(), english()
	plain := func(s string) string { return strings.ReplaceAll(s, "\u00a0", " ") }
	for _, tt := range []struct{ got, want string }{
		{ru.of(1, ru.CallsOf), "1 звонок"},
		{ru.of(2, ru.CallsOf), "2 звонка"},
		{ru.of(5, ru.CallsOf), "5 звонков"},
		{ru.of(0, ru.CallsOf), "0 звонков"},
		{ru.of(11, ru.CallsOf), "11 звонков"},
		{ru.of(12, ru.CallsOf), "12 звонков"},
		{ru.of(14, ru.CallsOf), "14 звонков"},
		{ru.of(21, ru.CallsOf), "21 звонок"},
		{ru.of(22, ru.CallsOf), "22 звонка"},
		{ru.of(111, ru.CallsOf), "111 звонков"},
		{ru.of(1_000_001, ru.CallsOf), "1 000 001 звонок"},
		{en.of(1, en.CallsOf), "1 call"},
		{en.of(0, en.CallsOf), "0 calls"},
		{en.of(1_234_567, en.CallsOf), "1,234,567 calls"},
		{ru.clock(0), "0:00"},
		{ru.clock(59_499), "0:59"},
		{ru.clock(59_500), "1:00"},
		{ru.clock(3_600_000), "1:00:00"},
		{ru.clock(1_234 * 3_600_000), "1 234:00:00"},
		{ru.long(3_599_999), "1 ч 0 мин"},
		{en.long(65_000), "1:05"},
		{ru.share(journal.Ratio{Part: 7, Of: 8}), "87,5 %"},
		{en.share(journal.Ratio{Part: 7, Of: 8}), "87.5%"},
		{ru.share(journal.Ratio{}), "–"},
		{ru.setting(1500 * time.Millisecond), "1,5 с"},
		{ru.setting(24 * time.Hour), "24 ч"},
		{en.setting(90 * time.Second), "90 s"},
		{en.setting(2 * time.Minute), "2 min"},
	} {
		if got := plain(tt.got); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestWords_Steps(t *testing.T) {
	for _, tt := range []struct {
		step                     journal.Step
		at, russian, mark, other string
	}{
		{journal.Hourly, "2026-10-25T02:00+03:00", "02:00", "2", "02:00"},
		{journal.Daily, "2026-05-04", "пн 4 мая", "4", "Mon 4 May"},
		{journal.Weekly, "2026-10-05", "5–11 окт", "5 окт", "5–11 Oct"},
		{journal.Weekly, "2026-09-28", "28 сен – 4 окт", "28 сен", "28 Sep – 4 Oct"},
		{journal.Monthly, "2026-05", "май 2026", "май 26", "May 2026"},
		{journal.Monthly, "strange", "strange", "strange", "strange"},
	} {
		if got := russian().step(tt.at, tt.step); got != tt.russian {
			t.Errorf("%s: %q, want %q", tt.at, got, tt.russian)
		}
		if got := english().step(tt.at, tt.step); got != tt.other {
			t.Errorf("%s: %q, want %q", tt.at, got, tt.other)
		}
		if got := russian().mark(tt.at, tt.step); got != tt.mark {
			t.Errorf("%s: %q, want %q", tt.at, got, tt.mark)
		}
	}
}

func TestFigure_Change(t *testing.T) {
	w := english()
	count := func(n int64) figure { return figure{known: true, n: n} }
	all := figures(&journal.Figures{ServiceLevel: journal.Ratio{Part: 871, Of: 1000}, WaitAverage: new(int64)})
	level, wait := all["service_level"], all["wait_average_ms"]
	other := level
	other.share = journal.Ratio{Part: 9, Of: 10}
	longer := wait
	longer.n = 61_000
	for _, tt := range []struct {
		now, before figure
		text        string
		direction   int
	}{
		{count(110), count(100), "+10%", 1},
		{count(90), count(100), "–10%", -1},
		{count(1001), count(1000), "0%", 0},
		{count(3), count(0), "", 0},
		{count(0), count(3), "–100%", -1},
		{count(5_000), count(1), "+499,900%", 1},
		{level, other, "–2.9\u00a0pp", -1},
		{longer, wait, "+1:01", 1},
		{wait, figure{kind: wait.kind}, "", 0},
	} {
		if text, direction := tt.now.change(tt.before, w); text != tt.text || direction != tt.direction {
			t.Errorf("%+v after %+v: %q %d, want %q %d", tt.now, tt.before, text, direction, tt.text, tt.direction)
		}
	}
}

func TestPeriod(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		for _, layout := range []string{time.DateOnly, "2006-01-02 15:04"} {
			if got, err := time.ParseInLocation(layout, text, zone); err == nil {
				return got
			}
		}
		t.Fatal(text)
		return time.Time{}
	}
	for _, tt := range []struct {
		name, now, from, to, beforeFrom, beforeTo, words string
	}{
		{Today, "2026-03-29 15:00", "2026-03-29", "2026-03-30", "2026-03-28", "2026-03-28 15:00", "Sunday 29 March 2026"}, // of 23 hours
		{Yesterday, "2026-03-30 15:00", "2026-03-29", "2026-03-30", "2026-03-28", "2026-03-29", "Sunday 29 March 2026"},
		{ThisWeek, "2026-11-01 09:00", "2026-10-26", "2026-11-02", "2026-10-19", "2026-10-25 09:00", "26 October – 1 November 2026"},
		{LastWeek, "2026-11-02 00:00", "2026-10-26", "2026-11-02", "2026-10-19", "2026-10-26", "26 October – 1 November 2026"},
		{ThisMonth, "2026-03-31 12:00", "2026-03-01", "2026-04-01", "2026-02-01", "2026-03-01", "1–31 March 2026"}, // February has no 31st
		{ThisMonth, "2026-03-09 12:00", "2026-03-01", "2026-04-01", "2026-02-01", "2026-02-09 12:00", "1–31 March 2026"},
		{LastMonth, "2026-01-15 12:00", "2025-12-01", "2026-01-01", "2025-11-01", "2025-12-01", "1–31 December 2025"},
		{Days7, "2026-01-03 12:00", "2025-12-28", "2026-01-04", "2025-12-21", "2025-12-27 12:00", "28 December 2025 – 3 January 2026"},
		{Days30, "2026-01-31 23:59", "2026-01-02", "2026-02-01", "2025-12-03", "2026-01-01 23:59", "2–31 January 2026"},
	} {
		p, err := PeriodOf(tt.name, at(tt.now))
		b := p.before(at(tt.now))
		if err != nil || !p.From.Equal(at(tt.from)) || !p.To.Equal(at(tt.to)) || !b.From.Equal(at(tt.beforeFrom)) || !b.To.Equal(at(tt.beforeTo)) {
			t.Errorf("%s at %s: %v, before %v, %v", tt.name, tt.now, p, b, err)
		}
		if got := english().dates(p); got != tt.words {
			t.Errorf("%s at %s: %s", tt.name, tt.now, got)
		}
	}
	if _, err := PeriodOf("next-week", at("2026-01-01")); err == nil || !strings.Contains(err.Error(), LastMonth) {
		t.Error(err)
	}
	p := Period{at("2026-05-04 09:00"), at("2026-05-04 18:30")}
	if b := p.before(at("2026-06-01")); !b.From.Equal(at("2026-05-03 23:30")) || !b.To.Equal(p.From) {
		t.Error(b)
	}
	for want, p := range map[string]Period{
		"4 мая 2026, понедельник":             {at("2026-05-04"), at("2026-05-05")},
		"28 февраля – 2 марта 2026":           {at("2026-02-28"), at("2026-03-03")},
		"04.05.2026 09:00 – 04.05.2026 18:30": p,
	} {
		if got := russian().dates(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Each step of a period has its bar, on days of 23 and 25 hours too.
func TestPeriod_Rows(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, zone) }
	for _, tt := range []struct {
		p           Period
		step        journal.Step
		n           int
		first, last string
	}{
		{Period{day(2026, 3, 29), day(2026, 3, 30)}, journal.Hourly, 23, "2026-03-29T00:00+01:00", "2026-03-29T23:00+02:00"},
		{Period{day(2026, 10, 25), day(2026, 10, 26)}, journal.Hourly, 25, "2026-10-25T00:00+02:00", "2026-10-25T23:00+01:00"},
		{Period{day(2026, 3, 1), day(2026, 4, 1)}, journal.Daily, 31, "2026-03-01", "2026-03-31"},
		{Period{day(2026, 1, 1), day(2026, 7, 1)}, journal.Weekly, 27, "2025-12-29", "2026-06-29"},
		{Period{day(2024, 1, 1), day(2026, 1, 1)}, journal.Monthly, 24, "2024-01", "2025-12"},
	} {
		if got := tt.p.step(); got != tt.step {
			t.Errorf("%v: step %d, want %d", tt.p, got, tt.step)
		}
		rows := tt.p.rows(tt.step, []journal.Row{{At: tt.last, Figures: journal.Figures{Calls: 7}}})
		if len(rows) != tt.n || rows[0].At != tt.first || rows[len(rows)-1].At != tt.last || rows[len(rows)-1].Calls != 7 || rows[0].Calls != 0 {
			t.Errorf("%v: %d rows, %+v", tt.p, len(rows), rows)
		}
	}
}
