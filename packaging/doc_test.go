package packaging_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"calljournal/agent/call"
	"calljournal/packaging"
)

// languages are those of the manual: the same pages in each.
var languages = []string{"en", "ru"}

// page is one text for administrators.
type page struct {
	path string // from this folder
	text string
}

// manual is every page of the manual and the README.
func manual(t *testing.T) (pages []page) {
	t.Helper()
	paths := []string{filepath.Join("..", "README.md")}
	for _, l := range languages {
		found, err := filepath.Glob(filepath.Join("doc", l, "*.md"))
		if err != nil || len(found) < 5 {
			t.Fatalf("doc/%s: %d pages, %v", l, len(found), err)
		}
		paths = append(paths, found...)
	}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, page{p, string(text)})
	}
	return pages
}

// block is a part of a page between two fences; the tag is what stands behind the
// first, as toml.
type block struct{ tag, text string }

var fenced = regexp.MustCompile("(?ms)^( *)```(\\w*)\n(.*?)\n *```$")

func (p page) blocks() (blocks []block) {
	for _, m := range fenced.FindAllStringSubmatch(p.text, -1) {
		blocks = append(blocks, block{m[2], regexp.MustCompile("(?m)^"+m[1]).ReplaceAllString(m[3], "")})
	}
	return blocks
}

var spans = regexp.MustCompile("`([^`\n]+)`")

// code is everything that a page shows as code outside of fences: spans, and
// indented lines; and the lines of fences without a tag.
func (p page) code() (lines []string) {
	for _, b := range p.blocks() {
		if b.tag == "" || b.tag == "sh" {
			lines = append(lines, strings.Split(b.text, "\n")...)
		}
	}
	rest := fenced.ReplaceAllString(p.text, "")
	for line := range strings.Lines(rest) {
		if strings.HasPrefix(line, "    ") {
			lines = append(lines, strings.TrimSpace(line))
			continue
		}
		for _, m := range spans.FindAllStringSubmatch(line, -1) {
			lines = append(lines, strings.ReplaceAll(m[1], `\|`, "|")) // in a table
		}
	}
	return lines
}

// The manual says the same in every language.
func TestManual_SamePagesAndHeadings(t *testing.T) {
	headings := regexp.MustCompile(`(?m)^#+ `)
	shape := map[string]map[string][]string{} // language, page: its headings' depths
	for _, l := range languages {
		shape[l] = map[string][]string{}
	}
	for _, p := range manual(t) {
		if l := filepath.Base(filepath.Dir(p.path)); shape[l] != nil {
			shape[l][filepath.Base(p.path)] = headings.FindAllString(fenced.ReplaceAllString(p.text, ""), -1)
		}
	}
	first := languages[0]
	for _, l := range languages[1:] {
		for name := range shape[l] {
			if shape[first][name] == nil {
				t.Errorf("%s is there in %s and not in %s", name, l, first)
			}
		}
		for name, want := range shape[first] {
			if got := shape[l][name]; !slices.Equal(got, want) {
				t.Errorf("%s: headings in %s: %q, in %s: %q", name, first, want, l, got)
			}
		}
	}
}

// A link leads to a page that is there.
func TestManual_Links(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s+]+)[^)]*\)`) // [general](+) is none
	for _, p := range manual(t) {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(p.text, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(p.path), m[1])); err != nil {
				t.Errorf("%s: %v", p.path, err)
			}
		}
	}
}

// ---- commands

// verb is a command of the program: its own verbs or, at the end, its flags.
type verb struct {
	verbs map[string]*verb
	flags map[string]bool
	usual *verb // of verbs: the one that is meant without its name

	hidden bool
}

// kebab is how kong names a field.
func kebab(field string) string {
	var b strings.Builder
	runes := []rune(field)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// commandLine reads the verbs and flags out of the source of the program.
func commandLine(t *testing.T) *verb {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "cmd", "calljournal", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string]*ast.StructType{}
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.TypeSpec); ok {
				if body, ok := s.Type.(*ast.StructType); ok {
					structs[s.Name.Name] = body
				}
			}
			return true
		})
	}
	var read func(of *ast.StructType, v *verb)
	read = func(of *ast.StructType, v *verb) {
		for _, field := range of.Fields.List {
			name, _ := field.Type.(*ast.Ident)
			if len(field.Names) == 0 {
				if name != nil && structs[name.Name] != nil {
					read(structs[name.Name], v)
				}
				continue
			}
			var tag reflect.StructTag
			if field.Tag != nil {
				tag = reflect.StructTag(strings.Trim(field.Tag.Value, "`"))
			}
			for _, n := range field.Names {
				called := kebab(n.Name)
				if given := tag.Get("name"); given != "" {
					called = given
				}
				if _, is := tag.Lookup("cmd"); is {
					sub := &verb{verbs: map[string]*verb{}, flags: map[string]bool{"help": true}}
					v.verbs[called] = sub
					_, sub.hidden = tag.Lookup("hidden")
					if tag.Get("default") == "withargs" {
						v.usual = sub
					}
					if name != nil && structs[name.Name] != nil {
						read(structs[name.Name], sub)
					}
				} else if _, is := tag.Lookup("arg"); !is {
					v.flags[called], v.flags["no-"+called] = true, true
				}
			}
		}
	}
	top := &verb{verbs: map[string]*verb{}, flags: map[string]bool{"help": true}}
	if structs["verbs"] == nil {
		t.Fatal("cmd/calljournal has no struct verbs")
	}
	read(structs["verbs"], top)
	return top
}

// Every verb is somewhere in the manual, in each language.
func TestManual_HasEveryVerb(t *testing.T) {
	top, pages := commandLine(t), manual(t)
	for _, l := range languages {
		for _, name := range slices.Sorted(maps.Keys(top.verbs)) {
			if !top.verbs[name].hidden && !slices.ContainsFunc(pages, func(p page) bool {
				return filepath.Base(filepath.Dir(p.path)) == l && regexp.MustCompile(`\bcalljournal `+name+`\b`).MatchString(p.text)
			}) {
				t.Errorf("doc/%s says nothing of calljournal %s", l, name)
			}
		}
	}
}

// Every command named is one of the program, with its flags.
func TestManual_Commands(t *testing.T) {
	top := commandLine(t)
	for _, word := range []string{"run", "status", "forward", "service"} {
		if top.verbs[word] == nil {
			t.Fatalf("the verb %s was not found in the source", word)
		}
	}
	seen := 0
	for _, p := range manual(t) {
		for _, line := range p.code() {
			line, _, _ = strings.Cut(line, " #")
			words := strings.Fields(line)
			at := slices.IndexFunc(words, func(w string) bool { return w == "calljournal" || w == "./cmd/calljournal" })
			// The word as an argument of something else names the package or the service.
			if at < 0 || at > 0 && !slices.Contains([]string{"sudo", "run"}, words[at-1]) || at+1 == len(words) {
				continue
			}
			seen++
			v := top
			for _, w := range words[at+1:] {
				if flag, ok := strings.CutPrefix(w, "--"); ok {
					flag, _, _ = strings.Cut(flag, "=")
					if flag = strings.Trim(flag, ",.;:"); !v.flags[flag] && !top.flags[flag] {
						t.Errorf("%s: %q: there is no --%s", p.path, line, flag)
					}
				} else if len(v.verbs) > 0 {
					w = strings.Trim(w, ",;:|")
					if v.usual == nil && strings.ToUpper(w) == w { // VERB stands for any
						break
					}
					words := strings.Split(w, "|")
					if v.usual != nil && v.verbs[words[0]] == nil {
						v = v.usual
						continue
					}
					for _, each := range words {
						if v.verbs[each] == nil {
							t.Errorf("%s: %q: there is no verb %q", p.path, line, each)
						}
					}
					if v = v.verbs[words[0]]; v == nil {
						break
					}
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d commands were found", seen)
	}
}

// ---- configuration

// Every piece of configuration that is shown can be used as it is.
func TestManual_Configuration(t *testing.T) {
	seen := 0
	for _, p := range manual(t) {
		for i, b := range p.blocks() {
			if b.tag != "toml" {
				continue
			}
			seen++
			t.Run(fmt.Sprintf("%s/%d", filepath.ToSlash(p.path), i), func(t *testing.T) {
				if regexp.MustCompile(`(?m)^\[(collect|database|\[agent\]|\[reader\])\]`).MatchString(b.text) {
					parseCollect(t, b.text)
					return
				}
				text := b.text
				if !strings.Contains(text, "[[pbx]]") { // a part of a configuration
					text += "\n\n[[pbx]]\nname = \"main\"\nkind = \"asterisk\"\naddress = \"127.0.0.1:5038\"\nusername = \"calljournal\"\nsecret = \"a long random secret\"\n"
				}
				parse(t, text)
			})
		}
	}
	if seen < 10 {
		t.Errorf("only %d pieces were found", seen)
	}
}

// The page on the configuration has every key of both files.
func TestManual_HasEveryKey(t *testing.T) {
	keys := map[string]bool{}
	for _, example := range []string{packaging.Example, packaging.CollectExample} {
		for _, m := range regexp.MustCompile(`(?m)^(?:# )?([a-z_]+) = `).FindAllStringSubmatch(example, -1) {
			keys[m[1]] = true
		}
	}
	for _, l := range languages {
		text, err := os.ReadFile(filepath.Join("doc", l, "configuration.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if !strings.Contains(string(text), "`"+key+"`") {
				t.Errorf("doc/%s/configuration.md says nothing of %s", l, key)
			}
		}
	}
}

// ---- records

// fields adds the JSON names of a type and of the types in it.
func fields(of reflect.Type, names map[string]bool) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return
	}
	for i := range of.NumField() {
		f := of.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			names[name] = true
			fields(f.Type, names)
		}
	}
}

// The page on the record has every field of it.
func TestManual_HasEveryField(t *testing.T) {
	names := map[string]bool{}
	fields(reflect.TypeFor[call.Record](), names)
	for _, l := range languages {
		text, err := os.ReadFile(filepath.Join("doc", l, "record.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("doc/%s/record.md says nothing of %s", l, name)
			}
		}
	}
}

// ---- HTTP

// Every address named is one that the daemon or the centre answers, and the page on
// the interface has every one of the daemon's.
func TestManual_Addresses(t *testing.T) {
	answered := routes(t)
	for _, l := range languages {
		text, err := os.ReadFile(filepath.Join("doc", l, "api.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range answered {
			if !strings.Contains(address, "$") && !strings.HasPrefix(address, "/v1/uplink") && !strings.HasPrefix(address, "/v1/push") && address != "/" &&
				!strings.Contains(string(text), address+"`") {
				t.Errorf("doc/%s/api.md says nothing of %s", l, address)
			}
		}
	}
	is := func(address string) bool {
		parts := strings.Split(address, "/")
		return slices.ContainsFunc(answered, func(known string) bool {
			k := strings.Split(known, "/")
			if len(k) != len(parts) {
				return false
			}
			for i := range k {
				if k[i] != parts[i] && !strings.HasPrefix(k[i], "{") {
					return false
				}
			}
			return true
		})
	}
	named := regexp.MustCompile("(?:^|[\\s`\"(]|:\\d{2,5})(/v1/[\\w./{}-]*|/healthz|/readyz|/metrics|/openapi\\.yaml)")
	seen := 0
	for _, p := range manual(t) {
		for _, m := range named.FindAllStringSubmatch(p.text, -1) {
			seen++
			if !is(strings.TrimRight(m[1], ".")) {
				t.Errorf("%s: there is no %s", p.path, m[1])
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d addresses were found", seen)
	}
}

// routes are the addresses in the source of the daemon and of the centre.
func routes(t *testing.T) (answered []string) {
	t.Helper()
	route := regexp.MustCompile(`(?:Path: "|"(?:GET|PUT|POST|DELETE) )(/[^"]*)"|case "(/(?:healthz|readyz))"`)
	for _, dir := range []string{"api", "collect"} {
		sources, err := filepath.Glob(filepath.Join("..", "agent", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range sources {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range route.FindAllSubmatch(text, -1) {
				answered = append(answered, string(m[1])+string(m[2]))
			}
		}
	}
	if !slices.Contains(answered, "/v1/sync") || !slices.Contains(answered, "/healthz") {
		t.Fatalf("the routes were not found in the source: %q", answered)
	}
	return answered
}

// ---- tests

// tested is what the test files of one package declare.
type tested struct {
	functions []string
	flags     map[string]bool
}

// testsOf are the tests of the whole project, by folder from the root.
func testsOf(t *testing.T) map[string]*tested {
	t.Helper()
	packages := map[string]*tested{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w*)\(`)
	flag := regexp.MustCompile(`flag\.\w+\("([\w-]+)"`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel("..", filepath.Dir(path))
		if err != nil {
			return err
		}
		in := packages[filepath.ToSlash(dir)]
		if in == nil {
			in = &tested{flags: map[string]bool{}}
			packages[filepath.ToSlash(dir)] = in
		}
		for _, m := range function.FindAllSubmatch(text, -1) {
			in.functions = append(in.functions, string(m[1]))
		}
		for _, m := range flag.FindAllSubmatch(text, -1) {
			in.flags[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// Every test that a promise leans on is there, in the package named and with the
// flags named.
func TestManual_Tests(t *testing.T) {
	packages := testsOf(t)
	standard := []string{"run", "bench", "v", "race", "timeout", "count", "fuzz", "fuzztime", "rapid.checks"}
	command := regexp.MustCompile(`^go test ((?:\./\S+ )+)(.*)$`)
	named := regexp.MustCompile(`^(?:Test|Fuzz|Benchmark)\w+$`)
	seen := 0
	for _, p := range manual(t) {
		for _, line := range p.code() {
			if named.MatchString(line) {
				seen++
				if !there(packages, line) {
					t.Errorf("%s: there is no %s", p.path, line)
				}
				continue
			}
			m := command.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			seen++
			dirs := strings.Fields(m[1])
			for _, a := range regexp.MustCompile(`-([a-z][\w.-]*)(?: ('[^']*'|[^-\s]\S*))?`).FindAllStringSubmatch(m[2], -1) {
				name, value := a[1], strings.Trim(a[2], "'")
				if (name == "run" || name == "bench") && value != "^$" {
					for _, each := range strings.Split(value, "|") {
						if !inOne(packages, dirs, func(in *tested) bool {
							return slices.ContainsFunc(in.functions, func(f string) bool { return strings.Contains(f, each) })
						}) {
							t.Errorf("%s: %q: no test matches %s", p.path, line, each)
						}
					}
				} else if !slices.Contains(standard, name) && !inOne(packages, dirs, func(in *tested) bool { return in.flags[name] }) {
					t.Errorf("%s: %q: these tests have no flag -%s", p.path, line, name)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d tests were found", seen)
	}
}

func there(packages map[string]*tested, name string) bool {
	for _, in := range packages {
		if slices.Contains(in.functions, name) {
			return true
		}
	}
	return false
}

func inOne(packages map[string]*tested, dirs []string, is func(*tested) bool) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool {
		in := packages[strings.TrimPrefix(dir, "./")]
		return in != nil && is(in)
	})
}

// Every page is in the packages.
func TestManual_IsPackaged(t *testing.T) {
	text, err := os.ReadFile("nfpm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range languages {
		if !strings.Contains(string(text), "src: packaging/doc/"+l+"/*.md, dst: /usr/share/doc/calljournal/"+l+"/,") {
			t.Errorf("nfpm.yaml does not bring doc/%s", l)
		}
	}
}
