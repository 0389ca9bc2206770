package sheet_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"
	"pgregory.net/rapid"

	"calljournal/agent/sheet"
)

func TestDisarm(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"Анна":                   "Анна",
		"101":                    "101",
		"a=1":                    "a=1",
		"+74951230101":           "'+74951230101",
		"=cmd|' /C calc'!A0":     "'=cmd|' /C calc'!A0",
		"-1+1":                   "'-1+1",
		"@SUM(A1)":               "'@SUM(A1)",
		"\t=1":                   "'\t=1",
		"\rx":                    "'\rx",
		"\nx":                    "'\nx",
		"  =1":                   "'  =1",
		"\u00a0\u200b\ufeff=1":   "'\u00a0\u200b\ufeff=1",
		"\u202e=1":               "'\u202e=1",
		"＝1":                     "'＝1",
		"'=1":                    "'=1",
		"a\x00b\x1b[31m\x7f\x85": "a\ufffdb\ufffd[31m\ufffd\ufffd",
		"\x00=1":                 "\ufffd=1",
		"bad \xff":               "bad \ufffd",
		"\u202eevil":             "\u202eevil",
		`"; DROP TABLE calls`:    `"; DROP TABLE calls`,
	} {
		if got := sheet.Disarm(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

var columns = []sheet.Column{{"name", sheet.Text}, {"at", sheet.Time}, {"long", sheet.Duration}, {"n", sheet.Number}, {"missed", sheet.Flag}}

// hostile are texts that came from outside.
var hostile = []string{
	"=HYPERLINK(\"http://evil.example\";\"x\")", "+74951230101", "007", "1e5", "<script>alert(1)</script>", "a,b;c\td", "line\r\nend", `"quoted"`, "_x0041_",
	"\u202eright to left", "مرحبا", "👩‍👩‍👧", strings.Repeat("я", 32_768) + "z", "]]>", "&amp;",
}

func write(t testing.TB, w sheet.Writer, err error, rows ...[]any) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := w.Row(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func rowsOf(at time.Time) (rows [][]any) {
	for i, h := range hostile {
		rows = append(rows, []any{h, at, 90*time.Minute + 500*time.Millisecond, int64(i), i%2 == 0})
	}
	return append(rows, []any{nil, nil, nil, nil, nil})
}

func TestCSV(t *testing.T) {
	zone := time.FixedZone("", 3*60*60)
	at := time.Date(2026, 1, 31, 21, 30, 0, 123e6, time.UTC)
	var b bytes.Buffer
	w, err := sheet.NewCSV(&b, zone, columns)
	write(t, w, err, rowsOf(at)...)
	text, ok := strings.CutPrefix(b.String(), "\ufeff")
	if !ok {
		t.Error("no byte order mark")
	}
	got, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(got) != len(hostile)+2 {
		t.Fatalf("%d rows, %v", len(got), err)
	}
	for i, h := range hostile {
		r := got[i+1]
		if name := strings.TrimPrefix(r[0], "'"); name != strings.ReplaceAll(h, "\r\n", "\n") || strings.ContainsAny(r[0][:1], "=+-@\t\r") {
			t.Errorf("%.40q became %.40q", h, r[0])
		}
		if r[1] != "2026-02-01T00:30:00.123+03:00" || r[2] != "5400500" {
			t.Errorf("%q", r[1:])
		}
	}
	if last := got[len(got)-1]; strings.Join(last, "") != "" {
		t.Errorf("%q", last)
	}
}

// Whatever the text, the cell reads back as it and no reader takes it for a formula.
func TestCSV_AnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		got := sheet.Disarm(text)
		if got != "" && strings.ContainsAny(got[:1], "=+-@\t\r\n") {
			t.Fatalf("%q stays armed: %q", text, got)
		}
		if more := len([]rune(got)) - len([]rune(text)); more != 0 && (more != 1 || got[0] != '\'') {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

func TestXLSX(t *testing.T) {
	zone := time.FixedZone("", 3*60*60)
	at := time.Date(2026, 1, 31, 21, 30, 0, 0, time.UTC)
	var b bytes.Buffer
	w, err := sheet.NewXLSX(&b, "Calls", zone, columns)
	write(t, w, err, rowsOf(at)...)
	f, err := excelize.OpenReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := f.GetRows("Calls")
	if err != nil || len(rows) != len(hostile)+1 || rows[0][0] != "name" {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, h := range hostile {
		want := h
		if len(h) > 40_000 {
			want = strings.Repeat("я", 32_766) + "…"
		}
		r := rows[i+1]
		if r[0] != want {
			t.Errorf("%.60q became %.60q (%d letters)", h, r[0], len([]rune(r[0])))
		}
		cell, _ := excelize.CoordinatesToCellName(1, i+2)
		if formula, err := f.GetCellFormula("Calls", cell); err != nil || formula != "" {
			t.Errorf("%.40q is the formula %q", h, formula)
		}
		if kind, err := f.GetCellType("Calls", cell); err != nil || kind != excelize.CellTypeInlineString {
			t.Errorf("%.40q is of type %v, %v", h, kind, err)
		}
		if r[1] != "2026-02-01 00:30:00" || r[2] != "1:30:00" && r[2] != "1:30:01" {
			t.Errorf("%q", r[1:])
		}
	}
	for _, cell := range []string{"B2", "C2", "D2"} {
		if kind, err := f.GetCellType("Calls", cell); err != nil || kind != excelize.CellTypeUnset && kind != excelize.CellTypeNumber {
			t.Errorf("%s is of type %v, %v", cell, kind, err)
		}
	}
}

func TestWrongCell(t *testing.T) {
	w, err := sheet.NewCSV(io.Discard, time.UTC, columns)
	if err != nil || w.Row([]any{1, nil, nil, nil, nil}) == nil {
		t.Error("a number in a column of texts")
	}
	if w, err := sheet.NewCSV(io.Discard, time.UTC, []sheet.Column{{"cost", sheet.Decimal}}); err != nil || w.Row([]any{"-1.80"}) != nil || w.Row([]any{"=1"}) == nil {
		t.Error("decimals")
	}
	x, err := sheet.NewXLSX(io.Discard, "x", time.UTC, columns)
	if err != nil || x.Row([]any{"a", "b", nil, nil, nil}) == nil || x.Close() == nil {
		t.Error("a text in a column of times")
	}
}

// A long table is written in the memory of a short one, and leaves no file behind.
func TestXLSX_ConstantMemory(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	if os.TempDir() != dir {
		t.Skip("this system has another way to say where temporary files go")
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	w, err := sheet.NewXLSX(io.Discard, "Calls", time.UTC, columns)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("name ", 80)
	for i := range 100_000 { // 60 MB
		if err := w.Row([]any{name, time.Time{}, time.Second, int64(i), true}); err != nil {
			t.Fatal(err)
		}
	}
	if grown := int64(heap()) - int64(before); grown > 64<<20 {
		t.Errorf("%d MiB are held", grown>>20)
	}
	if files, _ := os.ReadDir(dir); len(files) == 0 {
		t.Error("the rows are in no file")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("the reader is gone") }

func TestXLSX_ReaderGone(t *testing.T) {
	w, err := sheet.NewXLSX(full{}, "Calls", time.UTC, columns)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Error(err)
	}
}

// A workbook has its sheets in the order in which they were begun, and none if
// one of them failed.
func TestWorkbook(t *testing.T) {
	var b bytes.Buffer
	book, err := sheet.NewWorkbook(&b, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Итог", "=1+1", "third"} {
		w, err := book.Sheet(name, []sheet.Column{{Name: "name", Kind: sheet.Prose}, {Name: "level", Kind: sheet.Share}})
		write(t, w, err, []any{name, "0.8750"}, []any{nil, nil})
	}
	if err := book.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := excelize.OpenReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := f.GetSheetList(); len(got) != 3 || got[0] != "Итог" || got[2] != "third" {
		t.Error(got)
	}
	for _, name := range f.GetSheetList() {
		rows, err := f.GetRows(name)
		if err != nil || len(rows) < 2 || rows[1][0] != name || rows[1][1] != "87.5%" {
			t.Errorf("%s: %q, %v", name, rows, err)
		}
	}

	b.Reset()
	if book, err = sheet.NewWorkbook(&b, time.UTC); err != nil {
		t.Fatal(err)
	}
	w, err := book.Sheet("bad", []sheet.Column{{Name: "level", Kind: sheet.Share}})
	if err != nil || w.Row([]any{"much"}) == nil || w.Close() == nil {
		t.Error("a share that is no number was taken")
	}
	if w, err = book.Sheet("good", []sheet.Column{{Name: "n", Kind: sheet.Number}}); err != nil {
		t.Fatal(err)
	}
	write(t, w, nil, []any{int64(1)})
	if err := book.Close(); err == nil || b.Len() > 0 {
		t.Errorf("%d bytes of a workbook of which a sheet failed, %v", b.Len(), err)
	}
}
