package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"calljournal/agent/config"
	"calljournal/packaging"

	"github.com/kardianos/service"
)

const (
	serviceName = "calljournal"
	initScript  = "/etc/init.d/" + serviceName // where there is no systemd
)

type serviceVerb struct {
	Install   serviceInstall   `cmd:"" help:"Install the service for this program and --config, and enable it; again after each new file of a secret."`
	Uninstall serviceUninstall `cmd:"" help:"Disable and remove the service. Journal and configuration stay."`
	Start     serviceStart     `cmd:"" help:"Start it."`
	Stop      serviceStop      `cmd:"" help:"Stop it: the calls under way are kept."`
	Restart   serviceRestart   `cmd:"" help:"Stop and start it."`
}

// whichService is the flag of all of them.
type whichService struct {
	Collect bool `help:"The service of the centre, calljournal-collect, in place of the daemon's; with systemd only."`
}

type (
	serviceInstall   struct{ whichService }
	serviceUninstall struct{ whichService }
	serviceStart     struct{ whichService }
	serviceStop      struct{ whichService }
	serviceRestart   struct{ whichService }
)

func (v serviceStart) Run(sh *shell) error   { return v.control(sh, "start") }
func (v serviceStop) Run(sh *shell) error    { return v.control(sh, "stop") }
func (v serviceRestart) Run(sh *shell) error { return v.control(sh, "restart") }

func (v whichService) control(sh *shell, action string) error {
	if v.Collect {
		return controlCentre(action)
	}
	return controlService(sh, action)
}

func (v serviceInstall) Run(sh *shell) error {
	if v.Collect {
		return installCentre(sh)
	}
	if err := installService(sh); err != nil {
		return err
	}
	fmt.Fprintln(sh.out, "Installed. Next: calljournal service start, then calljournal status")
	return nil
}

func installService(sh *shell) error {
	// A service that cannot start is not worth installing.
	c, err := config.Load(sh.config, sh.env)
	if err != nil {
		return err
	}
	if systemdRuns() {
		if err := credentials(sh, serviceName, c.SecretFiles()); err != nil {
			return err
		}
	}
	return install(sh)
}

// install also serves to install again: for another place, another
// configuration, a new secret file.
func install(sh *shell) error {
	if packaged(serviceName) {
		if err := thePackages(sh.config, packaging.UnitConfig); err != nil {
			return err
		}
		if !systemdRuns() {
			return nil // the package has enabled its init script
		}
		return systemctl("enable", serviceName)
	}
	if err := readable(sh.config); err != nil {
		return err
	}
	if installed(sh) {
		if err := controlService(sh, "uninstall"); err != nil {
			return err
		}
	}
	return controlService(sh, "install")
}

// readable: without a package the service's user is one that systemd makes up at
// every start, so that the configuration can be given to nobody but all.
func readable(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("look at the configuration: %w", err)
	}
	if runtime.GOOS == "linux" && st.Mode().Perm()&0o004 == 0 {
		return fmt.Errorf("the service could not read %s\nTry: chmod a+r %s, with its secrets in files of their own (secret_file, token_file)", path, path)
	}
	return nil
}

// packaged: the deb or rpm brought the unit. One of ours in /etc would hide the
// package's, also after its next upgrade.
func packaged(name string) bool {
	_, err := os.Stat("/usr/lib/systemd/system/" + name + ".service")
	return runtime.GOOS == "linux" && err == nil
}

// systemdRuns: the unit may be there on a machine that something else looks after.
func systemdRuns() bool {
	_, err := os.Stat("/run/systemd/system")
	return runtime.GOOS == "linux" && err == nil
}

// thePackages refuses to install the packaged service for anything but itself.
func thePackages(path, own string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if program != packaging.UnitProgram || path != own {
		return fmt.Errorf("the package's service is for %s with %s, and there can be only one", packaging.UnitProgram, own)
	}
	return nil
}

// systemctl asks systemd for what kardianos/service does only to its own units.
func systemctl(action, name string) error {
	for _, args := range [][]string{{"daemon-reload"}, {action, name}} {
		if out, err := exec.Command("systemctl", args...).CombinedOutput(); err != nil {
			hint := "journalctl -u " + name
			if os.Geteuid() > 0 {
				hint = "this needs administrator's rights"
			}
			return fmt.Errorf("systemctl %s: %w: %s\nTry: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)), hint)
		}
	}
	return nil
}

func (v serviceUninstall) Run(sh *shell) error {
	if v.Collect {
		return uninstallCentre(sh)
	}
	if packaged(serviceName) {
		if err := systemctl("disable", serviceName); err != nil {
			return err
		}
	} else if err := controlService(sh, "uninstall"); err != nil {
		return err
	}
	if runtime.GOOS == "linux" {
		if err := withoutCredentials(serviceName); err != nil {
			return err
		}
		if err := withoutRunlevels(); err != nil {
			return err
		}
	}
	fmt.Fprintln(sh.out, "Removed. The journal and the configuration are still there.")
	return nil
}

// withoutRunlevels takes away what kardianos/service leaves of an init script: its
// links in the runlevels, which now lead nowhere.
func withoutRunlevels() error {
	if packaged(serviceName) || !absent(initScript) {
		return nil
	}
	links, err := filepath.Glob("/etc/rc[0-6].d/[SK][0-9][0-9]" + serviceName)
	if err != nil {
		return err
	}
	for _, link := range links {
		if err := os.Remove(link); err != nil {
			return fmt.Errorf("remove the service from a runlevel: %w", err)
		}
	}
	return nil
}

func controlService(sh *shell, action string) error {
	s, err := systemService(sh)
	if err != nil {
		return err
	}
	if err := service.Control(s, action); err != nil {
		hint := "see journalctl -u calljournal"
		if runtime.GOOS == "linux" && !systemdRuns() {
			hint = "calljournal run, which says on the terminal what is wrong"
		}
		switch {
		case os.Geteuid() > 0:
			hint = "this needs administrator's rights: sudo calljournal service " + action
		case action != "install" && !installed(sh):
			hint = "calljournal service install"
		}
		return fmt.Errorf("%s the service: %w\nTry: %s", action, err, hint)
	}
	return nil
}

func installed(sh *shell) bool {
	if runtime.GOOS == "linux" && !systemdRuns() {
		return !absent(initScript)
	}
	s, err := systemService(sh)
	if err != nil {
		return false
	}
	_, err = s.Status()
	return !errors.Is(err, service.ErrNotInstalled)
}

// systemService describes the service to whatever runs services here.
func systemService(sh *shell) (service.Service, error) {
	path, err := filepath.Abs(sh.config)
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	unit, err := unitText(packaging.Unit, "run", packaging.UnitConfig, program, path)
	if err != nil {
		return nil, err
	}
	return service.New(&serviceRun{sh: sh}, &service.Config{
		Name: serviceName, DisplayName: "calljournal", Description: "One honest record of every call of the PBX",
		Executable: program, Arguments: []string{"run", "--config", path},
		Option: service.KeyValue{"SystemdScript": unit, "OnFailure": "restart", "OnFailureDelayDuration": "2s"},
	})
}

// unitText is a packaged unit, whose ExecStart is UnitProgram with verb and own, for
// a program and a configuration elsewhere.
func unitText(unit, verb, own, program, path string) (string, error) {
	for _, p := range []string{program, path} {
		if strings.ContainsAny(p, " \t\n\"'\\%${}") {
			return "", fmt.Errorf("%q cannot be written into a unit: move it to a path without spaces and special characters", p)
		}
	}
	return strings.Replace(unit,
		"\nExecStart="+packaging.UnitProgram+" "+verb+" --config "+own+"\n",
		"\nExecStart="+program+" "+verb+" --config "+path+"\n", 1), nil
}

// dropIn gives a service the secrets that only root can read.
func dropIn(name string) string {
	return "/etc/systemd/system/" + name + ".service.d/credentials.conf"
}

// credentials writes the drop-in. A name is looked for among the credentials by
// its last part, so two files must not share it.
func credentials(sh *shell, name string, files []string) error {
	text, err := credentialsText(files)
	if err != nil || text == "" {
		return err
	}
	path := dropIn(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("give the service its secrets: %w", err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("give the service its secrets: %w", err)
	}
	fmt.Fprintf(sh.out, "Wrote %s: the service gets its secrets from systemd.\n", path)
	return nil
}

func withoutCredentials(name string) error {
	path := dropIn(name)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the credentials of the service: %w", err)
	}
	_ = os.Remove(filepath.Dir(path)) // if nothing else is in it
	return nil
}

func credentialsText(files []string) (string, error) {
	var b strings.Builder
	seen := map[string]string{}
	for _, path := range files {
		name := filepath.Base(path)
		if strings.ContainsAny(path, " \t\n:%\\") {
			return "", fmt.Errorf("%q cannot be written into a unit: move it to a path without spaces and special characters", path)
		}
		if other, ok := seen[name]; ok && other != path {
			return "", fmt.Errorf("%s and %s have the same last part, by which systemd hands them over: rename one", other, path)
		} else if ok {
			continue
		}
		seen[name] = path
		fmt.Fprintf(&b, "LoadCredential=%s:%s\n", name, path)
	}
	if b.Len() == 0 {
		return "", nil
	}
	return "# Written by calljournal service install.\n[Service]\n" + b.String(), nil
}

// serviceRun is the daemon where the system calls it rather than starts it:
// Windows. Start must not wait, Stop must.
type serviceRun struct {
	sh   *shell
	stop func()
	done chan error
}

// Start implements service.Interface.
func (r *serviceRun) Start(service.Service) error {
	r.done = make(chan error, 1)
	sh := *r.sh
	sh.ctx, r.stop = context.WithCancel(r.sh.ctx)
	go func() { r.done <- runDaemon(&sh) }()
	return nil
}

// Stop implements service.Interface.
func (r *serviceRun) Stop(service.Service) error {
	r.stop()
	return <-r.done
}

// underServiceControl says that the system's service control waits to be
// answered. Only Windows does: elsewhere signals are enough.
func underServiceControl() bool { return runtime.GOOS == "windows" && !service.Interactive() }

func runAsService(sh *shell) error {
	s, err := systemService(sh)
	if err != nil {
		return err
	}
	return s.Run()
}
