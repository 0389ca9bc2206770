package agent_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"calljournal/agent"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/connectors/capture"
)

var updateField = flag.Bool("update-field", false, "write what the captures from the field give now as what they should; read the difference")

// TestField replays what was captured in the field, one folder for each report;
// package capture says how a report becomes one.
func TestField(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join("testdata", "field", "*"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no reports: %v", err)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			f, err := os.Open(filepath.Join(folder, "capture"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r, err := capture.NewReader(f)
			if err != nil {
				t.Fatal(err)
			}
			h := r.Header()
			out, err := agent.Replay(r.Next, call.Options{Agent: "field", PBX: h.PBX, PBXKind: h.Kind, Trunks: h.Trunks}, journal.NewDirectory("", nil, nil))
			if err != nil {
				t.Fatal(err)
			}
			if r.Damage() != (capture.Damage{}) {
				t.Errorf("damaged: %+v", r.Damage())
			}
			got, err := json.MarshalIndent(out.Records, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(folder, "want.json")
			if *updateField {
				if err := os.WriteFile(name, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)+"\n"); d != "" {
				t.Errorf("(- want, + got):\n%s", d)
			}
		})
	}
}
