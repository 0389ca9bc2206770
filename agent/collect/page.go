package collect

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

//go:embed page.html
var pageText string

// pageTemplate escapes everything that comes from outside.
var pageTemplate = template.Must(template.New("page").Parse(pageText))

type pageRow struct {
	Look
	Gone, Age, Seen, Again string
	Bad                    bool
}

// page shows how each branch is. It needs no script and loads nothing.
func (c *Collector) page(w http.ResponseWriter, r *http.Request) {
	looks, err := c.Looks(r.Context())
	now := c.o.Now()
	view := struct {
		Name, Version, At, Problem string
		Rows                       []pageRow
		Well, Behind, Gaps         int
	}{Name: c.o.Config.Collect.Name, Version: c.o.Version, At: now.UTC().Format(time.RFC3339)}
	if err != nil {
		c.log.Warn("the page cannot count the gaps", "err", err)
		view.Problem = "The database cannot be asked just now: gaps are not shown."
	}
	for _, l := range looks {
		row := pageRow{Look: l, Gone: ago(now, l.Since), Seen: ago(now, l.LastSeen), Bad: l.State != Up}
		if d := l.Behind(now); d > 0 {
			row.Age = d.Round(time.Second).String()
			view.Behind++
		}
		if !l.NextTry.IsZero() {
			row.Again = max(0, l.NextTry.Sub(now)).Round(time.Second).String()
		}
		if l.State == Up {
			view.Well++
		}
		if l.Gaps > 0 {
			view.Gaps++
		}
		view.Rows = append(view.Rows, row)
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, view); err != nil {
		c.log.Error("the page cannot be made", "err", err)
		problem(w, http.StatusInternalServerError, "the page cannot be made; the log has the reason")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

func ago(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	return fmt.Sprint(now.Sub(then).Round(time.Second))
}
