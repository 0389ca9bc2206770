package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"calljournal/agent/access"
	"calljournal/agent/call"
	"calljournal/agent/journal"

	"github.com/danielgtaylor/huma/v2"
)

// Directory is whom and what calls can be asked for by name.
type Directory struct {
	Employees   []DirectoryEmployee `json:"employees" doc:"of the configuration, then whom else the calls of the last 90 days name"`
	Departments []string            `json:"departments"`
	Lines       []DirectoryLine     `json:"lines" doc:"of the configuration, then those of such calls"`
	Sources     []string            `json:"sources"`
	Queues      []string            `json:"queues" doc:"of such calls"`
	Trunks      []string            `json:"trunks" doc:"of such calls"`
}

// DirectoryEmployee is who sits at an extension. What is not known is empty.
type DirectoryEmployee struct {
	Extension  string `json:"extension"`
	Name       string `json:"name"`
	Department string `json:"department"`
}

// DirectoryLine is a number of the company. What is not known is empty.
type DirectoryLine struct {
	Number string `json:"number"`
	Name   string `json:"name"`
	Source string `json:"source"`
}

// directoryDays is how far back calls are looked at for names. Their totals are
// read, not they themselves.
const (
	directoryDays = 90
	mostNames     = 2000 // of one kind: names come from outside too
)

func (s *Server) directoryRoute(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "directory", Method: http.MethodGet, Path: "/v1/directory", Security: []map[string][]string{{"token": {ScopeJournal}}},
		Metadata: map[string]any{throughView: true, tellsOfNoCall: true},
		Summary:  "Names that calls can be asked for by",
		Description: "A reader of one department gets its employees, and nothing that only calls know; of masked numbers " +
			"only what has a name can be asked for.",
	}, s.directory)
}

func (s *Server) directory(ctx context.Context, _ *struct{}) (*struct{ Body Directory }, error) {
	d, err := s.view(ctx).directory()
	return &struct{ Body Directory }{d}, err
}

// directory is what the reader can ask for by name.
func (v view) directory() (d Directory, err error) {
	d = Directory{[]DirectoryEmployee{}, []string{}, []DirectoryLine{}, []string{}, []string{}, []string{}}
	if known := v.s.known(); known != nil {
		for _, e := range known.Employees() {
			if v.role.Department == "" || e.Department == v.role.Department {
				d.Employees = append(d.Employees, DirectoryEmployee(e))
				d.Departments = append(d.Departments, e.Department)
			}
		}
		for _, l := range known.Lines() {
			d.Lines = append(d.Lines, DirectoryLine(l))
			d.Sources = append(d.Sources, l.Source)
		}
	}
	if v.role.Department == "" {
		if err := v.namesOfCalls(&d); err != nil {
			return d, err
		}
	}
	for _, list := range []*[]string{&d.Departments, &d.Sources, &d.Queues, &d.Trunks} {
		slices.Sort(*list)
		*list = slices.DeleteFunc(slices.Compact(*list), func(name string) bool { return name == "" })
	}
	if v.role.MaskNumbers {
		d = access.Mask(d)
	}
	return d, nil
}

// known is the configuration's part of it, or nil.
func (s *Server) known() *journal.Directory {
	if s.o.Directory == nil {
		return nil
	}
	return s.o.Directory()
}

// namesOfCalls adds what only calls know.
func (v view) namesOfCalls(d *Directory) error {
	today, _ := journal.NewCalendar(v.s.counting().zone).Day(call.MomentOf(v.s.o.Now()))
	names := func(by journal.By) (list []string, err error) {
		seen := map[string]bool{}
		_, _, err = v.s.o.Store.Cells(by, today-directoryDays, today+2, func(k journal.Key, _ *journal.Cell) error {
			if !seen[k.Name] && len(list) < mostNames {
				seen[k.Name] = true
				list = append(list, k.Name)
			}
			return nil
		})
		slices.Sort(list)
		return list, err
	}
	employees, err := names(journal.ByEmployee)
	for _, name := range employees {
		if !slices.ContainsFunc(d.Employees, func(e DirectoryEmployee) bool { return e.Name == name || e.Extension == name }) {
			e := DirectoryEmployee{Name: name}
			if strings.Trim(name, "0123456789") == "" {
				e = DirectoryEmployee{Extension: name}
			}
			d.Employees = append(d.Employees, e)
		}
	}
	lines, also := names(journal.ByLine)
	err = errors.Join(err, also)
	same := func(a, b string) bool { return a == b }
	if known := v.s.known(); known != nil {
		same = func(a, b string) bool { return known.Key(a) == known.Key(b) }
	}
	for _, number := range lines {
		at := slices.IndexFunc(d.Lines, func(l DirectoryLine) bool { return same(l.Number, number) })
		if at < 0 {
			d.Lines = append(d.Lines, DirectoryLine{Number: number})
		} else {
			d.Lines[at].Number = number // a filter knows it as calls have it
		}
	}
	for by, list := range map[journal.By]*[]string{
		journal.ByDepartment: &d.Departments, journal.BySource: &d.Sources, journal.ByQueue: &d.Queues, journal.ByTrunk: &d.Trunks,
	} {
		more, also := names(by)
		err = errors.Join(err, also)
		*list = append(*list, more...)
	}
	if err != nil {
		return v.s.fault("read names", err)
	}
	return nil
}

// Directory asks for the names that calls can be asked for by.
func (c *Client) Directory(ctx context.Context) (d Directory, err error) {
	return d, c.get(ctx, "/v1/directory", nil, &d)
}
