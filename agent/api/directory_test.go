package api_test

import (
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/journal"

	"github.com/google/go-cmp/cmp"
)

func TestDirectory(t *testing.T) {
	r := departments(t)
	r.now = func() time.Time { return record(1).StartedAt.Time().AddDate(0, 0, 30) }
	r.directory = journal.NewDirectory("RU",
		[]journal.Employee{{Extension: "101", Name: "ours", Department: "Sales"}, {Extension: "102", Name: "Boris", Department: "Support"}},
		[]journal.Line{{Number: "+7 916 123-45-67", Name: "Site", Source: "radio"}})
	ours := api.DirectoryEmployee{Extension: "101", Name: "ours", Department: "Sales"}
	for _, tt := range []struct {
		name, token string
		want        api.Directory
	}{
		{"all", journalToken, api.Directory{
			Employees:   []api.DirectoryEmployee{{Extension: "102", Name: "Boris", Department: "Support"}, ours, {Name: "theirs"}},
			Departments: []string{"Sales", "Support"},
			Lines:       []api.DirectoryLine{{Number: ourNumber, Name: "Site", Source: "radio"}, {Number: theirNumber}},
			Sources:     []string{"radio"},
			Queues:      []string{"ours", "theirs"},
			Trunks:      []string{"ours-" + ourNumber, "theirs-" + theirNumber},
		}},
		{"one department", salesToken, api.Directory{
			Employees: []api.DirectoryEmployee{ours}, Departments: []string{"Sales"}, Sources: []string{"radio"},
			Lines: []api.DirectoryLine{{Number: "+7 916 123-45-67", Name: "Site", Source: "radio"}}, Queues: []string{}, Trunks: []string{},
		}},
		{"masked", strictToken, api.Directory{
			Employees: []api.DirectoryEmployee{ours}, Departments: []string{"Sales"}, Sources: []string{"radio"},
			Lines: []api.DirectoryLine{{Number: "+7 916 ***45-67", Name: "Site", Source: "radio"}}, Queues: []string{}, Trunks: []string{},
		}},
	} {
		if diff := cmp.Diff(tt.want, decode[api.Directory](t, r.get(t, "/v1/directory", tt.token), 200)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	if w := r.get(t, "/v1/directory", syncToken); w.Code != 403 {
		t.Errorf("to who reads the feed: %d", w.Code)
	}
}
