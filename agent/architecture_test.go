package agent_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "calljournal"
	root   = ".." // from this package
)

// mayImport is which package of the project another one may use; what is not
// here may use none. A name stands for the packages below it too.
var mayImport = map[string][]string{
	"cmd/calljournal":       {"agent", "connectors", "storage", "packaging"},
	"agent":                 {"agent", "connectors", "storage"},
	"agent/call":            {},
	"agent/journal":         {"agent/call"},
	"agent/config":          {"agent/schedule"},
	"agent/access":          {"agent/call", "agent/wholefile"},
	"agent/media":           {"agent/call"},
	"agent/api":             {"agent/access", "agent/call", "agent/journal", "agent/media", "agent/report", "agent/sheet", "agent/transport", "storage"},
	"agent/doctor":          {"agent/api", "agent/call", "agent/config", "agent/mail", "agent/setup", "connectors", "packaging", "storage"},
	"agent/setup":           {"agent/config", "agent/wholefile", "packaging"},
	"agent/forward":         {"agent/call", "storage"},
	"agent/collect":         {"agent/config", "agent/transport", "agent/uplink"},
	"agent/mail":            {"agent/call", "agent/config", "agent/journal", "agent/transport", "agent/wholefile", "storage"},
	"agent/report":          {"agent/call", "agent/journal", "agent/sheet"},
	"agent/schedule":        {},
	"agent/sheet":           {},
	"agent/transport":       {},
	"agent/uplink":          {},
	"agent/wholefile":       {},
	"agent/web":             {"agent/access", "agent/api", "agent/call", "agent/journal", "agent/transport"},
	"connectors":            {"agent/call"},
	"connectors/wire":       {},
	"connectors/spool":      {},
	"connectors/link":       {"agent/call", "connectors", "connectors/wire"},
	"connectors/asterisk":   {"agent/call", "connectors", "connectors/link", "connectors/spool", "connectors/wire"},
	"connectors/freeswitch": {"agent/call", "connectors", "connectors/link", "connectors/spool", "connectors/wire"},
	"connectors/capture":    {"connectors/wire"},
	"connectors/replay":     {"agent/call", "connectors/wire", "connectors/replay"},
	"storage":               {"agent/call", "agent/journal"},
	"packaging":             {},
	"packaging/internal":    {"connectors/replay"},
}

// onlyStandardLibrary and clockless are the packages that must stay pure.
var (
	onlyStandardLibrary = []string{"agent/call"}
	clockless           = []string{"agent/call", "agent/journal", "agent/schedule"}
)

// sourceFile is one Go file that is part of the program, not of its tests.
type sourceFile struct {
	folder string // of the module, with slashes
	name   string
	syntax *ast.File
	set    *token.FileSet
}

func sources(t *testing.T) (files []sourceFile) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(p) != ".go" || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		syntax, err := parser.ParseFile(set, p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, sourceFile{filepath.ToSlash(filepath.Dir(rel)), d.Name(), syntax, set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (f sourceFile) imports(t *testing.T) (paths []string) {
	t.Helper()
	for _, i := range f.syntax.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

// rule finds the rule for a folder: its own, or that of a folder above.
func rule(folder string) (allowed []string, ok bool) {
	for ; folder != "."; folder = path.Dir(folder) {
		if allowed, ok := mayImport[folder]; ok {
			return allowed, true
		}
	}
	return nil, false
}

// under says that folder is one of the named ones or below one. A rule that
// allows "agent" does not allow a package to be reached by "agentx".
func under(folder string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return folder == n || strings.HasPrefix(folder, n+"/") })
}

func TestArchitecture_Imports(t *testing.T) {
	for _, f := range sources(t) {
		allowed, ok := rule(f.folder)
		if !ok {
			t.Errorf("%s/%s: no rule for this folder", f.folder, f.name)
			continue
		}
		exact := f.folder != "agent" && f.folder != "cmd/calljournal"
		for _, p := range f.imports(t) {
			in, ours := strings.CutPrefix(p, module+"/")
			switch {
			case !ours:
				if under(f.folder, onlyStandardLibrary) && strings.Contains(strings.Split(p, "/")[0], ".") {
					t.Errorf("%s/%s imports %s: only the standard library is allowed", f.folder, f.name, p)
				}
			case exact && !slices.Contains(allowed, in) && !sameTree(f.folder, in), !exact && !under(in, allowed):
				t.Errorf("%s/%s imports %s: DESIGN allows %v", f.folder, f.name, in, allowed)
			}
		}
	}
}

// sameTree lets the parts of one package's tree use each other: replay's tools
// and replay.
func sameTree(folder, in string) bool {
	for name := range mayImport {
		if strings.Count(name, "/") == 1 && under(folder, []string{name}) && under(in, []string{name}) && folder != in {
			return true
		}
	}
	return false
}

func TestArchitecture_EveryPackageHasDoc(t *testing.T) {
	documented, all := map[string]bool{}, map[string]bool{}
	for _, f := range sources(t) {
		all[f.folder] = true
		if f.name == "doc.go" && f.syntax.Doc != nil {
			text := f.syntax.Doc.Text()
			documented[f.folder] = strings.Contains(text, "\n") && len(text) > 200
		}
	}
	for folder := range all {
		if !documented[folder] && !strings.Contains(folder, "/internal/") {
			t.Errorf("%s has no doc.go with its purpose, invariant and picture", folder)
		}
	}
}

// A pure package knows what time it is only from facts.
func TestArchitecture_NoClock(t *testing.T) {
	for _, f := range sources(t) {
		if !under(f.folder, clockless) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := s.X.(*ast.Ident)
			if ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Sleep", "Tick"}, s.Sel.Name) {
				t.Errorf("%v: time.%s: a pure package has no clock", f.set.Position(n.Pos()), s.Sel.Name)
			}
			return true
		})
	}
}

func TestArchitecture_NoInit(t *testing.T) {
	for _, f := range sources(t) {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%v: what an init does is done before anyone can refuse it", f.set.Position(d.Pos()))
			}
		}
	}
}

func TestArchitecture_TopLevel(t *testing.T) {
	allowed := []string{"cmd", "agent", "connectors", "storage", "packaging", "go.mod", "go.sum", "README.md", "LICENSE"}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s does not belong at the top", e.Name())
		}
	}
}
