package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"calljournal/packaging"
	"calljournal/storage"
)

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// clock: calls are kept by the time of day.
func (x *examination) clock(context.Context) {
	switch kept, err := x.Synced(); {
	case err != nil:
		x.add(Unknown, "clock", "this machine", err.Error(), "")
	case !kept:
		x.add(Advice, "clock", "this machine", "nothing keeps it right", "timedatectl set-ntp true")
	default:
		x.add(Well, "clock", "this machine", "kept right", "")
	}
}

// zone: days and hours of statistics are those of a zone, and UTC is seldom
// meant.
func (x *examination) zone(context.Context) {
	name, _ := x.Now().In(x.Config.Agent.Location()).Zone()
	if x.Config.Agent.Timezone == "" && name == "UTC" {
		x.add(Advice, "time zone", x.Config.Path, "not set, and this machine's is UTC", `set timezone = "Europe/Moscow", or where you are, in [agent]`)
		return
	}
	x.add(Well, "time zone", x.Config.Path, name, "")
}

// folders: the journal's own, and those of the PBX that recordings are read from.
func (x *examination) folders(context.Context) {
	dir := x.Config.Agent.DataDir
	switch st, err := os.Stat(dir); {
	case errors.Is(err, os.ErrNotExist):
		x.add(Well, "folder", dir, "not there yet: the daemon makes it", "")
	case err != nil:
		x.add(Unknown, "folder", dir, err.Error(), "run it as root or as the service's user")
	case !st.IsDir():
		x.add(Fault, "folder", dir, "is no folder", "give another data_dir in [agent]")
	case runtime.GOOS != "windows" && st.Mode().Perm()&0o007 != 0:
		x.add(Fault, "folder", dir, fmt.Sprintf("open to everybody (mode %04o): calls are personal data", st.Mode().Perm()), "chmod 0700 "+dir)
	default:
		x.add(Well, "folder", dir, fmt.Sprintf("mode %04o", st.Mode().Perm()), "")
	}
	for _, p := range x.Config.PBX {
		for key, path := range map[string]string{"recordings_dir": p.RecordingsDir, "voicemail_dir": p.VoicemailDir, "fax_dir": p.FaxDir, "cdr_file": p.CDRFile} {
			if path == "" {
				continue
			}
			f, err := os.Open(path)
			if err != nil {
				x.add(Fault, "folder", p.Name, fmt.Sprintf("%s cannot be read: %v", key, err), "correct "+key+", or let the service's user read it: setfacl -m u:calljournal:rX "+path)
				continue
			}
			f.Close()
			x.add(Well, "folder", p.Name, key+" "+path, "")
		}
	}
}

// Limits of a healthy disk. A commit is two syncs: at a tenth of a second each,
// a busy hour makes the journal late.
const (
	freeLeast = 1 << 30
	syncMost  = 100 * time.Millisecond
	syncTries = 9
)

func (x *examination) disk(context.Context) {
	dir := x.Config.Agent.DataDir
	if !exists(dir) {
		dir = filepath.Dir(dir)
	}
	if free := storage.DiskFree(dir); free >= 0 && free < freeLeast {
		x.add(Fault, "disk", dir, fmt.Sprintf("only %d MiB are free", free>>20), "make room, or limit the journal by max_size in [retention]")
	} else if free >= 0 {
		x.add(Well, "disk", dir, fmt.Sprintf("%d GiB free", free>>30), "")
	}
	took, err := syncTime(dir)
	switch {
	case err != nil:
		x.add(Unknown, "disk", dir, "its speed: "+err.Error(), "run it as root or as the service's user")
	case took > syncMost:
		x.add(Advice, "disk", dir, fmt.Sprintf("a sync takes %v in the median", took.Round(time.Millisecond)), "put data_dir on a faster disk, not on a network share")
	default:
		x.add(Well, "disk", dir, fmt.Sprintf("a sync takes %v in the median", took.Round(10*time.Microsecond)), "")
	}
}

// syncTime is the median of a few writes of one page that are safe on the disk.
func syncTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() {
		f.Close()
		os.Remove(f.Name())
	}()
	page := make([]byte, 4096)
	var took []time.Duration
	for range syncTries {
		begin := time.Now()
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// unit compares what confines the service with what the packages bring.
func (x *examination) unit(context.Context) {
	if runtime.GOOS != "linux" {
		return
	}
	var path string
	for _, dir := range []string{"etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"} {
		if p := filepath.Join(x.Root, dir, "calljournal.service"); exists(p) {
			path = p
			break
		}
	}
	if path == "" {
		x.add(Advice, "service", "calljournal.service", "not installed: nothing starts the daemon with the machine", "calljournal service install")
		return
	}
	text, err := os.ReadFile(path)
	if err != nil {
		x.add(Unknown, "service", path, err.Error(), "run it as root")
		return
	}
	// What a drop-in sets later counts.
	drops, _ := filepath.Glob(filepath.Join(x.Root, "etc/systemd/system/calljournal.service.d", "*.conf"))
	slices.Sort(drops)
	for _, d := range drops {
		if more, err := os.ReadFile(d); err == nil {
			text = append(append(text, '\n'), more...)
		}
	}
	have, want := confinement(string(text)), confinement(packaging.Unit)
	var lacks []string
	for key, value := range want {
		if have[key] != value {
			lacks = append(lacks, key+"="+value)
		}
	}
	slices.Sort(lacks)
	if len(lacks) > 0 {
		x.add(Advice, "service", path, "less confined than it could be: "+strings.Join(lacks, ", "), "calljournal service install, and take what weakens it out of calljournal.service.d")
		return
	}
	x.add(Well, "service", path, "confined as packaged", "")
}

// confinement is what a unit sets of what keeps a service in its place.
func confinement(text string) map[string]string {
	is := []string{"NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectProc", "ProtectKernelTunables",
		"ProtectKernelModules", "RestrictNamespaces", "RestrictAddressFamilies", "MemoryDenyWriteExecute", "CapabilityBoundingSet", "SystemCallArchitectures"}
	set := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && slices.Contains(is, key) {
			set[key] = value
		}
	}
	return set
}
