package agent_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"calljournal/agent/config"
)

// Recordings of known calls go when they are old enough, and only if that is asked
// for; what belongs to no call stays.
func TestAgent_RecordingsAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		dir := t.TempDir()
		c := testConfig(t, dir, "main")
		c.PBX[0].RecordingsDir = dir
		d := start(t, c, map[string]*fakePBX{"main": {session: speak(inbound(1))}}, nil)
		time.Sleep(time.Minute)
		files := map[string]string{"the call's": "in-1700000000.2.wav", "no call's": "in-1700000000.99.wav", "no sound": "in-1700000000.2.txt"}
		for _, name := range files {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Time{}, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		there := func(what string) bool {
			_, err := os.Stat(filepath.Join(dir, files[what]))
			return err == nil
		}
		time.Sleep(3 * day)
		if !there("the call's") {
			t.Fatal("deleted though nobody asked for it")
		}
		next := *c
		next.Retention = config.Retention{RecordingsDays: 5}
		d.Reload(&next)
		time.Sleep(day)
		if !there("the call's") {
			t.Error("deleted too early")
		}
		time.Sleep(2 * day)
		if there("the call's") || !there("no call's") || !there("no sound") {
			t.Errorf("the call's: %v, no call's: %v, no sound: %v", there("the call's"), there("no call's"), there("no sound"))
		}
		st, err := d.Status(t.Context())
		if err != nil || st.Retention.RecordingsDeleted != 1 || st.Retention.BytesDeleted != 10 || st.Retention.RecordingsDays != 5 {
			t.Errorf("%+v, %v", st.Retention, err)
		}
		d.end(t)
	})
}
