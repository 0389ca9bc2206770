package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/setup"
	"calljournal/connectors"
)

// skewMost is how far the PBX's clock may be from ours: recordings and calls are
// looked for by time of day.
const skewMost = 2 * time.Second

// Link looks at the link to one PBX alone, as Examine does. Of o it needs Connect.
func Link(ctx context.Context, p config.PBX, o Options) []Finding {
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	x := &examination{Options: o}
	x.link(ctx, p)
	return x.findings
}

// links signs in to each PBX as the daemon does and hears what it says of itself.
func (x *examination) links(ctx context.Context) {
	for _, p := range x.Config.PBX {
		x.link(ctx, p)
	}
}

func (x *examination) link(ctx context.Context, p config.PBX) {
	c, err := x.Connect(p, slog.New(slog.DiscardHandler))
	if err != nil {
		x.add(Fault, "link", p.Name, err.Error(), "correct [[pbx]] "+p.Name)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, x.Patience)
	defer cancel()
	var up, asked bool
	var skew time.Duration
	live := 0
	err = c.Run(ctx, 1, func(e call.Event) {
		switch e.Kind {
		case call.LinkUp:
			up, skew = true, e.At.Sub(e.Seen)
		case call.Snapshot:
			asked, live = true, len(e.Live)
			cancel() // that is all there is to know
		}
	})
	said := c.Stats()
	var fault *connectors.LinkError
	switch {
	case !up && errors.As(err, &fault):
		remedy := fault.Hint
		if remedy == "" {
			remedy = x.linkRemedy(p, err)
		}
		x.add(Fault, "link", p.Name, fmt.Sprintf("%s %s: %v", fault.Op, fault.Address, fault.Err), remedy)
		return
	case !up:
		x.add(Fault, "link", p.Name, fmt.Sprintf("%s did not answer within %v", p.Address, x.Patience), x.linkRemedy(p, err))
		return
	}
	x.add(Well, "link", p.Name, fmt.Sprintf("%s at %s, %d channels up", said.PBXVersion, p.Address, live), "")
	for _, w := range said.Warnings {
		found, remedy, ok := strings.Cut(w, ": ")
		if !ok {
			remedy = "see the README, the part on the PBX's side"
		}
		x.add(Advice, "PBX's settings", p.Name, found, remedy)
	}
	if !asked {
		x.add(Unknown, "link", p.Name, "the PBX did not list its channels", "give the user the rights that the README names")
	}
	switch {
	case skew == 0:
		x.add(Unknown, "clock", p.Name, "the PBX does not say what time it is", "")
	case skew.Abs() > skewMost:
		x.add(Fault, "clock", p.Name, fmt.Sprintf("the PBX's clock is %v %s this machine's", skew.Abs().Round(time.Millisecond), aheadOrBehind(skew)),
			"keep both by NTP: timedatectl set-ntp true")
	default:
		x.add(Well, "clock", p.Name, fmt.Sprintf("the PBX's clock is within %v of this machine's", skewMost), "")
	}
}

func aheadOrBehind(d time.Duration) string {
	if d > 0 {
		return "ahead of"
	}
	return "behind"
}

func (x *examination) linkRemedy(p config.PBX, err error) string {
	switch {
	case errors.Is(err, connectors.ErrLoginRefused):
		return "make user and secret the same on both sides, and permit this machine's address there"
	case errors.Is(err, connectors.ErrNotAPBX):
		return "address must be that of the manager interface (5038) or of the event socket (8021); tls as there"
	case p.Kind == config.KindFreeSWITCH:
		return "is mod_event_socket loaded, and does it listen at " + p.Address + "?"
	}
	return "is enabled = yes in manager.conf, and does it listen at " + p.Address + "?"
}

// writeTimeoutLeast is in milliseconds: Asterisk cuts a manager session that
// could not be written to for that long, 100 by default (manager.c).
const writeTimeoutLeast = 1000

// managerConf reads what Asterisk's manager interface does not tell, where its
// file lies on this machine.
func (x *examination) managerConf(context.Context) {
	for _, p := range x.Config.PBX {
		if p.Kind != config.KindAsterisk || !loopback(p.Address) {
			continue
		}
		path := filepath.Join(x.Root, "etc/asterisk/manager.conf")
		manager, err := setup.ReadAsterisk(x.Root, "/etc/asterisk/manager.conf")
		switch {
		case errors.Is(err, os.ErrNotExist):
			x.add(Unknown, "manager.conf", p.Name, "not on this machine", "")
			continue
		case err != nil:
			x.add(Unknown, "manager.conf", p.Name, err.Error(), "run it as root")
			continue
		}
		user := manager.Named(p.Username)
		if user == nil {
			x.add(Unknown, "manager.conf", p.Name, fmt.Sprintf("the user %q is neither in %s nor in a file that it includes", p.Username, path), "")
			continue
		}
		x.managerUser(p, filepath.Join(x.Root, user.File), user)
	}
}

func (x *examination) managerUser(p config.PBX, path string, user *setup.Section) {
	well := true
	bad := func(v Verdict, found, remedy string) {
		well = false
		x.add(v, "manager.conf", p.Name, found, remedy+" in ["+p.Username+"] of "+path+", then: asterisk -rx 'manager reload'")
	}
	if n, err := strconv.Atoi(user.Get("writetimeout")); err != nil || n < writeTimeoutLeast {
		bad(Advice, fmt.Sprintf("writetimeout is %q: a moment's stall costs the session and a gap", user.Get("writetimeout")), "set writetimeout = 5000")
	}
	if user.Get("eventfilter") != "" {
		bad(Fault, fmt.Sprintf("eventfilter = %s keeps events from us", user.Get("eventfilter")), "take eventfilter out")
	}
	if user.Get("permit") == "" && user.Get("deny") == "" && user.Get("acl") == "" {
		bad(Advice, "anybody who knows the secret may sign in from anywhere", "set deny = 0.0.0.0/0.0.0.0 and permit = 127.0.0.1/255.255.255.255")
	}
	read := strings.Split(strings.ReplaceAll(user.Get("read"), " ", ""), ",")
	for _, class := range []string{"call", "system", "agent"} {
		if !slices.Contains(read, class) && !slices.Contains(read, "all") {
			bad(Fault, fmt.Sprintf("read lacks the class %q, whose events calls are rebuilt from", class), "set read = system,call,agent,dialplan")
		}
	}
	if well {
		x.add(Well, "manager.conf", p.Name, "the user's settings are in order", "")
	}
}
