package main

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"
	"unicode"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"
)

// Names and numbers from outside come back as data: nothing of them is a formula
// to a spreadsheet, moves a terminal's cursor, or turns the direction of writing.
func TestOutput_HostileNames(t *testing.T) {
	var calls []*call.Record
	for c := range journaltest.Generate(journaltest.Options{Seed: 9, Calls: 400, Hostile: 2}) {
		calls = append(calls, c)
	}
	st := &api.Statistics{By: "employee", Rows: []api.StatisticsRow{}, Formulas: journal.Formulas(journal.DefaultRules())}
	for _, text := range journaltest.Hostile() {
		r := *calls[0]
		r.ID, r.AnsweredBy = "main:"+text, &text
		r.From = call.Party{Number: &text, Name: &text}
		r.To = call.Party{Number: &text, Employee: &text}
		r.Tags, r.Account, r.HealedBy = []string{text}, &text, &text
		r.Cost = &call.Cost{Amount: "1.80", Currency: text, Prefix: "79"}
		r.Recordings = []call.Recording{{File: &text}}
		r.Voicemail = &call.VoicemailEntry{Mailbox: text, File: &text}
		r.Fax = &call.FaxEntry{Direction: "received", File: &text}
		calls = append(calls, &r)
		st.Rows = append(st.Rows, api.StatisticsRow{Group: text})
	}
	for name, write := range map[string]func(*shell) error{
		"calls": func(sh *shell) error { return sh.callsTable(calls) },
		"stats": func(sh *shell) error { return sh.statsTable(st) },
		"show": func(sh *shell) error {
			for _, r := range calls {
				printCall(sh.screen(), r, time.UTC)
			}
			return nil
		},
		"calls, CSV": func(sh *shell) error { return sh.callsCSV(calls) },
		"stats, CSV": func(sh *shell) error { return sh.statsCSV(st) },
	} {
		var out bytes.Buffer
		if err := write(&shell{out: &out, errOut: &out}); err != nil {
			t.Fatal(name, err)
		}
		if !strings.HasSuffix(name, "CSV") {
			for _, r := range out.String() {
				if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
					t.Errorf("%s: %U on the screen", name, r)
				}
			}
			for line := range strings.Lines(out.String()) {
				if len([]rune(line)) > 1000 {
					t.Errorf("%s: a line of %d letters", name, len([]rune(line)))
				}
			}
			continue
		}
		rows, err := csv.NewReader(&out).ReadAll()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
					t.Errorf("%s: %.40q would be a formula", name, cell)
				}
			}
		}
	}
}
