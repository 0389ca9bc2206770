package report

import (
	"fmt"
	"time"

	"calljournal/agent/journal"
)

func english() *words {
	return &words{
		Title: "Call report", Page: "page", Continued: "continued", Filter: "Filter", Department: "Only calls of the department", Masked: "Numbers are masked", SoFar: "not over yet",
		Feed: "feed %s, entry %s", FeedGrew: "feed %s, entries %s–%s", Made: "made %s",
		Summary:       "%s in the period, of which %s.",
		SummaryMissed: "%s answered, %s missed.",
		Empty:         "There are no calls in this period.",
		TooNew:        "The journal begins on %s: there is no whole period before to compare with",
		Compared:      "Compared with %s", Before: "Before", Change: "Change",
		Sections: map[string]string{
			"figures": "Figures", "inbound": "Inbound", "wait": "Waits", "talk": "Talks", "outbound": "Outbound and internal",
			"callers": "Who called", "fate": "What became of the missed",
		},
		Figures: map[string]figureWords{
			"calls":              {"All calls", "Calls"},
			"inbound":            {"Inbound", "Inbound"},
			"answered":           {"Answered", "Answered"},
			"missed":             {"Missed", "Missed"},
			"abandoned_ivr":      {"Left in a menu", "Left in menu"},
			"abandoned_queue":    {"Left in a queue", "Left in queue"},
			"abandoned_ring":     {"Left while it rang", "Left ringing"},
			"voicemail":          {"Got to a mailbox", "Voicemail"},
			"short":              {"Short", "Short"},
			"spam":               {"Spam", "Spam"},
			"outbound":           {"Outbound", "Out\u00adbound"},
			"outbound_answered":  {"Outbound, answered", "Answered"},
			"internal":           {"Internal", "Internal"},
			"internal_answered":  {"Internal, answered", "Answered"},
			"unique":             {"Unique", "Unique"},
			"repeat":             {"Repeat", "Repeat"},
			"target":             {"Target", "Target"},
			"callbacks":          {"Callbacks", "Callbacks"},
			"reached":            {"Callbacks, answered", "Reached"},
			"called_back":        {"Called back", "Called back"},
			"came_back":          {"Came back", "Came back"},
			"lost":               {"Lost", "Lost"},
			"open":               {"Open", "Open"},
			"answered_elsewhere": {"Answered elsewhere", "Answered else\u00adwhere"},
			"wait_average_ms":    {"Wait, average", "Wait"},
			"wait_longest_ms":    {"Wait, longest", "Wait, longest"},
			"wait_p90_ms":        {"Wait, 90th percentile", "Wait, 90%"},
			"ring_average_ms":    {"Ringing, average", "Ringing"},
			"ring_longest_ms":    {"Ringing, longest", "Ringing, longest"},
			"ring_p90_ms":        {"Ringing, 90th percentile", "Ringing, 90%"},
			"talk_average_ms":    {"Talk, average", "Talk"},
			"talk_longest_ms":    {"Talk, longest", "Talk, longest"},
			"talk_p90_ms":        {"Talk, 90th percentile", "Talk, 90%"},
			"talk_total_ms":      {"Talk, total", "Talk, total"},
			"service_level":      {"Service level", "Service level"},
			"answer_rate":        {"Answered, share", "Answered, share"},
			"target_rate":        {"Conversion", "Conver\u00adsion"},
			"first_call_share":   {"Unique, share", "Unique, share"},
			"called_back_share":  {"Called back, share", "Called back, share"},
		},
		ByStep:   map[journal.Step]string{journal.Hourly: "By hour", journal.Daily: "By day", journal.Weekly: "By week", journal.Monthly: "By month"},
		StepHead: map[journal.Step]string{journal.Hourly: "Hour", journal.Daily: "Day", journal.Weekly: "Week", journal.Monthly: "Month"},
		By: map[journal.By]string{
			journal.ByEmployee: "By employee", journal.ByDepartment: "By department", journal.ByQueue: "By queue", journal.ByLine: "By line", journal.BySource: "By source",
		},
		Head: map[journal.By]string{
			journal.ByEmployee: "Employee", journal.ByDepartment: "Department", journal.ByQueue: "Queue", journal.ByLine: "Line", journal.BySource: "Source",
		},
		ByHour: "Inbound calls by hour of the day", ByWeek: "Inbound calls by hour of the week", Sum: "Sum", More: "And %s more: they are in the report as XLSX or CSV.",
		Overlap: "A call in which several took part counts in the row of each, so the rows may add up to more than the total.",
		Missed:  "Waiting to be called back", NobodyMissed: "Nobody who was missed in the period is waiting to be called back.", MoreMissed: "These are the last %s; calljournal missed shows the others.",
		LastAt: "Last call", Caller: "Caller", Line: "Line", Asked: "Whom", Times: "Times", Tried: "Tried", LostAt: "Lost after",
		Withheld: "withheld", Formulas: "How the figures are made", Formula: "Formula", WholeJournal: "the whole journal",
		About: "Report", Total: "Total", Week: "Hours of the week", Weekday: "Weekday", ThisPeriod: "period", PeriodBefore: "period before",
		Conditions: map[string]string{
			"direction": "direction", "status": "status", "missed": "missed calls", "type": "type", "employee": "employee", "department": "department", "part": "part",
			"queue": "queue", "line": "line", "source": "source", "trunk": "trunk", "number": "number with", "min_talk": "talk of at least", "max_talk": "talk of at most",
			"min_wait": "wait of at least", "max_wait": "wait of at most", "weekday": "on", "hour": "in the hour", "has": "with", "q": "words",
		},
		Values: map[string]map[string]string{
			"direction": {"inbound": "inbound", "outbound": "outbound", "internal": "internal"},
			"status": {
				"answered": "answered", "abandoned": "abandoned", "no_answer": "no answer", "busy": "busy", "rejected": "rejected", "failed": "failed",
				"voicemail": "voicemail", "fax": "fax", "self_service": "self-service",
			},
			"missed": {"true": "only these", "false": "without these"},
			"type": {
				"unique": "unique", "repeat": "repeat", "target": "target", "callback": "callback", "called_back": "called back", "came_back": "came back",
				"lost": "lost", "short": "short", "spam": "spam",
			},
			"weekday": {
				"monday": "Monday", "tuesday": "Tuesday", "wednesday": "Wednesday", "thursday": "Thursday", "friday": "Friday", "saturday": "Saturday", "sunday": "Sunday",
			},
			"part": {"counted": "counted", "answered_elsewhere": "answered elsewhere"},
			"has":  {"recording": "recording", "voicemail": "voicemail", "fax": "fax"},
		},
		Weekdays:     []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"},
		LongWeekdays: []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"},
		Months:       []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
		MonthsOf:     []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
		ShortMonths:  []string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
		CallsOf:      []string{"call", "calls"}, InboundOf: []string{"inbound", "inbound"}, DaysOf: []string{"day", "days"},
		RowsOf: []string{"row", "rows"}, CallersOf: []string{"caller", "callers"},
		Points: "\u00a0pp", Thousands: ",", Point: ".", Percent: "%", Hours: "h", Minutes: "min", Seconds: "s", DayTime: "2 Jan 2006 15:04",
		plural: func(n int64) int {
			if n == 1 {
				return 0
			}
			return 1
		},
		spell: func(w *words, a, b time.Time) string {
			of := func(t time.Time) string { return fmt.Sprintf("%d %s", t.Day(), w.Months[t.Month()-1]) }
			switch {
			case a.Year() != b.Year():
				return fmt.Sprintf("%s %d – %s %d", of(a), a.Year(), of(b), b.Year())
			case a.Month() != b.Month():
				return fmt.Sprintf("%s – %s %d", of(a), of(b), b.Year())
			case a.Day() != b.Day():
				return fmt.Sprintf("%d–%s %d", a.Day(), of(b), b.Year())
			}
			return fmt.Sprintf("%s %s %d", w.LongWeekdays[(a.Weekday()+6)%7], of(a), a.Year())
		},
		formulas: englishFormulas(),
	}
}

// englishFormulas say what journal.Formulas says, without the names that figures
// and settings have for programs.
func englishFormulas() map[string]string {
	return map[string]string{
		"calls":              "calls that began in the period",
		"inbound":            "calls from outside",
		"answered":           "inbound calls in which a person spoke with the caller",
		"missed":             "inbound calls that nobody spoke with, except short ones and spam; of an employee: if his phone was called",
		"abandoned_ivr":      "missed calls that the caller left in a menu",
		"abandoned_queue":    "missed calls that the caller left in a queue",
		"abandoned_ring":     "missed calls that the caller left while phones rang",
		"voicemail":          "missed calls that got as far as a mailbox",
		"short":              "inbound calls abandoned in less than {short}",
		"spam":               "inbound calls of the type spam",
		"outbound":           "calls to outside",
		"outbound_answered":  "calls to outside that were answered",
		"internal":           "calls between employees",
		"internal_answered":  "calls between employees that were answered",
		"unique":             "inbound calls from numbers that had not called before; looked back: {depth}",
		"repeat":             "inbound calls from numbers that had called before; looked back: {depth}",
		"target":             "inbound calls with a talk of at least {target}",
		"callbacks":          "calls to a number whose missed call was open",
		"reached":            "callbacks that were answered",
		"called_back":        "missed calls whose number was next spoken with because the company called",
		"came_back":          "missed calls whose number was next spoken with because it called again",
		"lost":               "missed calls whose number was not spoken with within {lost}",
		"open":               "missed – called back – came back – lost",
		"answered_elsewhere": "calls that rang at the employee, and another took them; not in his calls",
		"wait_average_ms":    "mean wait of answered and missed inbound calls",
		"wait_longest_ms":    "longest of the same",
		"wait_p90_ms":        "90th percentile of the same: the smallest wait that nine of ten do not exceed, rounded to 1/128",
		"ring_average_ms":    "mean time of ringing where it is known; of an employee: of his phone, the one that he took",
		"ring_longest_ms":    "longest of the same",
		"ring_p90_ms":        "90th percentile of the same, rounded to 1/128",
		"talk_average_ms":    "mean talk of answered calls, in all directions; of an employee: his own part of them",
		"talk_longest_ms":    "longest of the same",
		"talk_p90_ms":        "90th percentile of the same, rounded to 1/128",
		"talk_total_ms":      "sum of the same",
		"service_level":      "inbound calls answered within {level}, of those answered or missed",
		"answer_rate":        "answered, of inbound",
		"target_rate":        "unique calls that are targets, of unique",
		"first_call_share":   "unique, of unique and repeat",
		"called_back_share":  "called back, of missed",
	}
}
