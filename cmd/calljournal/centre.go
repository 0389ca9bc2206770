package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"calljournal/agent/config"
	"calljournal/packaging"
)

// The centre's service. It is systemd's alone: whoever gathers a thousand branches
// has it, and a second kind of service would be a second thing to test.
const (
	centreName = "calljournal-collect"
	centreUnit = "/etc/systemd/system/" + centreName + ".service" // ours, without the package
)

// collectConfig is the configuration that a command about the centre means.
func collectConfig(sh *shell) string {
	if sh.given {
		return sh.config
	}
	return config.DefaultCollectPath(sh.env.Getenv)
}

func needsSystemd() error {
	if systemdRuns() {
		return nil
	}
	return errors.New("the centre's service is a unit of systemd, which does not run here\nTry: calljournal collect, which stays in the foreground")
}

func installCentre(sh *shell) error {
	path, err := filepath.Abs(collectConfig(sh))
	if err != nil {
		return err
	}
	c, err := config.LoadCollect(path, sh.env) // a service that cannot start is not worth installing
	if err != nil {
		return err
	}
	if err := needsSystemd(); err != nil {
		return err
	}
	if packaged(centreName) {
		err = thePackages(path, packaging.CollectConfig)
	} else if err = readable(path); err == nil {
		err = writeCentreUnit(path)
	}
	if err != nil {
		return err
	}
	if err := credentials(sh, centreName, c.SecretFiles()); err != nil {
		return err
	}
	if err := systemctl("enable", centreName); err != nil {
		return err
	}
	fmt.Fprintln(sh.out, "Installed. Next: calljournal service start --collect")
	return nil
}

// writeCentreUnit is for a machine without the package.
func writeCentreUnit(path string) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	text, err := unitText(packaging.CollectUnit, "collect", packaging.CollectConfig, program, path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(centreUnit, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the centre's unit: %w", err)
	}
	return nil
}

func uninstallCentre(sh *shell) error {
	if err := needsSystemd(); err != nil {
		return err
	}
	if err := systemctl("disable", centreName); err != nil {
		return err
	}
	if err := withoutCredentials(centreName); err != nil {
		return err
	}
	if err := os.Remove(centreUnit); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the centre's unit: %w", err)
	}
	fmt.Fprintln(sh.out, "Removed. The configuration and the database are still there.")
	return nil
}

func controlCentre(action string) error {
	if err := needsSystemd(); err != nil {
		return err
	}
	return systemctl(action, centreName)
}
