package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/journal"
)

type statsVerb struct {
	callFlags
	By       string `help:"total, direction, line, source, trunk, queue, employee, department; or hour, day, week, month." default:"total" enum:"total,direction,line,source,trunk,queue,employee,department,hour,day,week,month" placeholder:"GROUP"`
	Step     string `help:"A row for each hour, day, week or month." default:"" enum:",hour,day,week,month" placeholder:"STEP"`
	Load     bool   `help:"The inbound calls by hour of the week instead."`
	Formulas bool   `help:"How each figure is made, instead of figures."`
	JSON     bool   `name:"json" help:"As JSON: the same as GET /v1/stats." xor:"form"`
	CSV      bool   `name:"csv" help:"Every figure, as CSV." xor:"form"`
}

func (v statsVerb) Run(sh *shell) error {
	what, err := v.query(sh.zone())
	if err != nil {
		return err
	}
	what.Set("by", v.By)
	for name, value := range (url.Values{"step": {v.Step}, "load": {strconv.FormatBool(v.Load)}}) {
		if value[0] != "" {
			what[name] = value
		}
	}
	c, err := sh.client()
	if err != nil {
		return err
	}
	st, err := c.Stats(sh.ctx, what)
	if err != nil {
		return err
	}
	switch {
	case v.JSON:
		return sh.json(st)
	case v.Formulas:
		return sh.formulas(st.Formulas)
	case v.CSV:
		return sh.statsCSV(&st)
	case len(st.Rows) == 0:
		_, err := fmt.Fprintln(sh.errOut, "No calls.")
		return err
	case v.Load:
		return sh.loadTable(&st)
	}
	return sh.statsTable(&st)
}

func (sh *shell) formulas(list []journal.Formula) error {
	rows := make([][]string, 0, len(list))
	for _, f := range list {
		rows = append(rows, []string{f.Figure, f.Formula})
	}
	_, err := fmt.Fprintln(sh.screen(), tableText([]string{"FIGURE", "FORMULA"}, rows))
	return err
}

// statsTable shows the figures that fit on a screen; --json and --csv have all.
func (sh *shell) statsTable(st *api.Statistics) error {
	head := []string{"CALLS", "INBOUND", "ANSWERED", "MISSED", "LEVEL", "WAIT", "WAIT 90%", "UNIQUE", "TARGET", "OUTBOUND", "CALLBACKS", "LOST", "TALK", "TALK TOTAL"}
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	rows := make([][]string, 0, len(st.Rows))
	for i := range st.Rows {
		r := &st.Rows[i]
		level := r.ServiceLevel.Percent()
		if level != "" {
			level += "%"
		}
		rows = append(rows, append(rowName(st, r), count(r.Calls), count(r.Inbound), count(r.Answered), count(r.Missed), level, seconds(r.WaitAverage),
			seconds(r.WaitP90), count(r.Unique), count(r.Target), count(r.Outbound), count(r.Callbacks), count(r.Lost), seconds(r.TalkAverage), seconds(&r.TalkTotal)))
	}
	_, err := fmt.Fprintln(sh.screen(), tableText(append(rowHead(st), head...), rows))
	return err
}

// loadTable shows when callers call: a line for each hour, a column for each day.
func (sh *shell) loadTable(st *api.Statistics) error {
	var rows [][]string
	for i := range st.Rows {
		r := &st.Rows[i]
		if r.Load == nil {
			continue
		}
		for hour := range 24 {
			row := append(rowName(st, r), fmt.Sprintf("%02d-%02d", hour, hour+1))
			busy := int64(0)
			for day := range r.Load {
				row = append(row, strconv.FormatInt(r.Load[day][hour], 10))
				busy += r.Load[day][hour]
			}
			if busy > 0 {
				rows = append(rows, row)
			}
		}
	}
	_, err := fmt.Fprintln(sh.screen(), tableText(append(rowHead(st), "HOUR", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"), rows))
	return err
}

func rowHead(st *api.Statistics) (head []string) {
	if st.Step != "" {
		head = append(head, "FROM")
	}
	if st.By != "total" {
		head = append(head, "GROUP")
	}
	return head
}

func rowName(st *api.Statistics, r *api.StatisticsRow) (name []string) {
	if st.Step != "" {
		name = append(name, r.At)
	}
	if st.By != "total" {
		name = append(name, short(r.Group, 30))
	}
	return name
}

// seconds is a duration for a table.
func seconds(ms *int64) string {
	if ms == nil {
		return "-"
	}
	return (time.Duration(*ms) * time.Millisecond).Round(time.Second).String()
}

// statsCSV writes every figure under the name that it has in JSON.
func (sh *shell) statsCSV(st *api.Statistics) error {
	w := csv.NewWriter(sh.out)
	head := []string{"at", "group"}
	for _, f := range st.Formulas {
		head = append(head, f.Figure)
	}
	_ = w.Write(head)
	for i := range st.Rows {
		text, err := json.Marshal(&st.Rows[i].Figures)
		if err != nil {
			return err
		}
		var figures map[string]*json.Number
		if err := json.Unmarshal(text, &figures); err != nil {
			return err
		}
		row := slices.Grow([]string{st.Rows[i].At, cell(st.Rows[i].Group)}, len(head))
		for _, name := range head[2:] {
			value := ""
			if n := figures[name]; n != nil {
				value = n.String()
			}
			row = append(row, value)
		}
		_ = w.Write(row)
	}
	w.Flush()
	return w.Error()
}
