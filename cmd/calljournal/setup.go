package main

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"calljournal/agent"
	"calljournal/agent/config"
	"calljournal/agent/doctor"
	"calljournal/agent/setup"

	"github.com/charmbracelet/x/term"
)

// setupVerb brings an installation to its first call. A secret is never on the
// command line, where everybody on the machine could see it.
type setupVerb struct {
	Profile    string   `help:"How the PBX is installed: asterisk, freepbx, issabel, mikopbx, freeswitch, fusionpbx. Default: found out." enum:",asterisk,freepbx,issabel,mikopbx,freeswitch,fusionpbx" default:"" placeholder:"NAME"`
	Kind       string   `help:"asterisk or freeswitch. Default: found out." enum:",asterisk,freeswitch" default:"" placeholder:"KIND"`
	Address    string   `help:"Where its manager interface or event socket listens." placeholder:"HOST:PORT"`
	User       *string  `help:"Whom it knows us as; of FreeSWITCH user@domain, or nothing for the event socket's own password." placeholder:"NAME"`
	SecretFile string   `help:"Read the user's secret from here; - is standard input. Default: asked for, or made." placeholder:"FILE"`
	Name       string   `help:"What the PBX is called in the journal." default:"main"`
	Trunks     []string `help:"Patterns of channel names that lead outside. Default: found out." placeholder:"PATTERN"`
	Country    string   `help:"How a number without its country code is read: two letters, as RU. Default: asked for, or not at all." placeholder:"CC"`

	Yes       bool   `help:"Do not ask: yes to everything, but not to replacing a configuration."`
	Replace   bool   `help:"Replace the configuration that is there; it is kept as calljournal.toml.old."`
	DryRun    bool   `help:"Show what would be written and change nothing."`
	NoService bool   `help:"Leave the service alone."`
	Root      string `help:"Where this machine's files lie." default:"/" hidden:""`
}

func (v setupVerb) Run(sh *shell) error {
	d := dialogue{sh: sh, in: bufio.NewReader(sh.in), silent: v.Yes || v.DryRun}
	m := setup.ThisMachine(v.Root)
	f, err := v.find(m, &d)
	if err != nil {
		return err
	}
	showFound(sh.screen(), f)
	answers, err := v.ask(&d, f)
	if err != nil {
		return err
	}
	p, err := setup.Propose(m, f, answers, sh.config)
	if err != nil {
		return &exitError{exitUsage, err.Error()}
	}
	if v.DryRun {
		return v.showAll(sh, p)
	}
	if err := v.write(&d, m, p); err != nil {
		return err
	}
	written, err := v.letIn(&d, m, p)
	if err != nil {
		return err
	}
	if err := v.tryLink(&d, m, p, written); err != nil {
		return err
	}
	return v.serve(&d)
}

// find chooses the PBX that it is about.
func (v setupVerb) find(m setup.Machine, d *dialogue) (setup.Found, error) {
	f, err := v.choose(m, d)
	if host, _, bad := net.SplitHostPort(v.Address); bad == nil && err == nil && v.Address != f.Address {
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			f = setup.Elsewhere(f.Profile) // what lies here is not that PBX's
		}
	}
	return f, err
}

func (v setupVerb) choose(m setup.Machine, d *dialogue) (setup.Found, error) {
	if v.Profile != "" {
		p, _ := setup.Named(v.Profile)
		if v.Kind != "" && v.Kind != p.Kind {
			return setup.Found{}, &exitError{exitUsage, fmt.Sprintf("--profile %s is of the kind %s, not %s", v.Profile, p.Kind, v.Kind)}
		}
		return setup.Examine(m, p), nil
	}
	found, kind := setup.Find(m), v.Kind
	if kind == "" && len(found) != 1 {
		offer := ""
		if len(found) > 1 {
			offer = found[0].Profile.Kind
			fmt.Fprintln(d.sh.out, "Both Asterisk and FreeSWITCH are here. Do one now; the other gets a [[pbx]] of its own later.")
		} else {
			fmt.Fprintln(d.sh.out, "No Asterisk or FreeSWITCH was found on this machine.")
		}
		if kind = d.text("Which kind of PBX, asterisk or freeswitch?", offer); kind == "" {
			return setup.Found{}, &exitError{exitUsage, "it is not known which PBX to set up\nTry: calljournal setup --kind asterisk --address HOST:5038"}
		}
	}
	for _, f := range found {
		if kind == "" || f.Profile.Kind == kind {
			return f, nil
		}
	}
	p, ok := setup.Named(kind)
	if !ok || p.Name != p.Kind {
		return setup.Found{}, &exitError{exitUsage, fmt.Sprintf("%q is no kind of PBX: asterisk or freeswitch", kind)}
	}
	return setup.Elsewhere(p), nil
}

func showFound(w io.Writer, f setup.Found) {
	fmt.Fprintf(w, "%s", f.Profile.Title)
	if f.Here {
		fmt.Fprintf(w, ", configured in %s", f.Conf)
	}
	if f.Listens {
		fmt.Fprintf(w, ", listens at %s", f.Address)
	} else if f.Here {
		fmt.Fprintf(w, "; nothing listens at %s", f.Address)
	}
	fmt.Fprintln(w)
	for _, c := range f.Change {
		fmt.Fprintf(w, "%s %s\n", styleDim.Render("→"), plain(c))
	}
}

// ask takes the answers from the flags, from who sits there, or from what was found.
func (v setupVerb) ask(d *dialogue, f setup.Found) (setup.Answers, error) {
	a := setup.Answers{Name: v.Name, Trunks: f.Trunks}
	if a.Address = v.Address; a.Address == "" {
		a.Address = d.text("Where does it listen?", f.Address)
	}
	switch {
	case v.User != nil:
		a.Username = *v.User
	case f.Profile.WholeSocket:
	case f.Profile.Kind == config.KindFreeSWITCH && f.Username == "":
		a.Username = d.text("A user of its directory for us, as calljournal@DOMAIN; fs_cli -x \"global_getvar domain\" says the domain.\n"+
			"Or nothing, for the event socket's own password, which lets whoever has it control the PBX:", "")
		if a.Username == "" && d.silent {
			return a, &exitError{exitUsage, "FreeSWITCH's domain is not known here\nTry: --user calljournal@DOMAIN, where fs_cli -x \"global_getvar domain\" says the domain; or --user= for the event socket's own password"}
		}
	default:
		a.Username = d.text("Whom shall it know us as?", f.Username)
	}
	if len(v.Trunks) > 0 {
		a.Trunks = v.Trunks
	} else if len(a.Trunks) > 0 {
		list := d.text("Channels that lead outside, as patterns?", strings.Join(a.Trunks, ","))
		a.Trunks = slices.DeleteFunc(strings.Split(strings.ReplaceAll(list, " ", ""), ","), func(s string) bool { return s == "" })
	}
	if a.Country = v.Country; a.Country == "" {
		a.Country = d.text("Your country, as RU: how a number without its country code is read? (Enter: not at all)", "")
	}
	a.Country = strings.ToUpper(a.Country)
	secret, err := v.secret(d, f, a)
	a.Secret = config.NewSecret(secret)
	return a, err
}

// secret: where it is given, where it was put before, from who knows it, or new.
func (v setupVerb) secret(d *dialogue, f setup.Found, a setup.Answers) (string, error) {
	if v.SecretFile == "-" {
		return d.given()
	}
	path := v.SecretFile
	if path == "" {
		path = filepath.Join(filepath.Dir(d.sh.config), setup.SecretName(f.Profile.Kind))
	}
	b, err := readSecretFile(path)
	switch {
	case err == nil && b != "":
		return b, nil
	case err == nil && v.SecretFile != "":
		return "", &exitError{exitUsage, path + " is empty"}
	case err != nil && (v.SecretFile != "" || !errors.Is(err, os.ErrNotExist)):
		return "", fmt.Errorf("read the secret: %w", err)
	}
	// A user whom the PBX does not know yet gets a secret that nobody has to think of.
	fresh := a.Username != "" && !f.UserThere
	switch {
	case f.Secret != "" && a.Username == "":
		fmt.Fprintln(d.sh.out, "The event socket's password is taken from the PBX's configuration.")
		return f.Secret, nil
	case v.DryRun:
		return "not looked at", nil
	case fresh:
		b = d.secret("Its secret (Enter: make a new one)")
	case a.Username == "":
		b = d.secret("The event socket's password")
	default:
		b = d.secret("Its secret")
	}
	switch {
	case b != "":
		return b, nil
	case fresh:
		raw := make([]byte, 24)
		_, _ = rand.Read(raw) // never fails (crypto/rand)
		return base64.RawURLEncoding.EncodeToString(raw), nil
	}
	return "", &exitError{exitUsage, "the PBX knows whom to let in already, and the secret for it is missing\nTry: --secret-file FILE, or --secret-file - for standard input"}
}

func readSecretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	return strings.TrimRight(string(b), "\r\n"), err
}

// showAll is the dry run.
func (v setupVerb) showAll(sh *shell, p setup.Proposal) error {
	w := sh.screen()
	fmt.Fprintf(w, "\n%s, with every other key as in the example:\n\n", p.Config.Path)
	for _, line := range linesOf(p.Config.Text, "[[pbx]]") {
		fmt.Fprintf(w, "    %s\n", plain(line))
	}
	for _, line := range linesOf(p.Config.Text, "[rules]") {
		if strings.HasPrefix(line, "country") {
			fmt.Fprintf(w, "    [rules]\n    %s\n", plain(line))
		}
	}
	fmt.Fprintf(w, "\n%s: the secret, for root alone.\n", p.Secret.Path)
	showLines(w, p, false)
	if p.PBXFile != nil {
		fmt.Fprintf(w, "setup would write this file after a yes.\n")
	}
	over, err := setup.Overwritten(p.Config, p.Secret)
	if err != nil {
		return err
	}
	for _, path := range over {
		fmt.Fprintf(w, "%s is there already and would stay unless replaced.\n", path)
	}
	_, err = fmt.Fprintln(w, "Nothing was changed.")
	return err
}

// linesOf is what is in effect of a table of a configuration, from its header on.
func linesOf(text, table string) (lines []string) {
	_, text, _ = strings.Cut(text, "\n"+table+"\n")
	text, _, _ = strings.Cut(text, "\n[")
	lines = []string{table}
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// showLines says what the PBX is to be told. The secret itself shows only where
// somebody looks who has to copy it.
func showLines(w io.Writer, p setup.Proposal, secret bool) {
	text := p.Shown
	if secret {
		text = p.Lines
	}
	for _, part := range []struct{ where, text string }{{p.Where, text}, {p.SocketIn, p.Socket}} {
		if part.text == "" {
			continue
		}
		fmt.Fprintf(w, "\nOn the PBX's side, into %s:\n\n", part.where)
		for line := range strings.Lines(part.text) {
			fmt.Fprintf(w, "    %s\n", plain(strings.TrimRight(line, "\n")))
		}
		fmt.Fprintln(w)
	}
}

// write puts down our own two files.
func (v setupVerb) write(d *dialogue, m setup.Machine, p setup.Proposal) error {
	over, err := setup.Overwritten(p.Config, p.Secret)
	if err != nil {
		return err
	}
	if len(over) > 0 && !v.Replace {
		there := strings.Join(over, " and ")
		if v.Yes || !d.yes(there+": there is another one already. Replace, and keep the old as .old?", false) {
			return &exitError{exitFailed, there + ": there is another one already, and nothing was changed\n" +
				"Try: --replace, which keeps the old one beside it; or calljournal doctor, which looks at what is there"}
		}
	} else if !d.yes(fmt.Sprintf("Write %s and %s?", p.Config.Path, p.Secret.Path), true) {
		return &exitError{exitFailed, "nothing was changed"}
	}
	for _, f := range []setup.File{p.Secret, p.Config} {
		if err := put(d.sh.out, m, f); err != nil {
			return err
		}
	}
	return nil
}

func put(w io.Writer, m setup.Machine, f setup.File) error {
	kept, err := f.Write(m)
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w\nTry: sudo calljournal setup", err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Wrote %s", f.Path)
	if kept != "" {
		fmt.Fprintf(w, "; what was there is now %s", kept)
	}
	fmt.Fprintln(w)
	return nil
}

// letIn has the PBX know us: by a file of our own after a yes, else in words.
func (v setupVerb) letIn(d *dialogue, m setup.Machine, p setup.Proposal) (written bool, err error) {
	if p.Lines+p.Socket == "" || p.There {
		return false, nil // a link that fails will show whether more is to be done
	}
	showLines(d.sh.screen(), p, terminal(d.sh.out))
	if p.PBXFile != nil && d.yes("Write this file of the PBX?", false) {
		if err := put(d.sh.out, m, *p.PBXFile); err != nil {
			return false, err
		}
		written = true
	}
	if len(p.Reload) > 0 {
		fmt.Fprintf(d.sh.out, "Then, so that the PBX reads it: %s\n", strings.Join(p.Reload, " && "))
	}
	if !written || len(p.Reload) > 0 {
		d.wait("Press Enter when that is done.")
	}
	return written, nil
}

// tryLink signs in as the daemon will, until it is let in or told to leave it. The
// PBX's side written by us has the right secret: then it can only be reread.
func (v setupVerb) tryLink(d *dialogue, m setup.Machine, p setup.Proposal, written bool) error {
	ctx, stop := signal.NotifyContext(d.sh.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	for {
		c, err := config.Load(d.sh.config, d.sh.env)
		if err != nil {
			return err
		}
		findings := doctor.Link(ctx, c.PBX[0], doctor.Options{Config: c, Connect: agent.Connect})
		fmt.Fprint(d.sh.screen(), findingsText(findings, true))
		// A clock that is wrong is said, and is nothing to wait for.
		if !slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.Check == "link" && f.Verdict == doctor.Fault }) {
			return nil
		}
		if p.There {
			showLines(d.sh.screen(), p, terminal(d.sh.out))
		}
		if ctx.Err() != nil || !d.yes("Try again?", true) || v.Yes {
			next := "Configuration and secret are written; the link does not work yet, and the service was not started."
			if len(p.Reload) > 0 {
				next += "\nHas the PBX read what lets us in? " + strings.Join(p.Reload, " && ")
			}
			return &exitError{exitFailed, next + "\nTry: what is said above, then this command again; a secret that was wrong is corrected in " + p.Secret.Path + ", and --secret-file left out"}
		}
		if written {
			continue
		}
		if secret := d.secret("Its secret (Enter: the same)"); secret != "" {
			p.Secret.Text = secret + "\n"
			if err := os.Remove(p.Secret.Path); err != nil { // the one that was just written
				return err
			}
			if err := put(d.sh.out, m, p.Secret); err != nil {
				return err
			}
		}
	}
}

// serve has the system run the daemon.
func (v setupVerb) serve(d *dialogue) error {
	if v.NoService || !d.yes("Install and start the service?", true) {
		fmt.Fprintln(d.sh.out, "Next: calljournal service install, calljournal service start, calljournal status")
		return nil
	}
	if err := installService(d.sh); err != nil {
		return err
	}
	action := "restart" // which starts what stands still
	if runtime.GOOS == "windows" {
		action = "start"
	}
	if err := controlService(d.sh, action); err != nil {
		return err
	}
	_, err := fmt.Fprintln(d.sh.out, "The service runs. Next: calljournal status; and calljournal user add NAME, who then signs in to the pages")
	return err
}

// dialogue asks who sits there, or takes lines from a pipe. Silent, it asks nothing
// and says yes.
type dialogue struct {
	sh     *shell
	in     *bufio.Reader
	silent bool
}

// line is the next line; at the end of input none.
func (d *dialogue) line() (string, bool) {
	text, err := d.in.ReadString('\n')
	return strings.TrimSpace(text), err == nil || text != ""
}

// text is the answer to a question, or what is offered.
func (d *dialogue) text(question, offer string) string {
	if d.silent {
		return offer
	}
	fmt.Fprint(d.sh.errOut, question+" ")
	if offer != "" {
		fmt.Fprintf(d.sh.errOut, "[%s] ", plain(offer))
	}
	if answer, _ := d.line(); answer != "" {
		return answer
	}
	return offer
}

// yes: where nobody is left to answer, it is no.
func (d *dialogue) yes(question string, offer bool) bool {
	if d.silent {
		return true
	}
	fmt.Fprint(d.sh.errOut, question+map[bool]string{true: " [Y/n] ", false: " [y/N] "}[offer])
	answer, ok := d.line()
	switch strings.ToLower(answer) {
	case "":
		return offer && ok
	case "y", "yes", "д", "да":
		return true
	}
	return false
}

func (d *dialogue) wait(words string) {
	if d.silent {
		return
	}
	fmt.Fprint(d.sh.errOut, words+" ")
	d.line()
}

// secret does not show what is typed.
func (d *dialogue) secret(question string) string {
	if f, ok := d.sh.in.(*os.File); ok && !d.silent && term.IsTerminal(f.Fd()) {
		fmt.Fprint(d.sh.errOut, question+": ")
		defer fmt.Fprintln(d.sh.errOut)
		if b, err := term.ReadPassword(f.Fd()); err == nil {
			return strings.TrimSpace(string(b))
		}
		return ""
	}
	return d.text(question+":", "")
}

// given is the secret on standard input.
func (d *dialogue) given() (string, error) {
	text, _ := d.line()
	if text == "" {
		return "", &exitError{exitUsage, "there is no secret on standard input"}
	}
	return text, nil
}
