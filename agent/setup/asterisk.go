package setup

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Section is one [name] of a file in Asterisk's format.
type Section struct {
	Name      string
	File      string // as the PBX sees it
	templates []string
	keys      [][2]string // lower-case name, value
}

// Get is the value of a key, "" if it is not there; of several the last.
func (s *Section) Get(key string) string {
	for i := len(s.keys) - 1; i >= 0; i-- {
		if s.keys[i][0] == key {
			return s.keys[i][1]
		}
	}
	return ""
}

// AsteriskFile is a file in Asterisk's format with all that it includes.
type AsteriskFile struct {
	Sections []*Section
	includes []string // patterns, absolute
}

// Named is all that is said under [name]; nil if nothing is.
func (f *AsteriskFile) Named(name string) *Section {
	var all *Section
	for _, s := range f.Sections {
		if s.Name != name {
			continue
		}
		if all == nil {
			all = &Section{Name: name, File: s.File}
		}
		all.keys = append(all.keys, s.keys...)
	}
	return all
}

// Includes says whether a file of that name would be read too.
func (f *AsteriskFile) Includes(name string) bool {
	return slices.ContainsFunc(f.includes, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return err == nil && ok
	})
}

// Files of a PBX are read as far as these; nobody's are larger.
const (
	maxIncluded  = 200
	maxConfBytes = 8 << 20
)

// ReadAsterisk reads the file name of the machine whose files lie under root. Of
// what it includes, what cannot be read is left out: it may be made by a program
// (#exec) or be for others' eyes.
func ReadAsterisk(root, name string) (*AsteriskFile, error) {
	f := &AsteriskFile{}
	r := asteriskReader{root: root, file: f}
	if err := r.read(name); err != nil {
		return nil, err
	}
	for _, s := range f.Sections {
		s.inherit(f, 0)
	}
	return f, nil
}

type asteriskReader struct {
	root  string
	file  *AsteriskFile
	files int
}

func (r *asteriskReader) read(name string) error {
	if r.files++; r.files > maxIncluded {
		return nil
	}
	st, err := os.Stat(under(r.root, name))
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() || st.Size() > maxConfBytes {
		return fmt.Errorf("%s is no configuration file", name)
	}
	file, err := os.Open(under(r.root, name))
	if err != nil {
		return err
	}
	defer file.Close()
	var section *Section
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := uncommented(lines.Text())
		switch {
		case strings.HasPrefix(line, "["):
			section = header(line, name)
			r.file.Sections = append(r.file.Sections, section)
		case strings.HasPrefix(line, "#"):
			r.include(line)
			// What follows an include still belongs to the section before it.
		default:
			if key, value, ok := strings.Cut(line, "="); ok && section != nil {
				section.keys = append(section.keys, [2]string{strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(strings.TrimPrefix(value, ">"))})
			}
		}
	}
	return lines.Err()
}

// uncommented takes a comment away: from a semicolon that no backslash precedes.
func uncommented(line string) string {
	for i := range len(line) {
		if line[i] == ';' && (i == 0 || line[i-1] != '\\') {
			line = line[:i]
			break
		}
	}
	return strings.TrimSpace(strings.ReplaceAll(line, `\;`, ";"))
}

// header reads [name], [name](!), [name](template,other), [name](+).
func header(line, file string) *Section {
	name, rest, _ := strings.Cut(line[1:], "]")
	s := &Section{Name: strings.TrimSpace(name), File: file}
	if list, ok := strings.CutPrefix(strings.TrimSpace(rest), "("); ok {
		list, _, _ = strings.Cut(list, ")")
		for _, t := range strings.Split(list, ",") {
			s.templates = append(s.templates, strings.TrimSpace(t))
		}
	}
	return s
}

func (s *Section) template() bool { return slices.Contains(s.templates, "!") }

// inherit puts before the section's own keys those of its templates.
func (s *Section) inherit(f *AsteriskFile, depth int) {
	from := s.templates
	if !s.template() {
		s.templates = nil
	}
	if depth > 8 {
		return
	}
	for _, name := range slices.Backward(from) {
		for _, t := range f.Sections {
			if t.Name == name && t != s && t.template() {
				t.inherit(f, depth+1)
				s.keys = append(slices.Clone(t.keys), s.keys...)
				break
			}
		}
	}
	if s.template() {
		s.templates = []string{"!"}
	}
}

func (r *asteriskReader) include(line string) {
	word, name, _ := strings.Cut(line, " ")
	if word != "#include" && word != "#tryinclude" {
		return
	}
	name = strings.Trim(strings.TrimSpace(name), `"<>`)
	if name == "" {
		return
	}
	if !path.IsAbs(name) {
		name = path.Join(asteriskConf, name)
	}
	r.file.includes = append(r.file.includes, path.Clean(name))
	found, err := filepath.Glob(under(r.root, name))
	if err != nil {
		return
	}
	for _, f := range found {
		rel, err := filepath.Rel(r.root, f)
		if err == nil {
			_ = r.read("/" + filepath.ToSlash(rel))
		}
	}
}

// technologies are the files in which endpoints are, and how the names of their
// channels begin.
var technologies = []struct{ file, prefix string }{
	{"pjsip.conf", "PJSIP/"}, {"pjsip_wizard.conf", "PJSIP/"}, {"sip.conf", "SIP/"}, {"iax.conf", "IAX2/"},
}

// trunks are patterns for the channels of the endpoints that lead outside.
func (p Profile) trunks(root string) []string {
	patterns := slices.Clone(p.Trunks)
	if len(patterns) > 0 {
		return patterns
	}
	for _, t := range technologies {
		f, err := ReadAsterisk(root, path.Join(asteriskConf, t.file))
		if err != nil {
			continue
		}
		identified := map[string]bool{}
		for _, s := range f.Sections {
			if s.Get("type") == "identify" {
				identified[s.Get("endpoint")] = true
			}
		}
		for _, s := range f.Sections {
			if s.template() || s.Name == "general" || strings.ContainsAny(s.Name, `*?[]\/`) || s.Name == "" {
				continue
			}
			pattern := t.prefix + s.Name + "-*"
			if p.leadsOutside(s, identified[s.Name]) && !slices.Contains(patterns, pattern) {
				patterns = append(patterns, pattern)
			}
		}
	}
	return patterns
}

// leadsOutside: identified says that it is known by its address rather than by
// signing in.
func (p Profile) leadsOutside(s *Section, identified bool) bool {
	switch s.Get("type") {
	case "endpoint", "wizard", "peer", "friend":
	default:
		return false
	}
	if len(p.TrunkContexts) > 0 {
		return slices.ContainsFunc(p.TrunkContexts, func(pattern string) bool {
			ok, err := path.Match(pattern, s.Get("context"))
			return err == nil && ok
		})
	}
	switch s.Get("type") {
	case "endpoint":
		return s.Get("auth") == "" && (s.Get("outbound_auth") != "" || identified)
	case "wizard":
		return s.Get("accepts_auth") != "yes" && (s.Get("sends_auth") == "yes" || s.Get("sends_registrations") == "yes")
	}
	host := s.Get("host")
	return host != "" && host != "dynamic"
}
