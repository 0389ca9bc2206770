package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"calljournal/agent/call"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/charmbracelet/colorprofile"
)

// json prints v for programs.
func (sh *shell) json(v any) error {
	e := json.NewEncoder(sh.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// screen is standard output for people: colours and their escapes only where a
// terminal shows them and NO_COLOR does not forbid it.
func (sh *shell) screen() io.Writer { return colorprofile.NewWriter(sh.out, os.Environ()) }

var (
	styleHead = lipgloss.NewStyle().Bold(true).PaddingRight(2)
	styleCell = lipgloss.NewStyle().PaddingRight(2)
	styleGood = lipgloss.NewStyle().Foreground(lipgloss.Color("2"))
	styleBad  = lipgloss.NewStyle().Foreground(lipgloss.Color("1"))
	styleDim  = lipgloss.NewStyle().Faint(true)
)

// tableText lines up rows under their headers, wide and combining letters
// counted as they show.
func tableText(headers []string, rows [][]string) string {
	text := table.New().Border(lipgloss.HiddenBorder()).
		BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).BorderColumn(false).BorderRow(false).BorderHeader(false).
		Wrap(false).Headers(headers...).Rows(rows...).
		StyleFunc(func(row, _ int) lipgloss.Style {
			if row == table.HeaderRow {
				return styleHead
			}
			return styleCell
		}).String()
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// plain disarms what comes from outside before it reaches a terminal: control
// characters could move the cursor, and marks of writing direction the meaning.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return '·'
		}
		return r
	}, s)
}

// short cuts a text from outside so that it cannot push everything else away.
func short(s string, most int) string {
	r := []rune(plain(s))
	if len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return string(r)
}

func str(p *string) string {
	if p == nil || *p == "" {
		return "-"
	}
	return *p
}

// timeIn is a moment for people; --from and --to take it as it stands.
func timeIn(zone *time.Location, m call.Moment) string {
	if m == 0 {
		return "-"
	}
	return m.Time().In(zone).Format(time.DateTime)
}

func ms(p *int64) string {
	if p == nil {
		return "-"
	}
	return (time.Duration(*p) * time.Millisecond).Round(100 * time.Millisecond).String()
}

func ago(now, then call.Moment) string {
	if then == 0 {
		return "never"
	}
	return now.Sub(then).Round(time.Second).String() + " ago"
}

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// party is how a side of a call shows: the employee, or the number with the name.
func party(p call.Party) string {
	number := str(p.Number)
	switch {
	case p.Employee != nil:
		return short(number+" "+*p.Employee, 30)
	case p.Name != nil && *p.Name != "" && *p.Name != number:
		return short(number+" "+*p.Name, 30)
	}
	return short(number, 30)
}
