package agent

import (
	"log/slog"
	"reflect"
	"strings"

	"calljournal/agent/config"
)

// Reread is Reload with the configuration as its file says it now.
func (a *Agent) Reread() (applied, restart []string, err error) {
	a.rereading.Lock() // a signal and a request may come at once: what was read later is to stay
	defer a.rereading.Unlock()
	c, err := a.o.Reread()
	if err != nil {
		a.log.Error("configuration not taken over", "err", err)
		return nil, nil, err
	}
	applied, restart = a.Reload(c)
	return applied, restart, nil
}

// Reload takes over what can change while calls are under way, and names what
// cannot: that stays as it was until a restart.
func (a *Agent) Reload(c *config.Config) (applied, restart []string) {
	old := a.config.Load()
	next := *old
	changed := func(what string, same bool, list *[]string) bool {
		if !same {
			*list = append(*list, what)
		}
		return !same
	}
	if changed("log.level", c.Log == old.Log, &applied) {
		next.Log = c.Log
		if a.o.Level != nil {
			a.o.Level.Set(Level(c.Log.Level))
		}
	}
	a.reloadSettings(c, &next, &applied)
	if changed("[retention]", c.Retention == old.Retention, &applied) {
		next.Retention = c.Retention
	}
	if changed("[[http.token]]", reflect.DeepEqual(c.HTTP.Token, old.HTTP.Token), &applied) {
		next.HTTP.Token = c.HTTP.Token
		a.server.SetTokens(tokens(&next))
	}
	if changed("[[forward]]", reflect.DeepEqual(c.Forward, old.Forward), &applied) {
		next.Forward = c.Forward
		a.forwards.Apply(forwards(&next))
	}
	mailed := changed("[mail]", c.Mail == old.Mail, &applied)
	mailed = changed("[[report]]", reflect.DeepEqual(c.Report, old.Report), &applied) || mailed
	mailed = changed("[[alert]]", reflect.DeepEqual(c.Alert, old.Alert), &applied) || mailed
	if mailed {
		next.Mail, next.Report, next.Alert = c.Mail, c.Report, c.Alert
		a.mailings.Apply(next.Mail, next.Report, next.Alert)
	}
	if changed("uplink.token", c.Uplink.Token == old.Uplink.Token, &applied) {
		next.Uplink.Token = c.Uplink.Token
	}
	next.Warnings = c.Warnings
	a.config.Store(&next)

	mine, theirs := next, *c
	mine.HTTP.Token, theirs.HTTP.Token = nil, nil
	changed("[agent]", mine.Agent.Equal(theirs.Agent), &restart)
	changed("[[pbx]]", samePBX(mine.PBX, theirs.PBX), &restart)
	changed("[http]", reflect.DeepEqual(mine.HTTP, theirs.HTTP), &restart)
	changed("[uplink]", mine.Uplink == theirs.Uplink, &restart)
	a.log.Info("configuration read again", "applied", strings.Join(applied, ", "))
	if len(restart) > 0 {
		a.log.Warn("changed, but needs a restart: calljournal service restart", "keys", strings.Join(restart, ", "))
	}
	return applied, restart
}

// reloadSettings takes over what verdicts, names and prices follow from. The file
// of spammers is read again even if the configuration is the same.
func (a *Agent) reloadSettings(c, next *config.Config, applied *[]string) {
	with := *next
	with.Path, with.Rules, with.Employee, with.Line, with.Tariff = c.Path, c.Rules, c.Employee, c.Line, c.Tariff
	s, err := settingsOf(&with)
	if err != nil {
		a.log.Error("rules, employees, lines and tariffs stay as they were", "err", err)
		return
	}
	for _, x := range []struct {
		what string
		same bool
	}{
		{"[rules]", c.Rules == next.Rules},
		{"[[employee]]", reflect.DeepEqual(c.Employee, next.Employee)},
		{"[[line]]", reflect.DeepEqual(c.Line, next.Line)},
		{"[[tariff]]", reflect.DeepEqual(c.Tariff, next.Tariff)},
	} {
		if !x.same {
			*applied = append(*applied, x.what)
		}
	}
	*next = with
	a.directory.Store(s.directory)
	a.books.change(s)
}

// samePBX compares what is written; compiled patterns differ by address only.
func samePBX(a, b []config.PBX) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Equal(b[i]) {
			return false
		}
	}
	return true
}

// Level is the slog level of a word that config has let through.
func Level(word string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(word)); err != nil {
		return slog.LevelInfo
	}
	return l
}
