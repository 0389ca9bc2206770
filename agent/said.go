package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"calljournal/agent/access"
	"calljournal/agent/api"
	"calljournal/agent/call"
)

// said keeps the newest warnings and errors of the log in memory, for whoever looks
// after the daemon from a page. Equal ones, as of a link that is tried again and
// again, are one entry.
type said struct {
	now func() time.Time

	mu      sync.Mutex
	entries []api.LogEntry // the newest last
}

const (
	mostSaid     = 100
	longestSaid  = 300 // bytes of a text or of one value
	mostSaidWith = 12  // values
)

// newest gives what is kept, the newest first.
func (s *said) newest() []api.LogEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.entries)
	slices.Reverse(out)
	return out
}

func (s *said) keep(e api.LogEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := func(o api.LogEntry) bool {
		return o.Level == e.Level && o.Text == e.Text && slices.Equal(o.About, e.About)
	}
	if i := slices.IndexFunc(s.entries, same); i >= 0 {
		e.Since, e.Times = s.entries[i].Since, s.entries[i].Times+1
		s.entries = slices.Delete(s.entries, i, i+1)
	} else if len(s.entries) == mostSaid {
		s.entries = slices.Delete(s.entries, 0, 1)
	}
	s.entries = append(s.entries, e)
}

// listener is a slog.Handler that lets said hear what goes to the one behind it.
type listener struct {
	slog.Handler
	said  *said
	about []string // of WithAttrs
	group string   // of WithGroup, with a dot
}

// Enabled: warnings and errors are kept, whatever the log's level.
func (l listener) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || l.Handler.Enabled(ctx, level)
}

func (l listener) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		e := api.LogEntry{At: call.MomentOf(l.said.now()), Times: 1, Level: "warning", Text: brief(r.Message), About: slices.Clone(l.about)}
		if e.Since = e.At; r.Level >= slog.LevelError {
			e.Level = "error"
		}
		r.Attrs(func(a slog.Attr) bool {
			e.About = tell(e.About, l.group, a)
			return true
		})
		l.said.keep(e)
	}
	if !l.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

func (l listener) WithAttrs(attrs []slog.Attr) slog.Handler {
	l.Handler = l.Handler.WithAttrs(attrs)
	l.about = slices.Clone(l.about)
	for _, a := range attrs {
		l.about = tell(l.about, l.group, a)
	}
	return l
}

func (l listener) WithGroup(name string) slog.Handler {
	l.Handler = l.Handler.WithGroup(name)
	if name != "" {
		l.group += name + "."
	}
	return l
}

// tell adds name=value, but for the stack of a fault: that is for the log.
func tell(about []string, group string, a slog.Attr) []string {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range v.Group() {
			about = tell(about, group, inner)
		}
		return about
	}
	if a.Key == "" || a.Key == "stack" || len(about) >= mostSaidWith || v.Kind() == slog.KindAny && v.Any() == nil {
		return about
	}
	text := ""
	switch v.Kind() {
	case slog.KindTime:
		text = v.Time().UTC().Format(time.RFC3339)
	case slog.KindDuration:
		text = v.Duration().String()
	default:
		if text = v.String(); a.Key == "call" {
			text = briefCall(text)
		} else {
			text = brief(text)
		}
	}
	return append(about, fmt.Sprintf("%s%s=%s", group, a.Key, text))
}

// brief is a text of the log as it is kept: short, on one line, with no whole
// telephone number.
func brief(s string) string {
	if len(s) > longestSaid {
		n := longestSaid
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + "…"
	}
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\ufffd")), " ")
	// An address of the network is none: without it nobody finds what is wrong.
	var out strings.Builder
	done := 0
	for _, at := range networkAddress.FindAllStringIndex(s, -1) {
		if _, err := netip.ParseAddr(s[at[0]:at[1]]); err != nil {
			continue
		}
		out.WriteString(access.MaskText(s[done:at[0]]) + s[at[0]:at[1]])
		done = at[1]
	}
	return out.String() + access.MaskText(s[done:])
}

// briefCall leaves an id of a call as it is, so that the call can be looked up. A
// PBX may name a call by a number that was called: only what has the form of its
// own ids is one.
func briefCall(s string) string {
	if at := ownID.FindStringSubmatchIndex(s); at != nil {
		return brief(s[:at[2]]) + s[at[2]:]
	}
	return brief(s)
}

var (
	// ownID ends what names a call: Asterisk's time of its beginning with a count,
	// or a UUID; before it there may be names, of the PBX and of the system.
	ownID = regexp.MustCompile(`(?:^|[:-])([12]\d{9}\.\d{1,9}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)

	networkAddress = regexp.MustCompile(`\b\d{1,3}(?:\.\d{1,3}){3}\b`)
)

// Said is the newest warnings and errors of the log, the newest first.
func (a *Agent) Said() []api.LogEntry { return a.said.newest() }
