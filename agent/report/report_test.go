package report_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/xuri/excelize/v2"

	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"
	"calljournal/agent/report"
)

// october is a month of an office and the one before it, and the report of it.
func october(t testing.TB) (*memory, report.Request) {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Moscow")
	if err != nil {
		t.Fatal(err)
	}
	m := office(t, journaltest.Options{Seed: 7, Calls: 4000, Days: 61, Start: time.Date(2026, 9, 1, 0, 0, 0, 0, zone), Zone: zone})
	now := time.Date(2026, 11, 1, 7, 0, 0, 0, zone)
	p, err := report.PeriodOf(report.LastMonth, now)
	if err != nil {
		t.Fatal(err)
	}
	return m, report.Request{Format: report.PDF, Language: report.English, Agent: "office-1", Period: p, Now: now}
}

func made(t testing.TB, r report.Request, from report.Source) report.Document {
	t.Helper()
	d, err := report.Make(t.Context(), r, from)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// pages are the texts of a PDF, as they stand on the pages.
func pages(t testing.TB, d report.Document) []string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("pdftotext (Debian: poppler-utils) is not here: what the PDF says is not read")
	}
	path := filepath.Join(t.TempDir(), "r.pdf")
	if err := os.WriteFile(path, d.Bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tool, "-layout", "-enc", "UTF-8", path, "-").CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("Error")) {
		t.Fatalf("%v: %.500s", err, out)
	}
	text := strings.ReplaceAll(string(out), "\u00a0", " ")
	return strings.Split(strings.TrimSuffix(text, "\f"), "\f")
}

// lines are the lines of a text in which there is a word.
func lines(text, word string) (found []string) {
	for l := range strings.Lines(text) {
		if strings.Contains(l, word) {
			found = append(found, strings.TrimSpace(l))
		}
	}
	return found
}

// written are the ways in which the test writes figures, apart from the package.
type written struct{ point, percent, thousands string }

func (w written) count(n int64) string {
	text := strconv.FormatInt(n, 10)
	if n >= 1000 {
		return text[:len(text)-3] + w.thousands + text[len(text)-3:]
	}
	return text
}

func (w written) share(part, of int64) string {
	return strings.Replace(fmt.Sprintf("%.1f", float64((part*2000+of)/(of*2))/10), ".", w.point, 1) + w.percent
}

func (w written) clock(ms int64) string {
	d := (time.Duration(ms) * time.Millisecond).Round(time.Second)
	if h := int(d.Hours()); h > 0 {
		return fmt.Sprintf("%d:%02d:%02d", h, int(d.Minutes())%60, int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// What the journal does not know all of is not compared with.
func TestReport_PDFOfANewJournal(t *testing.T) {
	m, r := october(t)
	r.Language = report.English
	for oldest, want := range map[time.Time]bool{
		{}:                              true,
		r.Period.From.AddDate(0, -1, 0): true,
		r.Period.From.AddDate(0, -1, 3): false,
	} {
		r.Oldest = oldest
		all := strings.Join(pages(t, made(t, r, m)), "")
		if got := strings.Contains(all, "Compared with"); got != want || strings.Contains(all, "The journal begins on ") == want {
			t.Errorf("a journal that begins at %v: compared: %v", oldest, got)
		}
	}
}

// The PDF of a month says what the statistics of the same calls say, in both
// languages, on numbered pages.
func TestReport_PDFSaysWhatStatisticsSay(t *testing.T) {
	m, r := october(t)
	rows, _ := m.Rows(t.Context(), r.Period, []report.Table{{By: journal.ByNothing}, {By: journal.ByEmployee}, {By: journal.ByQueue}, {By: journal.ByNothing, Step: journal.Daily}})
	total := rows[0][0]
	before, _ := m.Rows(t.Context(), report.Period{From: r.Period.From.AddDate(0, -1, 0), To: r.Period.From}, []report.Table{{By: journal.ByNothing}})
	for _, tt := range []struct {
		language string
		written
		title, period, compared                                                      string
		missed, level, wait, p90, talk, outbound, unique, callbacks, rate, continued string
		day, formula, setting                                                        string
	}{
		{
			report.Russian, written{",", " %", " "}, "Отчёт о звонках", "1–31 октября 2026", "Сравнение: 1–30 сентября 2026",
			"Пропущенные", "Уровень обслуживания", "Ожидание, среднее", "Ожидание, 90-й процентиль", "Разговоры, всего", "Исходящие", "Уникальные", "Перезвоны", "Конверсия", "продолжение",
			"пн 5 окт", "Как считаются показатели", "не короче 30 с",
		},
		{
			report.English, written{".", "%", ","}, "Call report", "1–31 October 2026", "Compared with 1–30 September 2026",
			"Missed", "Service level", "Wait, average", "Wait, 90th percentile", "Talk, total", "Outbound", "Unique", "Callbacks", "Conversion", "continued",
			"Mon 5 Oct", "How the figures are made", "at least 30 s",
		},
	} {
		r.Language = tt.language
		d := made(t, r, m)
		if d.Name != "report-2026-10-01-to-2026-10-31.pdf" || d.ContentType != "application/pdf" || len(d.Bytes) > 200<<10 {
			t.Errorf("%s, %s, %d bytes", d.Name, d.ContentType, len(d.Bytes))
		}
		page := pages(t, d)
		for i, text := range page {
			if want := fmt.Sprintf("%d / %d", i+1, len(page)); len(lines(text, want)) != 1 {
				t.Errorf("page %d does not say %s", i+1, want)
			}
			if foot := lines(text, "j7k2m9xq"); len(foot) == 0 || !strings.Contains(foot[len(foot)-1], "12345") || !strings.Contains(foot[len(foot)-1], "Europe/Moscow (UTC+03:00)") {
				t.Errorf("page %d does not say on what it rests: %q", i+1, foot)
			}
			if !strings.Contains(text, tt.title) && i > 0 || !strings.Contains(text, tt.period) {
				t.Errorf("page %d does not say which report it is", i+1)
			}
		}
		all := strings.Join(page, "")
		for _, want := range []string{tt.title, tt.compared, tt.continued, tt.formula, tt.setting} {
			if !strings.Contains(all, want) {
				t.Errorf("%s: no %q", tt.language, want)
			}
		}
		b := before[0][0]
		for name, value := range map[string][2]string{
			tt.missed:    {tt.count(total.Missed), tt.count(b.Missed)},
			tt.level:     {tt.share(total.ServiceLevel.Part, total.ServiceLevel.Of), ""},
			tt.wait:      {tt.clock(*total.WaitAverage), tt.clock(*b.WaitAverage)},
			tt.p90:       {tt.clock(*total.WaitP90), tt.clock(*b.WaitP90)},
			tt.talk:      {tt.clock(total.TalkTotal), tt.clock(b.TalkTotal)},
			tt.outbound:  {tt.count(total.Outbound), tt.count(b.Outbound)},
			tt.unique:    {tt.count(total.Unique), tt.count(b.Unique)},
			tt.callbacks: {tt.count(total.Callbacks), tt.count(b.Callbacks)},
		} {
			pattern := regexp.MustCompile(regexp.QuoteMeta(name) + ` +` + regexp.QuoteMeta(value[0]) + ` +` + regexp.QuoteMeta(value[1]))
			if !pattern.MatchString(page[0]) {
				t.Errorf("%s: %s is not %q: %q", tt.language, name, value, lines(page[0], name))
			}
		}
		for _, e := range rows[1] {
			want := fmt.Sprintf(`%s +%d +%d +%d +%d +%d +%d `, regexp.QuoteMeta(e.Group), e.Calls, e.Answered, e.Missed, e.Elsewhere, e.Outbound, e.Callbacks)
			if !regexp.MustCompile(want).MatchString(all) {
				t.Errorf("%s: the row %s is not there: %q", tt.language, want, lines(all, e.Group))
			}
		}
		for _, q := range rows[2] {
			want := fmt.Sprintf(`%s +%s +%d +%d +%d +%s +%s `, q.Group, tt.count(q.Inbound), q.Answered, q.Missed, q.AbandonedQueue, regexp.QuoteMeta(tt.share(q.ServiceLevel.Part, q.ServiceLevel.Of)), tt.clock(*q.WaitAverage))
			if !regexp.MustCompile(want).MatchString(all) {
				t.Errorf("%s: the row %s is not there: %q", tt.language, want, lines(all, q.Group))
			}
		}
		day := rows[3][slices.IndexFunc(rows[3], func(r journal.Row) bool { return r.At == "2026-10-05" })]
		if want := fmt.Sprintf(`%s +%d +%d +%d +%d `, tt.day, day.Calls, day.Inbound, day.Answered, day.Missed); !regexp.MustCompile(want).MatchString(all) {
			t.Errorf("%s: the row %s is not there: %q", tt.language, want, lines(all, tt.day))
		}
	}
}

// The same journal gives the same document, to the last byte.
func TestReport_IsTheSameTwice(t *testing.T) {
	m, r := october(t)
	for _, r.Format = range []string{report.PDF, report.CSV} {
		if a, b := made(t, r, m), made(t, r, m); !bytes.Equal(a.Bytes, b.Bytes) {
			t.Errorf("%s: two reports of one journal differ", r.Format)
		}
	}
}

func TestReport_Empty(t *testing.T) {
	m, r := october(t)
	r.Period = report.Period{From: r.Period.From.AddDate(-1, 0, 0), To: r.Period.To.AddDate(-1, 0, 0)}
	text := pages(t, made(t, r, m))
	if len(text) != 1 || !strings.Contains(text[0], "There are no calls in this period.") || !strings.Contains(text[0], "1 / 1") || strings.Contains(text[0], "By employee") {
		t.Errorf("%q", text)
	}
}

// What a report is not about is said in it: the filter, the limits of its reader,
// that the period is not over, and that the journal grew meanwhile.
func TestReport_SaysItsLimits(t *testing.T) {
	m, r := october(t)
	m.grows = 1
	r.Filter = []report.Condition{
		{Name: "direction", Words: []string{"inbound", "outbound"}}, {Name: "employee", Words: []string{"Анна Петрова", "102"}}, {Name: "min_talk", Words: []string{"1m30s"}},
		{Name: "missed", Words: []string{"false"}}, {Name: "q", Words: []string{"\x1b[31m\u202e\n" + strings.Repeat("слово ", 1000)}},
	}
	r.Department, r.Masked, r.Language = "Продажи", true, report.Russian
	r.Period = report.Period{From: time.Date(2026, 10, 20, 0, 0, 0, 0, r.Now.Location())}
	text := pages(t, made(t, r, m))[0]
	for _, want := range []string{
		"20 октября – 1 ноября 2026", "ещё не окончен", "направление входящие, исходящие; сотрудник Анна Петрова, 102; разговор не короче 90 с; пропущенные без них; слова", "слово",
		"Только звонки отдела: Продажи", "Номера скрыты", "записи 12348–12349", "Сравнение: 07.10.2026 00:00 – 19.10.2026 07:00",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%.1500s", want, text)
		}
	}
}

// hostile makes an office of names that attackers send, each of them everywhere
// where a name can be.
func hostile(m *memory, names []string) {
	base := slices.Clone(m.calls)
	m.calls = nil
	for i, name := range names {
		c := *base[slices.IndexFunc(base, func(c *call.Record) bool {
			return c.Missed && len(c.Legs) > 1 && c.StartedAt.Time().Month() == time.October
		})]
		c.ID = fmt.Sprint("main:", i)
		c.StartedAt += call.Moment(i)
		c.Types = nil
		c.From.Name, c.From.Number, c.From.E164 = &name, &name, &name
		c.Line = &call.Line{Number: name, Name: &name, Source: &name}
		c.Queues = []string{name}
		c.Legs = slices.Clone(c.Legs)
		for k := range c.Legs {
			l := &c.Legs[k]
			l.Extension, l.Employee, l.Department = &name, &name, &name
		}
		m.calls = append(m.calls, &c)
	}
}

func TestReport_HostileNames(t *testing.T) {
	m, r := october(t)
	names := append(journaltest.Hostile(), "", " ", "₽ 1 000", "ÀŁŠžß Ελληνικά Ґґ Ёё", "漢字", strings.Repeat("م", 5000), strings.Repeat("W", 5000), strings.Repeat("я ", 40_000), "\u00ad\u00ad\u00ad", "Андре\u0438\u0306")
	hostile(m, names)
	r.Agent = names[len(names)-2]
	r.Filter = []report.Condition{{Name: "employee", Words: names}, {Name: strings.Repeat("x", 70_000), Words: []string{"(", ")", "\\", "%s"}}}
	for _, r.Language = range report.Languages() {
		text := pages(t, made(t, r, m))
		if len(text) < 4 || len(text) > 9 {
			t.Errorf("%d pages", len(text))
		}
		all := strings.Join(text, "")
		for _, c := range all {
			if unicode.Is(unicode.Cf, c) || unicode.IsControl(c) && c != '\n' {
				t.Fatalf("%q is on a page", c)
			}
		}
		for _, want := range []string{"<script>alert(1)</script>", `=cmd|' /C calc'!A0`, "%s%n%d", "₽ 1 000", "ÀŁŠžß Ελληνικά Ґґ Ёё", "Андрей", "WWWW…", "…"} {
			if !strings.Contains(all, want[:min(len(want), 16)]) {
				t.Errorf("no %q", want)
			}
		}
		for _, l := range strings.Split(all, "\n") {
			if len([]rune(strings.Join(strings.Fields(l), " "))) > 260 {
				t.Errorf("a line of %d letters: %.100q", len([]rune(l)), l)
			}
		}
	}
	for _, r.Format = range []string{report.CSV, report.XLSX} {
		made(t, r, m)
	}
}

// A table that is longer than a page goes on below its heading; a very long one
// says how many rows it leaves out.
func TestReport_LongTable(t *testing.T) {
	m, r := october(t)
	var names []string
	for i := range 250 {
		names = append(names, fmt.Sprintf("Employee %03d", i))
	}
	hostile(m, names)
	text := pages(t, made(t, r, m))
	headed := 0
	for _, page := range text {
		if rows := len(lines(page, "Employee 1")); rows > 3 {
			headed++
			if !strings.Contains(page, "Answered") && !strings.Contains(page, "Lost after") {
				t.Errorf("no heading above %d rows", rows)
			}
		}
	}
	all := strings.Join(text, "")
	if headed < 2 || !strings.Contains(all, "By employee, continued") || !strings.Contains(all, "And 50 rows more") {
		t.Errorf("%d pages with rows", headed)
	}
	if !strings.Contains(all, "These are the last 50 callers") {
		t.Error("it does not say that there are more callers")
	}
}

// CSV has every figure of every table under the names that statistics have for
// programs.
func TestReport_CSV(t *testing.T) {
	m, r := october(t)
	r.Format = report.CSV
	d := made(t, r, m)
	text := strings.TrimPrefix(string(d.Bytes), "\ufeff")
	got, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || d.Name != "report-2026-10-01-to-2026-10-31.csv" || d.ContentType != "text/csv; charset=utf-8" {
		t.Fatal(err, d.Name, d.ContentType)
	}
	at := func(name string) int { return slices.Index(got[0], name) }
	count := map[string]int{}
	for _, row := range got[1:] {
		count[row[0]]++
	}
	tables := map[string]report.Table{
		"total": {By: journal.ByNothing}, "day": {By: journal.ByNothing, Step: journal.Daily}, "employee": {By: journal.ByEmployee}, "department": {By: journal.ByDepartment},
		"queue": {By: journal.ByQueue}, "line": {By: journal.ByLine}, "source": {By: journal.BySource},
	}
	for id, table := range tables {
		rows, _ := m.Rows(t.Context(), r.Period, []report.Table{table})
		want := len(rows[0])
		if id == "total" {
			want = 2
		}
		if count[id] != want {
			t.Errorf("%d rows of %s, want %d", count[id], id, want)
		}
		for _, w := range rows[0] {
			name := w.At + w.Group
			i := slices.IndexFunc(got, func(row []string) bool {
				return row[0] == id && (row[1] == name || row[1] == "'"+name || id == "total" && strings.HasPrefix(row[1], "this: 2026-10-01T00:00+03:00/"))
			})
			if i < 0 {
				t.Errorf("%s has no row %s", id, name)
				continue
			}
			row := got[i]
			for figure, value := range map[string]int64{"calls": w.Calls, "missed": w.Missed, "open": w.Open, "talk_total_ms": w.TalkTotal} {
				if row[at(figure)] != strconv.FormatInt(value, 10) {
					t.Errorf("%s %s: %s is %s, want %d", id, name, figure, row[at(figure)], value)
				}
			}
			if w.ServiceLevel.Of > 0 && row[at("service_level")] != fmt.Sprintf("%.6f", float64((w.ServiceLevel.Part*2_000_000+w.ServiceLevel.Of)/(2*w.ServiceLevel.Of))/1_000_000) {
				t.Errorf("%s %s: %s, want %v", id, name, row[at("service_level")], w.ServiceLevel)
			}
		}
	}
	if count["hour_of_week"] == 0 || count["open"] == 0 || len(count) != len(tables)+3 || count["about"] != 5 || !strings.Contains(text, "about,seq 12345-12345,") {
		t.Error(count)
	}
}

// A workbook has the same tables as sheets, with the words of its language.
func TestReport_XLSX(t *testing.T) {
	m, r := october(t)
	r.Format = report.XLSX
	for _, r.Language = range report.Languages() {
		f, err := excelize.OpenReader(bytes.NewReader(made(t, r, m).Bytes))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		names := f.GetSheetList()
		if len(names) != 10 {
			t.Fatal(names)
		}
		about, err := f.GetRows(names[0])
		if err != nil || len(about) < 39+4 || !strings.Contains(fmt.Sprint(about), "12345") {
			t.Errorf("%v: %v", err, about)
		}
		rows, _ := m.Rows(t.Context(), r.Period, []report.Table{{By: journal.ByNothing}, {By: journal.ByEmployee}})
		total, err := f.GetRows(names[1], excelize.Options{RawCellValue: true})
		if err != nil || len(total) != 3 || total[1][1] != strconv.FormatInt(rows[0][0].Calls, 10) {
			t.Errorf("%v: %v", err, total)
		}
		if shown, err := f.GetRows(names[1]); err != nil || !slices.ContainsFunc(shown[1], func(s string) bool { return strings.HasSuffix(s, "%") }) || !slices.ContainsFunc(shown[1], func(s string) bool { return strings.Count(s, ":") == 2 }) {
			t.Errorf("neither percent nor times in %q", shown)
		}
		staff, err := f.GetRows(names[3])
		if err != nil || len(staff) != len(rows[1])+1 {
			t.Errorf("%v: %d rows of employees, want %d", err, len(staff)-1, len(rows[1]))
		}
	}
}

var errRead = errors.New("the disk is on fire")

// broken fails at the n-th question.
type broken struct {
	*memory
	n int
}

func (b *broken) fails() error {
	if b.n--; b.n < 0 {
		return errRead
	}
	return nil
}

func (b *broken) Rows(ctx context.Context, p report.Period, t []report.Table) ([][]journal.Row, error) {
	if err := b.fails(); err != nil {
		return nil, err
	}
	return b.memory.Rows(ctx, p, t)
}

func (b *broken) Missed(ctx context.Context, p report.Period, n int) ([]*journal.MissedCaller, bool, error) {
	if err := b.fails(); err != nil {
		return nil, false, err
	}
	return b.memory.Missed(ctx, p, n)
}

func TestReport_Errors(t *testing.T) {
	m, r := october(t)
	for n := range 3 {
		if _, err := report.Make(t.Context(), r, &broken{m, n}); !errors.Is(err, errRead) {
			t.Errorf("question %d fails, and the report with %v", n, err)
		}
	}
	for want, change := range map[string]func(*report.Request){
		`format "docx": want pdf, csv, xlsx`: func(r *report.Request) { r.Format = "docx" },
		`language "xx": want ru or en`:       func(r *report.Request) { r.Language = "xx" },
		report.ErrPeriod.Error():             func(r *report.Request) { r.Period.To = r.Period.From },
		"from 2100-01-01 00:00:00 to 2026-11": func(r *report.Request) {
			r.Period = report.Period{From: time.Date(2100, 1, 1, 0, 0, 0, 0, r.Now.Location())}
		},
	} {
		bad := r
		change(&bad)
		if _, err := report.Make(t.Context(), bad, m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A period without ends, and one of centuries, are as long as their calls.
func TestReport_OpenPeriods(t *testing.T) {
	m, r := october(t)
	for _, tt := range []struct {
		p    report.Period
		want string
	}{
		{report.Period{}, "report-2026-09-01-to-2026-11-01.pdf"},
		{report.Period{From: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), To: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, "report-2026-09-01-to-2026-11-01.pdf"},
		{report.Period{To: time.Date(1, 2, 1, 0, 0, 0, 0, time.UTC)}, "report-0001-01-01-to-0001-02-01.pdf"},
	} {
		r.Period = tt.p
		if d := made(t, r, m); d.Name != tt.want {
			t.Errorf("%v: %s, want %s", tt.p, d.Name, tt.want)
		}
	}
	m.calls = nil
	r.Period = report.Period{}
	if d := made(t, r, m); d.Name != "report-2026-11-01.pdf" {
		t.Error(d.Name)
	}
}
