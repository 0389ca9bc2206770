package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"calljournal/agent/config"
)

// temporary gives temporary files a folder that the test can look into. Its
// path is short: a socket's may have a hundred bytes.
func temporary(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "d")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	t.Setenv("TMPDIR", folder)
	t.Setenv("TMP", folder)
	return folder
}

// TestDemo runs all of it: the PBX on loopback, the daemon, the feed.
func TestDemo(t *testing.T) {
	for _, pbx := range []string{"asterisk", "freeswitch", "both"} {
		t.Run(pbx, func(t *testing.T) {
			tmp := temporary(t)
			var out, errOut bytes.Buffer
			sh := &shell{ctx: t.Context(), out: &out, errOut: &errOut, env: config.OSEnv()}
			if err := (demoVerb{PBX: pbx, Speed: 100, Calls: 6}).Run(sh); err != nil {
				t.Fatalf("%v\n%s", err, &errOut)
			}
			rows := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d  (inbound|outbound|internal) .* (answered|abandoned|no_answer|busy|rejected|voicemail) `).FindAllString(out.String(), -1)
			if len(rows) != 6 {
				t.Errorf("%d calls, want 6:\n%s", len(rows), &out)
			}
			if errOut.Len() > 0 {
				t.Errorf("it complains: %s", &errOut)
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// What token add prints is for trying out in the demo as well.
func TestDemo_Reload(t *testing.T) {
	tmp := temporary(t)
	var out, errOut, told bytes.Buffer
	var reloaded error
	first := sync.OnceFunc(func() {
		files, err := filepath.Glob(filepath.Join(tmp, "*", "calljournal.toml"))
		if err != nil || len(files) != 1 {
			t.Errorf("configurations: %q, %v", files, err)
			return
		}
		reloaded = reload(&shell{ctx: t.Context(), out: &told, errOut: &errOut, env: config.OSEnv(), config: files[0], given: true})
	})
	w := writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte("answered")) { // a call: the daemon runs
			first()
		}
		return out.Write(b)
	})
	if err := (demoVerb{PBX: "asterisk", Speed: 100, Calls: 20}).Run(&shell{ctx: t.Context(), out: w, errOut: &errOut, env: config.OSEnv()}); err != nil {
		t.Fatalf("%v\n%s", err, &errOut)
	}
	if reloaded != nil || told.String() != "Nothing has changed.\n" {
		t.Errorf("%v, %q; the demo:\n%s", reloaded, &told, &out)
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(b []byte) (int, error) { return w(b) }

// TestDemo_interrupted ends it before the first call.
func TestDemo_interrupted(t *testing.T) {
	tmp := temporary(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errOut bytes.Buffer
	if err := (demoVerb{PBX: "asterisk", Speed: 1}).Run(&shell{ctx: ctx, out: &out, errOut: &errOut, env: config.OSEnv()}); err != nil {
		t.Fatalf("%v\n%s", err, &errOut)
	}
	if !strings.Contains(out.String(), "nothing is left behind") {
		t.Errorf("the last words: %s", &out)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDemo_usage(t *testing.T) {
	for _, v := range []demoVerb{{PBX: "asterisk", Speed: 0}, {PBX: "asterisk", Speed: 1000}, {PBX: "asterisk", Speed: 1, Calls: -1}} {
		if err := v.Run(&shell{ctx: t.Context()}); err == nil {
			t.Errorf("%+v: no error", v)
		}
	}
}
