package api_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"calljournal/agent/call"
	"calljournal/storage"
)

func table(t testing.TB, w *httptest.ResponseRecorder) [][]string {
	t.Helper()
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	if strings.HasPrefix(w.Header().Get("Content-Type"), "text/csv") {
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(w.Body.String(), "\ufeff"))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	f, err := excelize.OpenReader(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := f.GetRows("Calls")
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// An export has every call of the filter once, however many pages it reads, and
// the cells are what the records say.
func TestExport(t *testing.T) {
	r := newRig(t)
	var entries []storage.Entry
	const n = 1234
	for i := range n {
		rec := record(i)
		rec.WaitMs, rec.TalkMs = ptr(int64(1500)), ptr(int64(3_600_000))
		rec.Cost = &call.Cost{Amount: "1.80", Currency: "RUB"}
		rec.Queues = []string{"sales", "support"}
		if i%2 == 0 {
			rec.Status = call.StatusBusy
		}
		entries = append(entries, storage.Entry{Op: storage.OpCall, Call: rec})
	}
	r.commit(t, entries...)
	for _, tt := range []struct {
		query string
		want  int
	}{{"?", n}, {"?format=xlsx&", n}, {"?status=busy&", n / 2}, {"?status=failed&format=xlsx&", 0}, {"?sort=-wait&", n}} {
		rows := table(t, r.get(t, "/v1/calls/export"+strings.TrimSuffix(tt.query, "&"), journalToken))
		ids := map[string]bool{}
		for _, row := range rows[1:] {
			ids[row[0]] = true
		}
		if len(rows)-1 != tt.want || len(ids) != tt.want {
			t.Errorf("%s: %d rows with %d calls, want %d", tt.query, len(rows)-1, len(ids), tt.want)
		}
	}
	w := r.get(t, "/v1/calls/export?to=2026-05-28T20:26:41Z", journalToken)
	rows := table(t, w)
	got := map[string]string{}
	for i, name := range rows[0] {
		got[name] = rows[1][i]
	}
	for name, want := range map[string]string{
		"started_at": "2026-05-28T20:26:40.000Z", "direction": "inbound", "status": "busy", "missed": "false", "from_number": "79160000000", "wait_ms": "1500", "talk_ms": "3600000",
		"cost": "1.80", "currency": "RUB", "queues": "sales, support", "answered_at": "", "recordings": "0",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	if d := w.Header().Get("Content-Disposition"); !strings.HasPrefix(d, `attachment; filename="calls-20`) || !strings.HasSuffix(d, `.csv"`) {
		t.Error(d)
	}
	rows = table(t, r.get(t, "/v1/calls/export?format=xlsx&to=2026-05-28T20:26:41Z", journalToken))
	if at := slices.Index(rows[0], "talk"); rows[1][at] != "1:00:00" || rows[1][1] != "2026-05-28 20:26:40" || rows[0][1] != "started_at (UTC)" {
		t.Errorf("%q", rows[1])
	}
	for path, code := range map[string]int{"/v1/calls/export?format=pdf": 422, "/v1/calls/export?status=bussy": 422, "/v1/calls/export?sort=x": 422, "/v1/calls/export?limit=5": 422} {
		if w := r.get(t, path, journalToken); w.Code != code || w.Header().Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}

// What strangers called themselves is text in every cell.
func TestExport_Hostile(t *testing.T) {
	hostile := []string{
		`=HYPERLINK("http://evil.example","x")`, "@SUM(1)", "-2+3", "\t=1", "+79161234567", "<b>x</b>", `"; DROP TABLE calls; --`, "\x00\x1b[31m", "\u202eevil", strings.Repeat("=A1&", 16<<10),
	}
	r := newRig(t)
	var entries []storage.Entry
	for i, h := range hostile {
		rec := record(i)
		rec.From.Name, rec.Tags, rec.Queues = ptr(h), []string{h}, []string{h}
		entries = append(entries, storage.Entry{Op: storage.OpCall, Call: rec})
	}
	r.commit(t, entries...)
	for _, format := range []string{"csv", "xlsx"} {
		rows := table(t, r.get(t, "/v1/calls/export?sort=started_at&format="+format, journalToken))
		if len(rows) != len(hostile)+1 {
			t.Fatalf("%s: %d rows", format, len(rows))
		}
		name := slices.Index(rows[0], "from_name")
		for i, h := range hostile {
			got := rows[i+1][name]
			if format == "csv" && strings.ContainsAny(got[:1], "=+-@\t") {
				t.Errorf("%.40q stays armed", got)
			}
			want := strings.NewReplacer("\x00", "\ufffd", "\x1b", "\ufffd").Replace(h)
			if plain := strings.TrimPrefix(got, "'"); plain != want && !(len(h) > 32767 && strings.HasSuffix(plain, "…") && strings.HasPrefix(want, strings.TrimSuffix(plain, "…"))) {
				t.Errorf("%s: %.40q became %.40q", format, h, got)
			}
		}
	}
}

func TestExport_LimitedReaders(t *testing.T) {
	r := departments(t)
	for _, format := range []string{"csv", "xlsx"} {
		rows := table(t, r.get(t, "/v1/calls/export?format="+format, salesToken))
		if len(rows) != 2 || rows[1][0] != ours || strings.Contains(fmt.Sprint(rows), "theirs") {
			t.Errorf("%s of a department: %q", format, rows[1:])
		}
		rows = table(t, r.get(t, "/v1/calls/export?format="+format, maskedToken))
		if text := fmt.Sprint(rows); len(rows) != 3 || strings.Contains(text, "161234") || !strings.Contains(text, "+7916***4567") {
			t.Errorf("%s masked: %q", format, rows[1:])
		}
		if w := r.get(t, "/v1/calls/export?number=1&format="+format, maskedToken); w.Code != 403 {
			t.Errorf("%s by number: %d", format, w.Code)
		}
		if w := r.get(t, "/v1/calls/export?format="+format, syncToken); w.Code != 403 {
			t.Errorf("%s with a sync token: %d", format, w.Code)
		}
	}
}

// cut is a reader that goes away.
type cut struct {
	*httptest.ResponseRecorder
	after int
}

func (c *cut) Write(p []byte) (int, error) {
	if c.after -= len(p); c.after < 0 {
		return 0, http.ErrHandlerTimeout
	}
	return c.ResponseRecorder.Write(p)
}

// An export that cannot go on cuts the connection, and gives its slot back.
func TestExport_BrokenOff(t *testing.T) {
	r := newRig(t)
	var entries []storage.Entry
	for i := range 600 {
		rec := record(i)
		rec.Tags = []string{strings.Repeat("x", 1000)}
		entries = append(entries, storage.Entry{Op: storage.OpCall, Call: rec})
	}
	r.commit(t, entries...)
	for range 5 {
		func() {
			defer func() {
				if p := recover(); p != http.ErrAbortHandler {
					t.Errorf("ended with %v", p)
				}
			}()
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/calls/export", nil)
			req.Header.Set("Authorization", "Bearer "+journalToken)
			r.h.ServeHTTP(&cut{httptest.NewRecorder(), 100_000}, req)
		}()
	}
	if rows := table(t, r.get(t, "/v1/calls/export", journalToken)); len(rows) != 601 {
		t.Errorf("%d rows", len(rows))
	}
}
