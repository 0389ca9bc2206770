package report

import (
	"fmt"
	"time"

	"calljournal/agent/journal"
)

func russian() *words {
	return &words{
		Title: "Отчёт о звонках", Page: "стр.", Continued: "продолжение", Filter: "Отбор", Department: "Только звонки отдела", Masked: "Номера скрыты", SoFar: "ещё не окончен",
		Feed: "лента %s, запись %s", FeedGrew: "лента %s, записи %s–%s", Made: "составлен %s",
		Summary:       "За период %s, из них %s.",
		SummaryMissed: "Отвечено %s, пропущено %s.",
		Empty:         "За этот период звонков нет.",
		TooNew:        "Журнал ведётся с %s: целого прошлого периода для сравнения в нём нет",
		Compared:      "Сравнение: %s", Before: "Было", Change: "Изменение",
		Sections: map[string]string{
			"figures": "Показатели", "inbound": "Входящие", "wait": "Ожидание", "talk": "Разговоры", "outbound": "Исходящие и внутренние",
			"callers": "Кто звонил", "fate": "Что стало с пропущенными",
		},
		Figures: map[string]figureWords{
			"calls":              {"Всего звонков", "Звонки"},
			"inbound":            {"Входящие", "Входя\u00adщие"},
			"answered":           {"Отвеченные", "Отве\u00adчено"},
			"missed":             {"Пропущенные", "Пропу\u00adщено"},
			"abandoned_ivr":      {"Ушли из меню", "Ушли из меню"},
			"abandoned_queue":    {"Ушли из очереди", "Ушли из очереди"},
			"abandoned_ring":     {"Ушли во время вызова", "Ушли при вызове"},
			"voicemail":          {"Голосовая почта", "Голосовая почта"},
			"short":              {"Короткие", "Короткие"},
			"spam":               {"Спам", "Спам"},
			"outbound":           {"Исходящие", "Исхо\u00adдящие"},
			"outbound_answered":  {"Исходящие с ответом", "С ответом"},
			"internal":           {"Внутренние", "Внутренние"},
			"internal_answered":  {"Внутренние с ответом", "С ответом"},
			"unique":             {"Уникальные", "Уникаль\u00adные"},
			"repeat":             {"Повторные", "Повторные"},
			"target":             {"Целевые", "Целе\u00adвые"},
			"callbacks":          {"Перезвоны", "Пере\u00adзвоны"},
			"reached":            {"Перезвоны с ответом", "Дозвони\u00adлись"},
			"called_back":        {"Перезвонили", "Перезво\u00adнили"},
			"came_back":          {"Дозвонились сами", "Сами"},
			"lost":               {"Потерянные", "Потеряны"},
			"open":               {"Ждут звонка", "Ждут"},
			"answered_elsewhere": {"Ответил другой", "Ответил другой"},
			"wait_average_ms":    {"Ожидание, среднее", "Ожида\u00adние"},
			"wait_longest_ms":    {"Ожидание, наибольшее", "Ожида\u00adние, наиб."},
			"wait_p90_ms":        {"Ожидание, 90-й процентиль", "Ожида\u00adние, 90\u00a0%"},
			"ring_average_ms":    {"Вызов, средний", "Вызов"},
			"ring_longest_ms":    {"Вызов, наибольший", "Вызов, наиб."},
			"ring_p90_ms":        {"Вызов, 90-й процентиль", "Вызов, 90\u00a0%"},
			"talk_average_ms":    {"Разговор, средний", "Разговор"},
			"talk_longest_ms":    {"Разговор, наибольший", "Разговор, наиб."},
			"talk_p90_ms":        {"Разговор, 90-й процентиль", "Разговор, 90\u00a0%"},
			"talk_total_ms":      {"Разговоры, всего", "Разговоры, всего"},
			"service_level":      {"Уровень обслуживания", "Уровень обслу\u00adжив."},
			"answer_rate":        {"Отвеченные, доля", "Доля отвеч."},
			"target_rate":        {"Конверсия", "Конвер\u00adсия"},
			"first_call_share":   {"Уникальные, доля", "Доля уник."},
			"called_back_share":  {"Перезвонили, доля", "Доля перезв."},
		},
		ByStep:   map[journal.Step]string{journal.Hourly: "По часам", journal.Daily: "По дням", journal.Weekly: "По неделям", journal.Monthly: "По месяцам"},
		StepHead: map[journal.Step]string{journal.Hourly: "Час", journal.Daily: "День", journal.Weekly: "Неделя", journal.Monthly: "Месяц"},
		By: map[journal.By]string{
			journal.ByEmployee: "По сотрудникам", journal.ByDepartment: "По отделам", journal.ByQueue: "По очередям", journal.ByLine: "По линиям", journal.BySource: "По источникам",
		},
		Head: map[journal.By]string{
			journal.ByEmployee: "Сотрудник", journal.ByDepartment: "Отдел", journal.ByQueue: "Очередь", journal.ByLine: "Линия", journal.BySource: "Источник",
		},
		ByHour: "Входящие по часам суток", ByWeek: "Входящие по часам недели", Sum: "Всего", More: "И ещё %s: они есть в отчёте в формате XLSX или CSV.",
		Overlap: "Звонок, в котором участвовали несколько, считается в строке каждого, поэтому сумма строк может быть больше итога.",
		Missed:  "Ждут звонка", NobodyMissed: "Среди пропущенных за период нет никого, кто ждал бы звонка.", MoreMissed: "Показаны последние %s; остальных покажет calljournal missed.",
		LastAt: "Последний звонок", Caller: "Кто звонил", Line: "Линия", Asked: "Кому", Times: "Раз", Tried: "Перезва\u00adнивали", LostAt: "Потерян после",
		Withheld: "номер скрыт", Formulas: "Как считаются показатели", Formula: "Формула", WholeJournal: "весь журнал",
		About: "Отчёт", Total: "Итог", Week: "Часы недели", Weekday: "День недели", ThisPeriod: "период", PeriodBefore: "период до него",
		Conditions: map[string]string{
			"direction": "направление", "status": "итог", "missed": "пропущенные", "type": "признак", "employee": "сотрудник", "department": "отдел", "part": "участие",
			"queue": "очередь", "line": "линия", "source": "источник", "trunk": "транк", "number": "номер содержит", "min_talk": "разговор не короче", "max_talk": "разговор не дольше",
			"min_wait": "ожидание не короче", "max_wait": "ожидание не дольше", "weekday": "день недели", "hour": "час суток", "has": "с файлом", "q": "слова",
		},
		Values: map[string]map[string]string{
			"direction": {"inbound": "входящие", "outbound": "исходящие", "internal": "внутренние"},
			"status": {
				"answered": "отвечен", "abandoned": "не дождался", "no_answer": "нет ответа", "busy": "занято", "rejected": "отклонён", "failed": "не соединён",
				"voicemail": "голосовая почта", "fax": "факс", "self_service": "самообслуживание",
			},
			"missed": {"true": "только они", "false": "без них"},
			"type": {
				"unique": "уникальный", "repeat": "повторный", "target": "целевой", "callback": "перезвон", "called_back": "перезвонили", "came_back": "дозвонился сам",
				"lost": "потерян", "short": "короткий", "spam": "спам",
			},
			"weekday": {
				"monday": "понедельник", "tuesday": "вторник", "wednesday": "среда", "thursday": "четверг", "friday": "пятница", "saturday": "суббота", "sunday": "воскресенье",
			},
			"part": {"counted": "звонок засчитан", "answered_elsewhere": "ответил другой"},
			"has":  {"recording": "запись", "voicemail": "голосовая почта", "fax": "факс"},
		},
		Weekdays:     []string{"пн", "вт", "ср", "чт", "пт", "сб", "вс"},
		LongWeekdays: []string{"понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье"},
		Months:       []string{"январь", "февраль", "март", "апрель", "май", "июнь", "июль", "август", "сентябрь", "октябрь", "ноябрь", "декабрь"},
		MonthsOf:     []string{"января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября", "октября", "ноября", "декабря"},
		ShortMonths:  []string{"янв", "фев", "мар", "апр", "мая", "июн", "июл", "авг", "сен", "окт", "ноя", "дек"},
		CallsOf:      []string{"звонок", "звонка", "звонков"}, InboundOf: []string{"входящий", "входящих", "входящих"}, DaysOf: []string{"день", "дня", "дней"},
		RowsOf: []string{"строка", "строки", "строк"}, CallersOf: []string{"звонивший", "звонивших", "звонивших"},
		Points: "\u00a0п.п.", Thousands: "\u00a0", Point: ",", Percent: "\u00a0%", Hours: "ч", Minutes: "мин", Seconds: "с", DayTime: "02.01.2006 15:04",
		plural: func(n int64) int {
			switch {
			case n%10 == 1 && n%100 != 11:
				return 0
			case n%10 >= 2 && n%10 <= 4 && (n%100 < 12 || n%100 > 14):
				return 1
			}
			return 2
		},
		spell: func(w *words, a, b time.Time) string {
			of := func(t time.Time) string { return fmt.Sprintf("%d %s", t.Day(), w.MonthsOf[t.Month()-1]) }
			switch {
			case a.Year() != b.Year():
				return fmt.Sprintf("%s %d – %s %d", of(a), a.Year(), of(b), b.Year())
			case a.Month() != b.Month():
				return fmt.Sprintf("%s – %s %d", of(a), of(b), b.Year())
			case a.Day() != b.Day():
				return fmt.Sprintf("%d–%s %d", a.Day(), of(b), b.Year())
			}
			return fmt.Sprintf("%s %d, %s", of(a), a.Year(), w.LongWeekdays[(a.Weekday()+6)%7])
		},
		formulas: russianFormulas(),
	}
}

// russianFormulas say what journal.Formulas says.
func russianFormulas() map[string]string {
	return map[string]string{
		"calls":              "звонки, которые начались за период",
		"inbound":            "звонки извне",
		"answered":           "входящие, в которых со звонившим говорил человек",
		"missed":             "входящие, в которых со звонившим никто не говорил, кроме коротких и спама; у сотрудника – если вызывали его телефон",
		"abandoned_ivr":      "пропущенные, в которых звонивший положил трубку в меню",
		"abandoned_queue":    "пропущенные, в которых звонивший положил трубку в очереди",
		"abandoned_ring":     "пропущенные, в которых звонивший положил трубку, пока звонили телефоны",
		"voicemail":          "пропущенные, дошедшие до голосового ящика",
		"short":              "входящие, брошенные быстрее чем за {short}",
		"spam":               "входящие с типом «спам»",
		"outbound":           "звонки наружу",
		"outbound_answered":  "звонки наружу, на которые ответили",
		"internal":           "звонки между сотрудниками",
		"internal_answered":  "звонки между сотрудниками, на которые ответили",
		"unique":             "входящие с номеров, которые не звонили раньше; глубина – {depth}",
		"repeat":             "входящие с номеров, которые уже звонили; глубина – {depth}",
		"target":             "входящие с разговором не короче {target}",
		"callbacks":          "звонки на номер, чей пропущенный звонок ждал ответа",
		"reached":            "перезвоны, на которые ответили",
		"called_back":        "пропущенные, с чьим номером затем поговорили, потому что позвонила компания",
		"came_back":          "пропущенные, с чьим номером затем поговорили, потому что он позвонил снова",
		"lost":               "пропущенные, с чьим номером не поговорили за {lost}",
		"open":               "пропущенные – перезвонили – дозвонились сами – потерянные",
		"answered_elsewhere": "звонки, которые звонили у сотрудника, а ответил другой; в число его звонков не входят",
		"wait_average_ms":    "среднее ожидание отвеченных и пропущенных входящих",
		"wait_longest_ms":    "наибольшее из них",
		"wait_p90_ms":        "90-й процентиль: наименьшее ожидание, которого не превышают девять из десяти; округлено до 1/128",
		"ring_average_ms":    "средняя длительность вызова, где она известна; у сотрудника – его телефона, на котором он ответил",
		"ring_longest_ms":    "наибольшая из них",
		"ring_p90_ms":        "90-й процентиль, округлено до 1/128",
		"talk_average_ms":    "средний разговор отвеченных звонков всех направлений; у сотрудника – его часть разговора",
		"talk_longest_ms":    "наибольший из них",
		"talk_p90_ms":        "90-й процентиль, округлено до 1/128",
		"talk_total_ms":      "сумма разговоров",
		"service_level":      "входящие, отвеченные не позже чем через {level}, от отвеченных и пропущенных",
		"answer_rate":        "отвеченные от входящих",
		"target_rate":        "уникальные, ставшие целевыми, от уникальных",
		"first_call_share":   "уникальные от уникальных и повторных",
		"called_back_share":  "те, кому перезвонили, от пропущенных",
	}
}
