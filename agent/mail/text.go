package mail

import (
	"embed"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/journal"
)

//go:embed templates/*.html
var templates embed.FS

// words are what mails say in one language.
type words struct {
	clock, day      string // layouts
	missedOne       string // subject: %s is the number
	withheld        string
	missedMany      func(n int) string
	more            func(n int) string
	waited          string
	line, queue     string // in front of which
	rang            string // in front of whose phone
	others          string // people: %d
	status          map[string]string
	abandonedIn     map[string]string
	alertFoot       string // %s: the alert, %s: the agent
	report          string // subject: %s is the name, %s the period
	period          string
	inbound         string
	answered        string
	missed, open    string
	outbound, wait  string
	attached        string
	through         string // from %s to %s
	all             string // no ends
	reportFoot      string // %s: the report, %s: the agent
	minutes, second string
}

// english and russian are made anew each time, so that nobody can change them.
func english() words {
	return words{
		clock: "15:04", day: "2006-01-02",
		missedOne: "Missed call: %s", withheld: "number withheld",
		missedMany: func(n int) string { return fmt.Sprintf("%d missed calls", n) },
		more: func(n int) string {
			if n == 1 {
				return "One more missed call does not fit in here: see the journal."
			}
			return fmt.Sprintf("%d more missed calls do not fit in here: see the journal.", n)
		},
		waited: "waited %s", line: "line:", queue: "queue:", rang: "rang:", others: "and %d more",
		status: map[string]string{
			call.StatusAbandoned: "hung up before anyone answered", call.StatusNoAnswer: "nobody answered", call.StatusBusy: "everybody was busy",
			call.StatusRejected: "the call was declined", call.StatusFailed: "could not be put through", call.StatusVoicemail: "got to the mailbox",
		},
		abandonedIn: map[string]string{"ivr": "hung up in the menu", "queue": "hung up in the queue", "ring": "hung up while it rang"},
		alertFoot:   "Nobody has spoken with these callers since, as far as calljournal knows. Alert %q of %s. Times are of the zone %s.",
		report:      "%s: calls %s", period: "Period", inbound: "Inbound calls", answered: "Answered", missed: "Missed", open: "Of these to be called back", outbound: "Outbound calls", wait: "Average wait", attached: "Attached", through: "%s to %s", all: "of the whole journal",
		reportFoot: "Report %q of %s, made by calljournal. Times are of the zone %s.",
		minutes:    "%d min %02d s", second: "%d s",
	}
}

func russian() words {
	return words{
		clock: "15:04", day: "02.01.2006",
		missedOne: "Пропущенный звонок: %s", withheld: "номер скрыт",
		missedMany: func(n int) string {
			return fmt.Sprintf("%d %s", n, plural(n, "пропущенный звонок", "пропущенных звонка", "пропущенных звонков"))
		},
		more: func(n int) string {
			return fmt.Sprintf("Ещё %d %s: смотрите журнал.", n, plural(n, "пропущенный звонок не поместился", "пропущенных звонка не поместились", "пропущенных звонков не поместились"))
		},
		waited: "ждал %s", line: "линия:", queue: "очередь:", rang: "вызывали:", others: "и ещё %d",
		status: map[string]string{
			call.StatusAbandoned: "повесил трубку до ответа", call.StatusNoAnswer: "никто не ответил", call.StatusBusy: "все были заняты",
			call.StatusRejected: "звонок отклонили", call.StatusFailed: "не удалось соединить", call.StatusVoicemail: "попал на голосовую почту",
		},
		abandonedIn: map[string]string{"ivr": "повесил трубку в меню", "queue": "повесил трубку в очереди", "ring": "повесил трубку, пока звонило"},
		alertFoot:   "С этими людьми с тех пор, насколько известно calljournal, никто не говорил. Оповещение «%s», %s. Время указано в поясе %s.",
		report:      "%s: звонки %s", period: "Период", inbound: "Входящие звонки", answered: "Отвечено", missed: "Пропущено", open: "Из них ждут звонка", outbound: "Исходящие звонки", wait: "Среднее ожидание", attached: "Приложен файл", through: "%s – %s", all: "за всё время",
		reportFoot: "Отчёт «%s», %s, составлен calljournal. Время указано в поясе %s.",
		minutes:    "%d мин %02d с", second: "%d с",
	}
}

func wordsOf(lang string) words {
	if lang == "ru" {
		return russian()
	}
	return english()
}

// plural chooses the Russian form that goes with a number.
func plural(n int, one, few, many string) string {
	switch {
	case n%10 == 1 && n%100 != 11:
		return one
	case n%10 >= 2 && n%10 <= 4 && (n%100 < 12 || n%100 > 14):
		return few
	}
	return many
}

func (w *words) length(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s >= 60 {
		return fmt.Sprintf(w.minutes, s/60, s%60)
	}
	return fmt.Sprintf(w.second, s)
}

func alertSubject(lang string, rows []missedCall, more int) string {
	w := wordsOf(lang)
	if len(rows) == 1 && more == 0 {
		return fmt.Sprintf(w.missedOne, w.number(&rows[0]))
	}
	return w.missedMany(len(rows) + more)
}

func (w *words) number(m *missedCall) string {
	if m.number == "" {
		return w.withheld
	}
	return m.number
}

// alertRow is a missed call as a mail shows it.
type alertRow struct {
	Time, Day, Number, Name, What string
	Where                         []pair
}

type pair struct{ Name, Value string }

func (w *words) row(m *missedCall, zone *time.Location) alertRow {
	at := m.at.In(zone)
	r := alertRow{Time: at.Format(w.clock), Day: at.Format(w.day), Number: w.number(m), Name: m.name, What: w.status[m.status]}
	if where := w.abandonedIn[m.abandonedIn]; where != "" && m.status == call.StatusAbandoned {
		r.What = where
	}
	if m.wait >= time.Second {
		r.What += ", " + fmt.Sprintf(w.waited, w.length(m.wait))
	}
	if m.line != "" {
		r.Where = append(r.Where, pair{w.line, m.line})
	}
	if len(m.queues) > 0 {
		r.Where = append(r.Where, pair{w.queue, strings.Join(m.queues, ", ")})
	}
	if len(m.asked) > 0 {
		who := strings.Join(m.asked, ", ")
		if m.askedMore > 0 {
			who += " " + fmt.Sprintf(w.others, m.askedMore)
		}
		r.Where = append(r.Where, pair{w.rang, who})
	}
	return r
}

func alertBody(agent string, zone *time.Location, c config.Alert, calls []missedCall, more int) (text, html string, err error) {
	w := wordsOf(c.Lang)
	page := struct {
		Lang, Title, About, More, Foot string
		Rows                           []alertRow
	}{Lang: c.Lang, Title: w.missedMany(len(calls) + more), Foot: fmt.Sprintf(w.alertFoot, c.Name, agent, zoneName(zone, calls[0].at))}
	if len(calls) == 1 && more == 0 {
		page.Title = fmt.Sprintf(w.missedOne, w.number(&calls[0]))
	}
	var about []string
	for _, list := range [][]string{c.Department, c.Queue, c.Line} {
		about = append(about, list...)
	}
	page.About = strings.Join(append([]string{agent}, about...), ", ")
	if more > 0 {
		page.More = w.more(more)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", page.Title, page.About)
	for i := range calls {
		r := w.row(&calls[i], zone)
		page.Rows = append(page.Rows, r)
		fmt.Fprintf(&b, "%s %s  %s", r.Day, r.Time, r.Number)
		if r.Name != "" {
			fmt.Fprintf(&b, "  %s", r.Name)
		}
		fmt.Fprintf(&b, "\n    %s\n", r.What)
		for _, where := range r.Where {
			fmt.Fprintf(&b, "    %s %s\n", where.Name, where.Value)
		}
		b.WriteByte('\n')
	}
	if page.More != "" {
		fmt.Fprintf(&b, "%s\n\n", page.More)
	}
	fmt.Fprintf(&b, "-- \n%s\n", page.Foot)
	html, err = fill("alert.html", page)
	return b.String(), html, err
}

// zoneName is how people know a zone; that of the system has no name.
func zoneName(zone *time.Location, at time.Time) string {
	if zone == time.Local {
		return at.In(zone).Format("UTC-07:00")
	}
	return zone.String()
}

// days is a period in words: its last day is in it.
func (w *words) days(from, to time.Time) string {
	switch {
	case from.IsZero() && to.IsZero():
		return w.all
	case from.IsZero():
		return fmt.Sprintf(w.through, "…", to.Add(-time.Nanosecond).Format(w.day))
	case to.IsZero():
		return fmt.Sprintf(w.through, from.Format(w.day), "…")
	}
	first, last := from.Format(w.day), to.Add(-time.Nanosecond).Format(w.day)
	if first == last {
		return first
	}
	return fmt.Sprintf(w.through, first, last)
}

func reportSubject(r Report, d *Document) string {
	w := wordsOf(r.Lang)
	return fmt.Sprintf(w.report, r.Name, w.days(d.From, d.To))
}

// figures are the few that can be read without opening the document.
func (w *words) figures(f *journal.Figures) []pair {
	list := []pair{
		{w.inbound, strconv.FormatInt(f.Inbound, 10)}, {w.answered, strconv.FormatInt(f.Answered, 10)}, {w.missed, strconv.FormatInt(f.Missed, 10)},
		{w.open, strconv.FormatInt(f.Open, 10)}, {w.outbound, strconv.FormatInt(f.Outbound, 10)},
	}
	if f.WaitAverage != nil {
		list = append(list, pair{w.wait, w.length(time.Duration(*f.WaitAverage) * time.Millisecond)})
	}
	return list
}

func reportBody(agent string, r Report, d *Document) (text, html string, err error) {
	w := wordsOf(r.Lang)
	page := struct {
		Lang, Title, Foot string
		Rows              []pair
	}{Lang: r.Lang, Title: reportSubject(r, d), Foot: fmt.Sprintf(w.reportFoot, r.Name, agent, zoneName(r.At.Location(), r.At))}
	page.Rows = append([]pair{{w.period, w.days(d.From, d.To)}}, w.figures(&d.Total)...)
	page.Rows = append(page.Rows, pair{w.attached, d.Name})
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", page.Title)
	for _, r := range page.Rows {
		fmt.Fprintf(&b, "%s: %s\n", r.Name, r.Value)
	}
	fmt.Fprintf(&b, "\n-- \n%s\n", page.Foot)
	html, err = fill("report.html", page)
	return b.String(), html, err
}

func fill(name string, page any) (string, error) {
	t, err := template.ParseFS(templates, "templates/"+name)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, page)
	return b.String(), err
}
