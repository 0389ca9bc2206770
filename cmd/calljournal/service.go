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
	Install   serviceInstall   `cmd:"" help:"Install the service for this program and --config, and enable it."`
	Uninstall serviceUninstall `cmd:"" help:"Disable and remove the service. Journal and configuration stay."`
	Start     serviceStart     `cmd:"" help:"Start it."`
	Stop      serviceStop      `cmd:"" help:"Stop it: the calls under way are kept."`
	Restart   serviceRestart   `cmd:"" help:"Stop and start it."`
}

type (
	serviceInstall   struct{}
	serviceUninstall struct{}
	serviceStart     struct{}
	serviceStop      struct{}
	serviceRestart   struct{}
)

func (serviceStart) Run(sh *shell) error   { return controlService(sh, "start") }
func (serviceStop) Run(sh *shell) error    { return controlService(sh, "stop") }
func (serviceRestart) Run(sh *shell) error { return controlService(sh, "restart") }

func (serviceInstall) Run(sh *shell) error {
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
		if err := credentials(sh, c); err != nil {
			return err
		}
	}
	return install(sh)
}

// install also serves to install again: for another place, another
// configuration, a new secret file.
func install(sh *shell) error {
	if packaged() {
		own, err := thePackages(sh)
		if err == nil && !own {
			err = fmt.Errorf("the package's service is for %s with %s, and there can be only one", packaging.UnitProgram, packaging.UnitConfig)
		}
		if err != nil {
			return err
		}
		if !systemdRuns() {
			return nil // the package has enabled its init script
		}
		return systemctl("enable")
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
func packaged() bool {
	_, err := os.Stat("/usr/lib/systemd/system/" + serviceName + ".service")
	return runtime.GOOS == "linux" && err == nil
}

// systemdRuns: the unit may be there on a machine that something else looks after.
func systemdRuns() bool {
	_, err := os.Stat("/run/systemd/system")
	return runtime.GOOS == "linux" && err == nil
}

// thePackages says whether the service to be installed is the packaged one.
func thePackages(sh *shell) (bool, error) {
	path, err := filepath.Abs(sh.config)
	if err != nil {
		return false, err
	}
	program, err := os.Executable()
	if err != nil {
		return false, fmt.Errorf("find this program: %w", err)
	}
	return program == packaging.UnitProgram && path == packaging.UnitConfig, nil
}

// systemctl asks systemd for what kardianos/service does only to its own units.
func systemctl(action string) error {
	for _, args := range [][]string{{"daemon-reload"}, {action, serviceName}} {
		if out, err := exec.Command("systemctl", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("systemctl %s: %w: %s\nTry: this needs administrator's rights", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

func (serviceUninstall) Run(sh *shell) error {
	if packaged() {
		if err := systemctl("disable"); err != nil {
			return err
		}
	} else if err := controlService(sh, "uninstall"); err != nil {
		return err
	}
	if runtime.GOOS == "linux" {
		if err := os.Remove(dropIn); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the credentials of the service: %w", err)
		}
		_ = os.Remove(filepath.Dir(dropIn)) // if nothing else is in it
	}
	fmt.Fprintln(sh.out, "Removed. The journal and the configuration are still there.")
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
	unit, err := unitText(program, path)
	if err != nil {
		return nil, err
	}
	return service.New(&serviceRun{sh: sh}, &service.Config{
		Name: serviceName, DisplayName: "calljournal", Description: "One honest record of every call of the PBX",
		Executable: program, Arguments: []string{"run", "--config", path},
		Option: service.KeyValue{"SystemdScript": unit, "OnFailure": "restart", "OnFailureDelayDuration": "2s"},
	})
}

// unitText is the packaged unit for a program and a configuration elsewhere.
func unitText(program, path string) (string, error) {
	for _, p := range []string{program, path} {
		if strings.ContainsAny(p, " \t\n\"'\\%${}") {
			return "", fmt.Errorf("%q cannot be written into a unit: move it to a path without spaces and special characters", p)
		}
	}
	return strings.Replace(packaging.Unit,
		"\nExecStart="+packaging.UnitProgram+" run --config "+packaging.UnitConfig+"\n",
		"\nExecStart="+program+" run --config "+path+"\n", 1), nil
}

// dropIn gives the service the secrets that only root can read.
const dropIn = "/etc/systemd/system/calljournal.service.d/credentials.conf"

// credentials writes the drop-in. A name is looked for among the credentials by
// its last part, so two files must not share it.
func credentials(sh *shell, c *config.Config) error {
	text, err := credentialsText(c)
	if err != nil || text == "" {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dropIn), 0o755); err != nil {
		return fmt.Errorf("give the service its secrets: %w", err)
	}
	if err := os.WriteFile(dropIn, []byte(text), 0o644); err != nil {
		return fmt.Errorf("give the service its secrets: %w", err)
	}
	fmt.Fprintf(sh.out, "Wrote %s: the service gets its secrets from systemd.\n", dropIn)
	return nil
}

func credentialsText(c *config.Config) (string, error) {
	var b strings.Builder
	seen := map[string]string{}
	for _, path := range c.SecretFiles() {
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
