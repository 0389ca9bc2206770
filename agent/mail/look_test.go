package mail

import (
	"os"
	"testing"
	"time"

	"calljournal/agent/config"
	"calljournal/agent/journal"
)

// TestLook writes the HTML of mails to a folder, for somebody to look at.
func TestLook(t *testing.T) {
	folder := os.Getenv("MAIL_LOOK")
	if folder == "" {
		t.Skip("MAIL_LOOK names no folder")
	}
	zone, _ := time.LoadLocation("Europe/Moscow")
	at := time.Date(2026, 11, 22, 8, 5, 0, 0, zone)
	rows := []missedCall{
		{at: at, number: "+74951234567", name: "ООО «Ромашка», отдел снабжения", line: "Сайт", status: "abandoned", abandonedIn: "queue", wait: 95 * time.Second, queues: []string{"Продажи"}, asked: []string{"Анна Петрова", "Сергей Иванов"}},
		{at: at.Add(40 * time.Minute), number: "+79161112233", name: `"><script>alert(1)</script><img src=x onerror=alert(1)>`, line: "74951230101", status: "no_answer", wait: 31 * time.Second, asked: []string{"101", "102", "103", "104", "105"}, askedMore: 3},
		{at: at.Add(3 * time.Hour), status: "voicemail", line: "Реклама в Директе"},
		{at: at.Add(4 * time.Hour), number: "+442071838750", status: "busy", wait: time.Second, queues: []string{"service"}},
	}
	for _, lang := range []string{"ru", "en"} {
		_, html, err := alertBody("office-1", zone, config.Alert{Name: "boss", Lang: lang, Department: []string{"Продажи"}}, rows, 3)
		if err != nil {
			t.Fatal(err)
		}
		_ = os.WriteFile(folder+"/alert-"+lang+".html", []byte(html), 0o600)
		r := Report{Name: "Продажи", Lang: lang, Period: "last-week", At: at, Filter: map[string][]string{"department": {"Продажи"}, "direction": {"inbound"}, "status": {"answered", "abandoned"}}}
		text, html, err := reportBody("office-1", r, &Document{Name: "report-2026-11-16-2026-11-22.pdf", Total: journal.Figures{Inbound: 153, Answered: 131, Missed: 17, Open: 4, Outbound: 98, WaitAverage: ptr(int64(24_300))}, From: time.Date(2026, 11, 16, 0, 0, 0, 0, zone), To: time.Date(2026, 11, 23, 0, 0, 0, 0, zone)})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(text)
		_ = os.WriteFile(folder+"/report-"+lang+".html", []byte(html), 0o600)
	}
}
