package report_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"calljournal/agent/journal/journaltest"
	"calljournal/agent/report"
)

var look = flag.String("look", "", "folder for reports that somebody wants to look at: go test -run TestLook -look DIR, then pdftoppm -png -r 80")

// TestLook writes reports for eyes: no test sees whether a page is beautiful.
func TestLook(t *testing.T) {
	if *look == "" {
		t.Skip("nobody looks: -look DIR writes reports there")
	}
	zone, err := time.LoadLocation("Europe/Moscow")
	if err != nil {
		t.Fatal(err)
	}
	day := func(m time.Month, d int) time.Time { return time.Date(2026, m, d, 0, 0, 0, 0, zone) }
	m := office(t, journaltest.Options{Seed: 7, Calls: 9000, Days: 61, Start: day(9, 1), Zone: zone, Hostile: 300})
	for name, r := range map[string]report.Request{
		"month": {Period: report.Period{From: day(10, 1), To: day(11, 1)}},
		"day":   {Period: report.Period{From: day(10, 29), To: day(10, 30)}},
		"weeks": {Period: report.Period{From: day(8, 1), To: day(11, 1)}},
		"year":  {Period: report.Period{From: day(1, 1).AddDate(-1, 0, 0), To: day(12, 1)}},
		"empty": {Period: report.Period{From: day(1, 1), To: day(2, 1)}},
		"filter": {
			Period: report.Period{From: day(10, 26), To: day(11, 2)}, Department: "Продажи", Masked: true,
			Filter: []report.Condition{{Name: "direction", Words: []string{"inbound", "outbound"}}, {Name: "employee", Words: []string{"Анна Петрова", "102"}}, {Name: "min_talk", Words: []string{"30s"}}},
		},
	} {
		for _, language := range report.Languages() {
			for _, format := range report.Formats() {
				r.Format, r.Language, r.Agent, r.Now = format, language, "office-1", day(11, 1).Add(7*time.Hour)
				if err := os.WriteFile(filepath.Join(*look, name+"-"+language+"."+format), made(t, r, m).Bytes, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
