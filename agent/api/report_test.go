package api_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"calljournal/agent/access"
	"calljournal/agent/api"
	"calljournal/agent/report"
)

// pdfText is what a PDF says.
func pdfText(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/pdf" {
		t.Fatalf("%d %v: %.300s", w.Code, w.Header(), w.Body)
	}
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		t.Skip("pdftotext (Debian: poppler-utils) is not here: what the PDF says is not read")
	}
	path := filepath.Join(t.TempDir(), "r.pdf")
	if err := os.WriteFile(path, w.Body.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tool, "-layout", path, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(out), "\u00a0", " ")
}

// reportCSV is a report for programs: its rows by table and name.
func reportCSV(t testing.TB, w *httptest.ResponseRecorder) map[string]map[string]string {
	t.Helper()
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/csv; charset=utf-8" {
		t.Fatalf("%d %v: %.300s", w.Code, w.Header(), w.Body)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(w.Body.String(), "\ufeff"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]string{}
	for _, row := range rows[1:] {
		name := row[1]
		if row[0] == "total" {
			name, _, _ = strings.Cut(name, ":")
		}
		cells := map[string]string{}
		for i, cell := range row {
			cells[rows[0][i]] = cell
		}
		out[row[0]+" "+name] = cells
	}
	return out
}

// A report says what GET /v1/stats says for the same filter and period, whether
// it comes from totals or from the calls.
func TestReport_IsTheStatistics(t *testing.T) {
	r, _, _ := statsRig(t, 2000)
	for _, filter := range []string{"", "&min_talk=1m", "&direction=inbound&direction=outbound"} {
		period := "from=2026-03-23&to=2026-03-30" + filter
		got := reportCSV(t, r.get(t, "/v1/report?format=csv&"+period, journalToken))
		for _, by := range []string{"total", "employee", "department", "queue", "line", "source", "day"} {
			stats := decode[api.Statistics](t, r.get(t, "/v1/stats?by="+by+"&"+period, journalToken), 200)
			if (by == "total" || by == "employee") && len(stats.Rows) == 0 {
				t.Errorf("no rows by %s", by)
			}
			for _, want := range stats.Rows {
				name := by + " " + want.At + want.Group
				if by == "total" {
					name = "total this"
				}
				row, ok := got[name]
				if !ok {
					t.Errorf("%s: no row %s", filter, name)
					continue
				}
				for figure, n := range map[string]int64{"calls": want.Calls, "answered": want.Answered, "missed": want.Missed, "talk_total_ms": want.TalkTotal, "outbound": want.Outbound} {
					if row[figure] != strconv.FormatInt(n, 10) {
						t.Errorf("%s %s: %s is %s, want %d", filter, name, figure, row[figure], n)
					}
				}
			}
		}
		before := decode[api.Statistics](t, r.get(t, "/v1/stats?from=2026-03-16&to=2026-03-23"+filter, journalToken), 200)
		if got["total before"]["calls"] != strconv.FormatInt(before.Rows[0].Calls, 10) {
			t.Errorf("%s: %s calls before, want %d", filter, got["total before"]["calls"], before.Rows[0].Calls)
		}
	}
}

func TestReport_Answers(t *testing.T) {
	r := departments(t)
	for path, want := range map[string]string{
		"?from=2026-05-01&to=2026-06-01":                     "report-2026-05-01-to-2026-05-31.pdf",
		"?from=2026-05-28&to=2026-05-29&format=xlsx":         "report-2026-05-28.xlsx",
		"?from=2026-05-28T10:00&to=2026-05-28T11:00&lang=ru": "report-2026-05-28.pdf",
		"?period=all&format=csv":                             "report-20",
	} {
		w := r.get(t, "/v1/report"+path, journalToken)
		if d := w.Header().Get("Content-Disposition"); w.Code != 200 || !strings.HasPrefix(d, "attachment; filename="+want) || w.Header().Get("No-Gzip-Compression") != "" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	for path, code := range map[string]int{
		"?period=next-week": 422, "?period=today&from=2026-01-01": 422, "?format=docx": 422, "?lang=xx": 422, "?from=2026-02-01&to=2026-01-01": 422,
		"?from=2100-01-01": 422, "?status=bussy": 422, "?limit=3": 422,
	} {
		if w := r.get(t, "/v1/report"+path, journalToken); w.Code != code || w.Header().Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
		}
	}
	if w := r.get(t, "/v1/report", syncToken); w.Code != 403 {
		t.Error(w.Code)
	}
}

// A limited reader's report has his calls, and numbers masked, and says so.
func TestReport_OfALimitedReader(t *testing.T) {
	r := departments(t)
	const may = "?from=2026-05-01&to=2026-07-01&lang="
	for _, tt := range []struct {
		token, has, secret string
	}{
		{salesToken, "Only calls of the department: Sales", theirSecrets},
		{maskedToken, "Numbers are masked", ourSecrets + "|79263334455|3334455"},
		{strictToken, "Numbers are masked", ourSecrets + "|" + theirSecrets},
	} {
		text := pdfText(t, r.get(t, "/v1/report"+may+"en", tt.token))
		if !strings.Contains(text, tt.has) || !strings.Contains(text, "ours") {
			t.Errorf("%s: no %q in\n%s", tt.token, tt.has, text)
		}
		for _, format := range []string{"csv", "pdf"} {
			text := r.get(t, "/v1/report"+may+"ru&format="+format, tt.token).Body.String()
			if format == "pdf" {
				text = pdfText(t, r.get(t, "/v1/report"+may+"ru", tt.token))
			}
			if found := regexp.MustCompile(tt.secret).FindString(text); found != "" {
				t.Errorf("%s with %s shows %q", format, tt.token, found)
			}
		}
	}
	if w := r.get(t, "/v1/report"+may+"en&number=1234", maskedToken); w.Code != 403 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	all := reportCSV(t, r.get(t, "/v1/report"+may+"en&format=csv", journalToken))
	mine := reportCSV(t, r.get(t, "/v1/report"+may+"en&format=csv", salesToken))
	if all["total this"]["missed"] != "2" || mine["total this"]["missed"] != "1" {
		t.Errorf("%v %v", all["total this"], mine["total this"])
	}
}

// The callers who wait are those of the worklist, as far as the filter goes.
func TestReport_Waiting(t *testing.T) {
	r := departments(t)
	ask := "?from=2026-05-01&to=2026-07-01&format=csv"
	waiting := func(rows map[string]map[string]string) (names []string) {
		for name := range rows {
			if table, number, _ := strings.Cut(name, " "); table == "open" {
				names = append(names, strings.Fields(strings.TrimPrefix(number, "'"))[0])
			}
		}
		slices.Sort(names)
		return names
	}
	if got := waiting(reportCSV(t, r.get(t, "/v1/report"+ask, journalToken))); fmt.Sprint(got) != "[+"+ourNumber+" +"+theirNumber+"]" {
		t.Error(got)
	}
	if got := waiting(reportCSV(t, r.get(t, "/v1/report"+ask+"&queue=ours", journalToken))); fmt.Sprint(got) != "[+"+ourNumber+"]" {
		t.Error(got)
	}
	if got := waiting(reportCSV(t, r.get(t, "/v1/report"+"?from=2020-01-01&to=2020-02-01&format=csv", journalToken))); len(got) != 0 {
		t.Error(got)
	}
}

// Who has no request, as what sends mail by a schedule, gets the same report, of
// the period that it was when it was due.
func TestServer_Report(t *testing.T) {
	r := departments(t)
	due := time.Date(2026, 6, 1, 7, 0, 0, 0, time.UTC)
	in, err := api.ReportInputOf(url.Values{"period": {"last-month"}, "format": {"csv"}, "queue": {"ours", "others"}, "missed": {"true"}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.server.Report(t.Context(), access.Role{Scope: api.ScopeJournal}, in, due)
	if err != nil || d.Name != "report-2026-05-01-to-2026-05-31.csv" {
		t.Fatal(d.Name, err)
	}
	same := r.get(t, "/v1/report?from=2026-05-01&to=2026-06-01&format=csv&queue=ours&queue=others&missed=true", journalToken)
	made := regexp.MustCompile(`(?m)^about,made .*`)
	d.Bytes = made.ReplaceAll(d.Bytes, nil)
	if d.ContentType != same.Header().Get("Content-Type") || !bytes.Equal(d.Bytes, made.ReplaceAll(same.Body.Bytes(), nil)) || !bytes.Contains(d.Bytes, []byte(ourNumber)) {
		t.Errorf("%s\nis not\n%s", d.Bytes, same.Body)
	}
	d, err = r.server.Report(t.Context(), access.Role{Scope: api.ScopeJournal, Department: "Sales", MaskNumbers: true}, &api.ReportInput{Period: "all"}, due)
	if err != nil || d.ContentType != "application/pdf" || !strings.HasPrefix(string(d.Bytes), "%PDF-") {
		t.Error(d.ContentType, err)
	}
	if _, err := r.server.Report(t.Context(), access.Role{Scope: api.ScopeJournal}, &api.ReportInput{Period: "next-week"}, due); err == nil || !strings.Contains(err.Error(), "next-week") {
		t.Error(err)
	}
	for want, query := range map[string]url.Values{`"limit" is no parameter`: {"limit": {"5"}}, `"" is no`: {"": {"5"}}, "format: more than one": {"format": {"pdf", "csv"}}} {
		if _, err := api.ReportInputOf(query); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Every parameter of the filter is said in the report, in its language.
func TestReport_SaysItsFilter(t *testing.T) {
	r := departments(t)
	given := map[string]string{
		"direction": "inbound,outbound", "status": "busy", "missed": "true", "type": "lost", "part": "counted&employee=x", "min_talk": "90", "max_talk": "2m", "min_wait": "1s", "max_wait": "1h",
		"weekday": "monday", "hour": "9", "has": "fax",
	}
	filter := reflect.TypeFor[api.CallFilter]()
	for i := range filter.NumField() {
		name, _, _ := strings.Cut(filter.Field(i).Tag.Get("query"), ",")
		value := given[name]
		switch {
		case name == "from" || name == "to":
			continue
		case value == "":
			value = "ours"
		}
		text := pdfText(t, r.get(t, "/v1/report?period=all&lang=ru&"+name+"="+value, journalToken))
		said := regexp.MustCompile(`(?m)^Отбор: .*`).FindString(text)
		for _, word := range []string{name, "inbound", "busy", "true", "lost", "counted", "monday"} {
			if said == "" || name != "q" && regexp.MustCompile(`\b`+word+`\b`).MatchString(said) {
				t.Errorf("%s: %q", name, said)
			}
		}
	}
}

// The interface knows every period and format that there is.
func TestReport_KnowsEveryPeriod(t *testing.T) {
	r := departments(t)
	for _, period := range report.Periods() {
		if w := r.get(t, "/v1/report?format=csv&period="+period, journalToken); w.Code != 200 {
			t.Errorf("%s: %d %s", period, w.Code, w.Body)
		}
	}
	for _, format := range report.Formats() {
		for _, language := range report.Languages() {
			if w := r.get(t, "/v1/report?format="+format+"&lang="+language, journalToken); w.Code != 200 {
				t.Errorf("%s %s: %d %s", format, language, w.Code, w.Body)
			}
		}
	}
}
