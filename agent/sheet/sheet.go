package sheet

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Kind is what the cells of a column hold.
type Kind uint8

// The kinds. A nil cell is empty in a column of any kind.
const (
	Text     Kind = iota // string; a number to be dialled is a text
	Time                 // time.Time
	Duration             // time.Duration
	Number               // int64
	Flag                 // bool
	Decimal              // string, as "1.80": an amount that is added up
	Share                // string, as "0.8750": a part of 1, in a workbook as percent
	Prose                // string: words to be read, in a wide column
)

// Column is one column of a table.
type Column struct {
	Name string
	Kind Kind
}

// Writer takes a table row by row. A row has a cell for each column, of its kind
// or nil. Nothing that was written is a whole table before Close, which must
// follow also after an error.
type Writer interface {
	Row(cells []any) error
	Close() error
}

// byteOrderMark makes spreadsheets read CSV as UTF-8.
const byteOrderMark = "\ufeff"

// NewCSV begins a table as RFC 4180 says, in UTF-8 with a byte order mark. Times
// are RFC 3339 in the zone, durations whole milliseconds.
func NewCSV(w io.Writer, zone *time.Location, columns []Column) (Writer, error) {
	if _, err := io.WriteString(w, byteOrderMark); err != nil {
		return nil, err
	}
	t := &csvTable{w: csv.NewWriter(w), zone: zone, columns: columns, row: make([]string, len(columns))}
	t.w.UseCRLF = true
	for i, c := range columns {
		t.row[i] = Disarm(c.Name)
	}
	return t, t.w.Write(t.row)
}

type csvTable struct {
	w       *csv.Writer
	zone    *time.Location
	columns []Column
	row     []string
}

func (t *csvTable) Row(cells []any) error {
	for i, c := range t.columns {
		text, err := csvCell(c, cells[i], t.zone)
		if err != nil {
			return err
		}
		t.row[i] = text
	}
	return t.w.Write(t.row)
}

func csvCell(c Column, cell any, zone *time.Location) (string, error) {
	switch v := cell.(type) {
	case nil:
		return "", nil
	case string:
		if c.Kind == Text || c.Kind == Prose {
			return Disarm(v), nil
		}
		if _, err := strconv.ParseFloat(v, 64); (c.Kind == Decimal || c.Kind == Share) && err == nil {
			return v, nil
		}
	case time.Time:
		if c.Kind == Time {
			return v.In(zone).Format("2006-01-02T15:04:05.000Z07:00"), nil
		}
	case time.Duration:
		if c.Kind == Duration {
			return strconv.FormatInt(v.Milliseconds(), 10), nil
		}
	case int64:
		if c.Kind == Number {
			return strconv.FormatInt(v, 10), nil
		}
	case bool:
		if c.Kind == Flag {
			return strconv.FormatBool(v), nil
		}
	}
	return "", wrongCell(c, cell)
}

func wrongCell(c Column, cell any) error {
	return fmt.Errorf("column %s is of kind %d: a %T does not go there", c.Name, c.Kind, cell)
}

func (t *csvTable) Close() error {
	t.w.Flush()
	return t.w.Error()
}

// Disarm makes a text safe for a cell of CSV.
func Disarm(s string) string {
	s = printable(s)
	if s == "" {
		return ""
	}
	if strings.ContainsRune("\t\r\n", rune(s[0])) {
		return "'" + s
	}
	for _, r := range s {
		if unicode.IsSpace(r) || !unicode.IsGraphic(r) {
			continue // a spreadsheet may not see it either
		}
		if strings.ContainsRune("=+-@＝＋－＠", r) {
			return "'" + s
		}
		break
	}
	return s
}

// printable replaces what no spreadsheet can hold: control characters but tab and
// line end, and what is not UTF-8.
func printable(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' || r == '\ufffe' || r == '\uffff' {
			return '\ufffd'
		}
		return r
	}, s)
}

// ErrTooLong: the table does not fit into a sheet of XLSX.
var ErrTooLong = errors.New("a sheet holds no more")
