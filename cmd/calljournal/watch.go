package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"calljournal/agent/api"

	tea "charm.land/bubbletea/v2"
)

const watchEvery = 2 * time.Second

// watch is the status as a live view of a terminal.
type watch struct {
	ask    func() (api.Status, error)
	zone   *time.Location
	last   api.Status
	at     time.Time // of last; zero: none yet
	err    error     // of the newest question
	top    int       // the first line that shows, of what is larger than the screen
	width  int
	height int
}

// asked is the answer to one question.
type asked struct {
	status api.Status
	err    error
	at     time.Time
}

func (v statusVerb) watch(sh *shell, c *api.Client) error {
	w := watch{zone: sh.zone(), ask: func() (api.Status, error) {
		ctx, cancel := context.WithTimeout(sh.ctx, 2*watchEvery)
		defer cancel()
		return c.Status(ctx)
	}}
	_, err := tea.NewProgram(w, tea.WithContext(sh.ctx), tea.WithOutput(sh.out)).Run()
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, tea.ErrInterrupted) {
		return nil // how one leaves it
	}
	return err
}

func (w watch) question() tea.Msg {
	st, err := w.ask()
	return asked{st, err, time.Now()}
}

// Init implements tea.Model.
func (w watch) Init() tea.Cmd { return w.question }

// Update implements tea.Model.
func (w watch) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	switch m := m.(type) {
	case asked:
		if w.err = m.err; m.err == nil {
			w.last, w.at = m.status, m.at
		}
		return w, tea.Tick(watchEvery, func(time.Time) tea.Msg { return w.question() })
	case tea.WindowSizeMsg:
		w.width, w.height = m.Width, m.Height
	case tea.KeyPressMsg:
		switch m.String() {
		case "q", "esc", "ctrl+c":
			return w, tea.Quit
		case "down", "j":
			w.top++
		case "up", "k":
			w.top--
		case "pgdown", "space":
			w.top += w.height - 2
		case "pgup":
			w.top -= w.height - 2
		case "home", "g":
			w.top = 0
		}
		w.top = max(0, min(w.top, len(w.lines())-w.height+1))
	}
	return w, nil
}

// lines is all there is to show, but for the last line of the screen.
func (w watch) lines() []string {
	var b strings.Builder
	if w.err != nil {
		fmt.Fprintf(&b, "%s %s\n\n", styleBad.Render("!"), plain(w.err.Error()))
	}
	if w.at.IsZero() {
		if w.err == nil {
			b.WriteString("asking…\n")
		}
	} else if err := printStatus(&b, w.last, w.zone); err != nil {
		b.WriteString(err.Error())
	}
	return strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
}

// View implements tea.Model.
func (w watch) View() tea.View {
	lines := w.lines()
	if w.height > 1 {
		lines = lines[min(w.top, len(lines)):]
		more := len(lines) > w.height-1
		lines = lines[:min(len(lines), w.height-1)]
		foot := "q quits"
		if more || w.top > 0 {
			foot += ", ↑ ↓ scroll"
		}
		if !w.at.IsZero() {
			foot = "as of " + w.at.Format(time.TimeOnly) + ", " + foot
		}
		for len(lines) < w.height-1 {
			lines = append(lines, "")
		}
		lines = append(lines, styleDim.Render(foot))
	}
	view := tea.NewView(strings.Join(lines, "\n"))
	view.AltScreen = true
	view.WindowTitle = "calljournal status"
	return view
}
