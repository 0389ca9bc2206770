package journaltest

import (
	"fmt"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"
)

// Options say which journal is made.
type Options struct {
	Seed  uint64
	Calls int
	Start time.Time      // the first day; the zero time is 2026-03-02
	Days  int            // over how many days; 0 is 30
	Zone  *time.Location // whose working hours; nil is UTC
	// Hostile: one of so many calls has a hostile name or number; 0: none.
	Hostile int
}

// Company is who calls and is called.
type Company struct {
	Employees []journal.Employee
	Lines     []journal.Line
	Tariffs   []journal.Tariff
	// Spam are the entries of a file of spammers.
	Spam []string
}

var (
	departments = []string{"Продажи", "Поддержка", "Бухгалтерия", "Склад", ""}
	firstNames  = []string{"Анна", "Олег", "Мария", "Иван", "Ольга", "Пётр", "Jürgen", "Zoë"}
	lastNames   = []string{"Петрова", "Кузнецов", "Смирнова", "Ли", "O'Brien", "Йылмаз", "Гарсия-Лопес"}
	sources     = []string{"yandex-direct", "google-ads", "2gis", "", "radio"}
	queueNames  = []string{"sales", "support", "vip"}
)

const employees = 40

// NewCompany is the company whose journal it is: always the same one.
func NewCompany() Company {
	c := Company{
		Tariffs: []journal.Tariff{
			{Prefix: "7", PerMinute: "0.90", Currency: "RUB", Step: time.Minute, Free: 3 * time.Second},
			{Prefix: "79", PerMinute: "1.80", Currency: "RUB", Step: time.Minute, Free: 3 * time.Second},
			{Prefix: "7495", PerMinute: "0.4275", Currency: "RUB", Step: time.Second},
		},
		Spam: []string{"7916000*", "+7 (916) 111-11-11"},
	}
	for i := range employees {
		if i%9 == 8 {
			continue // one whom nobody told the configuration about
		}
		c.Employees = append(c.Employees, journal.Employee{
			Extension:  extension(i),
			Name:       firstNames[i%len(firstNames)] + " " + lastNames[i%len(lastNames)],
			Department: departments[i%len(departments)],
		})
	}
	for i := range 6 {
		c.Lines = append(c.Lines, journal.Line{Number: lineNumber(i), Name: fmt.Sprintf("Линия %d", i), Source: sources[i%len(sources)]})
	}
	return c
}

func extension(i int) string { return fmt.Sprint(101 + i) }

func lineNumber(i int) string { return fmt.Sprintf("7495123010%d", i) }

// Hostile is what has been sent as a caller's name or number, and must come back
// as nothing but data.
var hostile = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	`'; DROP TABLE calls; --`,
	`" OR 1=1 --`,
	`=HYPERLINK("http://example.invalid","click")`,
	`=cmd|' /C calc'!A0`,
	`+1+1`, `-2+3`, `@SUM(1+1)`, "\t=1+1", "\r=1+1",
	"a\x00b", "\x1b[31mred\x1b[0m", "line\r\nEvent: Hangup\r\n\r\n",
	"\u202egnp.exe\u202c", "\u200b\u200e\ufeff", "مرحبا 123", "e\u0301\u0327",
	"\xff\xfe\x80", "${jndi:ldap://x}", "{{7*7}}", "%s%n%d", "../../../etc/passwd", "💥📞",
}

// Hostile gives those, and one of 64 KB.
func Hostile() []string {
	long := make([]byte, 64<<10)
	for i := range long {
		long[i] = "0123456789<>\"'=;"[i%16]
	}
	return append(append([]string(nil), hostile...), string(long))
}

func moment(t time.Time) call.Moment { return call.MomentOf(t.Truncate(time.Millisecond)) }
