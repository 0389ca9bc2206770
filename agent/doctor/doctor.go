package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/config"
	"calljournal/connectors"
	"calljournal/storage"
)

// Verdict is what a finding means.
type Verdict string

// The verdicts, from good to bad.
const (
	Well    Verdict = "well"
	Unknown Verdict = "unknown" // it could not be looked at from here
	Advice  Verdict = "advice"  // it works and should not stay so
	Fault   Verdict = "fault"   // calls are or will be lost, or somebody gets in
)

// Finding is what one check saw.
type Finding struct {
	Check   string  `json:"check"`   // what was looked at: link, clock, disk, ...
	Subject string  `json:"subject"` // of what: the name of a PBX, a path, an address
	Verdict Verdict `json:"verdict"`
	Found   string  `json:"found"`
	Remedy  string  `json:"remedy"` // the line to change or the command to give; "" if well
}

// Options of Examine. Everything but Config must be set as for the daemon.
type Options struct {
	Config *config.Config
	// Connect makes the connector of a [[pbx]], as the daemon's.
	Connect func(config.PBX, *slog.Logger) (connectors.Connector, error)
	// Status asks the running daemon; api.ErrNoDaemon says that there is none.
	Status func(context.Context) (api.Status, error)
	// Synced says whether anything keeps this machine's clock right; nil asks the
	// kernel.
	Synced func() (bool, error)
	// Root is where the files of this machine lie: "/", or a folder in a test.
	Root string
	Now  func() time.Time
	// Patience is how long one PBX, one far side may take to answer; 0 is 10 s.
	Patience time.Duration
}

const defaultPatience = 10 * time.Second

type examination struct {
	Options
	findings []Finding
}

// Examine makes every check. It ends early when ctx does.
func Examine(ctx context.Context, o Options) []Finding {
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Synced == nil {
		o.Synced = clockSynced
	}
	x := &examination{Options: o}
	for _, check := range []func(context.Context){
		x.configuration, x.links, x.managerConf, x.clock, x.zone, x.folders, x.disk, x.unit, x.network, x.farSides, x.journal,
	} {
		if ctx.Err() != nil {
			x.add(Unknown, "all", "", "ended before everything was looked at", "run it again")
			break
		}
		check(ctx)
	}
	return x.findings
}

func (x *examination) add(v Verdict, check, subject, found, remedy string) {
	x.findings = append(x.findings, Finding{check, subject, v, found, remedy})
}

// Worst is the worst verdict among the findings.
func Worst(findings []Finding) Verdict {
	rank := map[Verdict]int{Well: 0, Unknown: 1, Advice: 2, Fault: 3}
	worst := Well
	for _, f := range findings {
		if rank[f.Verdict] > rank[worst] {
			worst = f.Verdict
		}
	}
	return worst
}

// configuration: Load has refused what cannot work; what it warns of stays.
func (x *examination) configuration(context.Context) {
	for _, w := range x.Config.Warnings {
		x.add(Advice, "configuration", x.Config.Path, w, "change it in "+x.Config.Path)
	}
	if len(x.Config.Warnings) == 0 {
		x.add(Well, "configuration", x.Config.Path, "complete", "")
	}
	if len(x.Config.PBX) == 0 {
		x.add(Fault, "configuration", x.Config.Path, "there is no [[pbx]]", "say where the PBX is, or run calljournal setup")
	}
}

// journal: a running daemon knows best; without one the file is read through.
func (x *examination) journal(ctx context.Context) {
	path := filepath.Join(x.Config.Agent.DataDir, "journal.db")
	st, err := x.Status(ctx)
	switch {
	case err == nil:
		x.running(st)
		return
	case !errors.Is(err, api.ErrNoDaemon):
		x.add(Unknown, "daemon", x.Config.Agent.Socket, err.Error(), "run it as root or as a member of the service's group")
		return
	}
	x.add(Advice, "daemon", x.Config.Agent.Socket, "does not run: calls are not recorded", "calljournal service start")
	if !exists(path) {
		x.add(Well, "journal", path, "not there yet", "")
		return
	}
	report, err := storage.Check(path)
	switch {
	case err != nil:
		x.add(Unknown, "journal", path, err.Error(), "run it as root or as the service's user")
	case report.Damaged > 0:
		x.add(Fault, "journal", path, fmt.Sprintf("%d places are damaged, the first: %s: %s", report.Damaged, report.Damage[0].Where, report.Damage[0].What),
			"start the daemon: it sets the file aside and saves what can be read; or put a backup in its place")
	default:
		x.add(Well, "journal", path, fmt.Sprintf("%d calls, every one whole", report.Calls), "")
	}
}

func (x *examination) running(st api.Status) {
	for _, p := range st.Problems {
		x.add(Fault, "daemon", st.Agent, p, "calljournal status")
	}
	if st.Journal.Salvaged != "" {
		x.add(Advice, "journal", st.Journal.Path, st.Journal.Salvaged, "compare it with a backup; consumers begin anew with the new journal id")
	}
	for _, f := range st.Forwarders {
		if f.Dead > 0 {
			x.add(Advice, "forward", f.Name, fmt.Sprintf("%d entries were refused and set aside", f.Dead), "calljournal forward dead "+f.Name)
		}
	}
	if len(st.Problems) == 0 {
		x.add(Well, "daemon", st.Agent, fmt.Sprintf("runs since %s, %d calls in the journal", st.StartedAt.Time().Local().Format(time.DateTime), st.Journal.Calls), "")
	}
}

// loopback says whether only this machine can reach the address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
