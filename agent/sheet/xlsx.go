package sheet

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
	"unicode/utf16"

	"github.com/xuri/excelize/v2"
)

// Bounds of a sheet. A longer text is cut, which its last character … tells; a
// longer table is refused with ErrTooLong.
const (
	MaxRows  = excelize.TotalRows - 1 // and a row of headers
	maxUnits = excelize.TotalCellChars
	maxBytes = 1 << 30 // in the temporary file
	perCell  = 48      // about what a cell takes besides its text
)

// NewXLSX begins a workbook of one sheet. Times are in the zone, whose name is to
// be in the columns' names: a sheet has no zones. The rows wait in a temporary
// file; w gets everything with Close.
func NewXLSX(w io.Writer, name string, zone *time.Location, columns []Column) (Writer, error) {
	book, err := NewWorkbook(w, zone)
	if err != nil {
		return nil, err
	}
	t, err := book.Sheet(name, columns)
	if err != nil {
		return nil, errors.Join(err, book.file.Close())
	}
	return &onlySheet{t, book}, nil
}

// onlySheet ends its workbook when it ends.
type onlySheet struct {
	Writer
	book *Workbook
}

func (t *onlySheet) Close() error { return errors.Join(t.Writer.Close(), t.book.Close()) }

// Workbook is several sheets in one file. Their rows wait in temporary files;
// Close, which must follow also after an error, writes everything.
type Workbook struct {
	out    io.Writer
	file   *excelize.File
	zone   *time.Location
	styles map[Kind]int
	head   int
	sheets int
	err    error // the first one of any sheet: then there is no workbook
}

// NewWorkbook begins a workbook without sheets.
func NewWorkbook(w io.Writer, zone *time.Location) (_ *Workbook, err error) {
	// excelize would keep everything in memory if it could make no file.
	probe, err := os.CreateTemp("", "calljournal-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return nil, err
	}
	b := &Workbook{out: w, file: excelize.NewFile(), zone: zone}
	style := func(format string, bold bool) int {
		s := &excelize.Style{Font: &excelize.Font{Bold: bold}}
		if format != "" {
			s.CustomNumFmt = &format
		}
		n, e := b.file.NewStyle(s)
		err = errors.Join(err, e)
		return n
	}
	// "@" keeps a text a text when somebody edits the cell.
	text := style("@", false)
	b.styles = map[Kind]int{Text: text, Prose: text, Time: style("yyyy-mm-dd hh:mm:ss", false), Duration: style("[h]:mm:ss", false), Share: style("0.0%", false)}
	b.head = style("", true)
	if err != nil {
		return nil, errors.Join(err, b.file.Close())
	}
	return b, nil
}

// Sheet begins a sheet with a name of up to 31 letters that no other one has. It
// must be closed before the workbook is.
func (b *Workbook) Sheet(name string, columns []Column) (_ Writer, err error) {
	defer func() { b.keep(err) }()
	if b.sheets++; b.sheets == 1 {
		err = b.file.SetSheetName("Sheet1", name)
	} else {
		_, err = b.file.NewSheet(name)
	}
	if err != nil {
		return nil, err
	}
	t := &xlsxTable{book: b, columns: columns, row: make([]any, len(columns))}
	if t.sheet, err = b.file.NewStreamWriter(name); err != nil {
		return nil, err
	}
	for i, c := range columns {
		width := map[Kind]float64{Text: 18, Prose: 36, Time: 20, Duration: 10, Number: 10, Flag: 8, Decimal: 10, Share: 10}[c.Kind]
		if err := t.sheet.SetColWidth(i+1, i+1, width); err != nil {
			return nil, err
		}
		t.row[i] = excelize.Cell{StyleID: b.head, Value: c.Name}
	}
	if err := t.sheet.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}); err != nil {
		return nil, err
	}
	return t, t.sheet.SetRow("A1", t.row)
}

func (b *Workbook) keep(err error) {
	if b.err == nil {
		b.err = err
	}
}

// Close writes the workbook. excelize would gather it in memory first; given a
// zip writer of our own, it writes straight to where it goes.
func (b *Workbook) Close() (err error) {
	defer func() { err = errors.Join(err, b.file.Close()) }()
	if b.err != nil {
		return b.err
	}
	b.file.SetZipWriter(func(io.Writer) excelize.ZipWriter { return zip.NewWriter(b.out) })
	_, err = b.file.WriteToBuffer()
	return err
}

type xlsxTable struct {
	book    *Workbook
	sheet   *excelize.StreamWriter
	columns []Column
	row     []any
	rows    int
	bytes   int64
	err     error
}

func (t *xlsxTable) Row(cells []any) error {
	if t.err == nil {
		t.err = t.add(cells)
		t.book.keep(t.err)
	}
	return t.err
}

func (t *xlsxTable) add(cells []any) error {
	if t.rows >= MaxRows || t.bytes > maxBytes {
		return ErrTooLong
	}
	for i, c := range t.columns {
		v, err := t.cell(c, cells[i])
		if err != nil {
			return err
		}
		if t.row[i] = nil; v != nil {
			t.row[i] = excelize.Cell{StyleID: t.book.styles[c.Kind], Value: v}
		}
		if s, ok := v.(string); ok {
			t.bytes += int64(len(s))
		}
		t.bytes += perCell
	}
	t.rows++
	return t.sheet.SetRow(fmt.Sprintf("A%d", t.rows+1), t.row)
}

func (t *xlsxTable) cell(c Column, cell any) (any, error) {
	switch v := cell.(type) {
	case nil:
		return nil, nil
	case string:
		if c.Kind == Text || c.Kind == Prose {
			if v == "" {
				return nil, nil
			}
			return fit(printable(v)), nil
		}
		if f, err := strconv.ParseFloat(v, 64); (c.Kind == Decimal || c.Kind == Share) && err == nil {
			return f, nil
		}
	case time.Time:
		if c.Kind == Time {
			return days(v.In(t.book.zone)), nil
		}
	case time.Duration:
		if c.Kind == Duration {
			return v.Seconds() / (24 * 60 * 60), nil
		}
	case int64:
		if c.Kind == Number {
			return v, nil
		}
	case bool:
		if c.Kind == Flag {
			return v, nil
		}
	}
	return nil, wrongCell(c, cell)
}

// days is the wall clock as spreadsheets count it: days since the end of 1899.
func days(t time.Time) float64 {
	wall := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	return wall.Sub(time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)).Seconds() / (24 * 60 * 60)
}

// fit cuts a text to what a cell holds.
func fit(s string) string {
	if len(s) <= maxUnits {
		return s
	}
	n := 0
	for i, r := range s {
		if n += utf16.RuneLen(r); n >= maxUnits {
			rest := s[i:]
			if n == maxUnits && len(rest) == len(string(r)) {
				return s
			}
			return s[:i] + "…"
		}
	}
	return s
}

// Close ends the sheet; it is written with its workbook.
func (t *xlsxTable) Close() error {
	if t.err != nil {
		return t.err
	}
	t.err = t.sheet.Flush()
	t.book.keep(t.err)
	return t.err
}
