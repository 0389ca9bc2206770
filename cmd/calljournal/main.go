package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	_ "time/tzdata" // a static binary, also where there is no zone database

	"calljournal/agent/api"
	"calljournal/agent/config"

	"github.com/alecthomas/kong"
	"github.com/charmbracelet/x/term"
)

// Exit codes, the same for every verb.
const (
	exitWell     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNoDaemon = 3
	exitDegraded = 4
)

// verbs is the command line.
type verbs struct {
	Config string `help:"The configuration, ${config}; of collect, collect.toml beside it." default:"${config}" placeholder:"FILE"`

	// An installation, from the first minute on.
	Setup   setupVerb   `cmd:"" help:"Find the PBX, write the configuration, test the link and start the service. Asks, or takes flags."`
	Demo    demoVerb    `cmd:"" help:"Show calls arriving from a built-in PBX that plays recorded ones. Needs no configuration and leaves nothing behind."`
	Run     runVerb     `cmd:"" help:"Run the daemon in the foreground. SIGTERM ends it cleanly, SIGHUP reads the configuration again."`
	Status  statusVerb  `cmd:"" help:"Ask the running daemon how it is. Exit code 4 means degraded."`
	Doctor  doctorVerb  `cmd:"" help:"Look at the installation and say what to change. Exit code 1: a fault, 4: only advice."`
	Reload  reloadVerb  `cmd:"" help:"Have the daemon read its configuration again; says what that changed and what needs a restart."`
	Service serviceVerb `cmd:"" help:"Install or control the system service."`

	// What the journal says.
	Calls  callsVerb  `cmd:"" help:"List calls, newest first or in another order."`
	Show   showVerb   `cmd:"" help:"Show one call with its legs and its timeline."`
	Missed missedVerb `cmd:"" help:"The worklist: callers whom nobody spoke with, and what became of them."`
	Stats  statsVerb  `cmd:"" help:"Figures of a period: calls, answered, missed, waits, talk; in total or by employee, queue, line, day..."`
	Report reportVerb `cmd:"" help:"The report of a period as PDF, CSV or XLSX: figures, charts, tables, and how each figure is made."`
	Export exportVerb `cmd:"" help:"Write all calls that a filter selects as a table: CSV or XLSX."`
	Tag    tagVerb    `cmd:"" help:"Show or change the tags of a call."`
	Spam   spamVerb   `cmd:"" help:"The list of spammers' numbers."`
	Erase  eraseVerb  `cmd:"" help:"Erase every call of a number for good."`
	Access accessVerb `cmd:"" help:"Who read what of the journal."`

	// Who may read it, and whom it is sent to.
	User     userVerb     `cmd:"" help:"Who signs in with a name and a password."`
	Token    tokenVerb    `cmd:"" help:"Make, list and revoke what opens the HTTP interface to programs."`
	Forward  forwardVerb  `cmd:"" help:"See to the forwarders and to what a far side refused."`
	Mail     mailVerb     `cmd:"" help:"See to the reports and alerts that are mailed."`
	Consumer consumerVerb `cmd:"" help:"Consumers of the feed."`
	Collect  collectVerb  `cmd:"" help:"Run the centre: gather the calls of many agents into PostgreSQL. Its configuration is collect.toml."`

	// The journal's file, and what a PBX says.
	Backup  backupVerb  `cmd:"" help:"Copy the journal, also while the daemon runs."`
	Check   checkVerb   `cmd:"" help:"Read the whole journal and say what is damaged."`
	Compact compactVerb `cmd:"" help:"Give free space in the journal's file back to the disk. The daemon must be stopped."`
	Capture captureVerb `cmd:"" help:"Record what a PBX says to files, for replay."`
	Replay  replayVerb  `cmd:"" help:"Rebuild calls from a recorded event stream, without a PBX."`

	Completion completionVerb `cmd:"" help:"Print the completion of this command line for a shell."`
	Version    versionVerb    `cmd:"" help:"Print version, commit and Go version."`
	Manual     manualVerb     `cmd:"" hidden:"" help:"Print the manual page."`
}

// shell is what a verb has besides its flags.
type shell struct {
	ctx    context.Context
	in     io.Reader
	out    io.Writer
	errOut io.Writer
	env    config.Env
	config string // path
	given  bool   // --config was on the command line
	model  *kong.Application
}

// exitError carries an exit code other than 1. An empty text prints nothing.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	var v verbs
	env := config.OSEnv()
	parser := kong.Must(&v,
		kong.Name("calljournal"),
		kong.Description("One honest record for every call of your PBX.\n\nExit codes: 0 well, 1 failed, 2 usage, 3 no daemon there, 4 degraded."),
		kong.Vars{"config": config.DefaultPath(env.Getenv), "extensions": config.DefaultExtensions},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	line, err := parser.Parse(args)
	if err != nil {
		verb := ""
		var parse *kong.ParseError
		if errors.As(err, &parse) && parse.Context != nil && parse.Context.Command() != "" {
			verb = " " + parse.Context.Command()
		}
		fmt.Fprintf(os.Stderr, "calljournal: %v\nTry: calljournal%s --help\n", err, verb)
		return exitUsage
	}
	sh := &shell{ctx: context.Background(), in: os.Stdin, out: os.Stdout, errOut: os.Stderr, env: env, config: v.Config, model: parser.Model}
	for _, p := range line.Path {
		sh.given = sh.given || p.Flag != nil && p.Flag.Name == "config"
	}
	return sh.report(line.Run(sh))
}

// report prints an error with what to try next and gives its exit code.
func (sh *shell) report(err error) int {
	var wrong *config.Error
	var exit *exitError
	switch {
	case err == nil:
		return exitWell
	case errors.As(err, &exit):
		if exit.text != "" {
			fmt.Fprintln(sh.errOut, "calljournal: "+exit.text)
		}
		return exit.code
	case errors.As(err, &wrong):
		fmt.Fprintln(sh.errOut, wrong)
		if !absent(wrong.File) { // what to do about that is said
			fmt.Fprintln(sh.errOut, "Try: correct the file, or give another one with --config FILE")
		}
		return exitUsage
	case errors.Is(err, api.ErrNoDaemon):
		next := "calljournal service start, or calljournal run"
		if absent(sh.config) {
			next = "calljournal setup: there is no " + sh.config + " yet"
		}
		fmt.Fprintf(sh.errOut, "calljournal: %v\nTry: %s\n", err, next)
		return exitNoDaemon
	}
	fmt.Fprintf(sh.errOut, "calljournal: %v\n", err)
	return exitFailed
}

func absent(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

// client asks the daemon that the configuration is for. Whoever may open the
// control socket need not be able to read the secrets in the configuration.
func (sh *shell) client() (*api.Client, error) {
	place, err := config.Place(sh.config, sh.given, sh.env)
	if err != nil {
		return nil, err
	}
	return api.NewClient(place.Socket), nil
}

// zone is that of the daemon, by its configuration: the one in which --from and --to
// are read and statistics have their days. Where that says none, or may not be read,
// it is this machine's.
func (sh *shell) zone() *time.Location {
	place, err := config.Place(sh.config, sh.given, sh.env)
	if err != nil { // which the verb comes upon when it asks the daemon
		return time.Local
	}
	return place.Location()
}

// terminal says whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(f.Fd())
}
