package media

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// ErrGone: there is no such file, or it is none that may be given out.
var ErrGone = errors.New("the file is not there")

// folder is a configured folder while it is looked at. Nothing outside of it can
// be reached through root, whatever names and links say.
type folder struct {
	root *os.Root
	path string
}

func openFolder(dir string) (*folder, error) {
	if dir == "" {
		return nil, fmt.Errorf("no folder is configured: %w", ErrGone)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &folder{root, filepath.ToSlash(dir)}, nil
}

// mostSuffixes is how many parts of a foreign path are tried.
const mostSuffixes = 8

// places are where, inside the folder, a file may be that the PBX calls named,
// the most likely first. The PBX may see the folder under another path, because
// it runs on another machine: then the ends of its path are tried, the longest
// first.
func (f *folder) places(named string) []string {
	if len(named) > 1 && named[1] == ':' { // C:\recordings\a.wav
		named = strings.ReplaceAll(named[2:], `\`, "/")
	}
	if named == "" || strings.Contains(named, "://") || strings.ContainsRune(named, 0) {
		return nil
	}
	if !strings.HasPrefix(named, "/") {
		return []string{strings.TrimPrefix(path.Clean("/"+named), "/")}
	}
	named = path.Clean(named)
	if rest, ok := strings.CutPrefix(named, strings.TrimSuffix(path.Clean(f.path), "/")+"/"); ok {
		return []string{rest}
	}
	parts := strings.Split(strings.Trim(named, "/"), "/")
	var out []string
	for i := max(0, len(parts)-mostSuffixes); i < len(parts); i++ {
		out = append(out, path.Join(parts[i:]...))
	}
	return out
}

// find opens the first regular file among the names, each with its own kind and
// then with the others: many PBXs turn their recordings into another format.
func (f *folder) find(names []string, kinds []kind, fits func(fs.FileInfo) bool) (*File, error) {
	for _, name := range names {
		for _, n := range withKinds(name, kinds) {
			file, err := f.open(n.name, n.kind)
			if err != nil {
				continue
			}
			if fits == nil || fits(file.info) {
				return file, nil
			}
			file.Close()
		}
	}
	return nil, ErrGone
}

type named struct {
	name string
	kind kind
}

// withKinds is name with the endings that it may have.
func withKinds(name string, kinds []kind) (out []named) {
	stem, own := name, -1
	for i, k := range kinds {
		if strings.HasSuffix(name, k.ending) {
			stem, own = strings.TrimSuffix(name, k.ending), i
			out = append(out, named{name, k})
			break
		}
	}
	if stem == "" || strings.HasSuffix(stem, "/") {
		return nil
	}
	for i, k := range kinds {
		if i != own && k.common {
			out = append(out, named{stem + k.ending, k})
		}
	}
	return out
}

// open opens a regular file. Opening a pipe or a device could wait for ever, or
// do something: it is looked at before, and opened so that it cannot wait.
func (f *folder) open(name string, k kind) (*File, error) {
	st, err := f.root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file: %w", name, ErrGone)
	}
	file, err := f.root.OpenFile(name, os.O_RDONLY|dontWait, 0)
	if err != nil {
		return nil, err
	}
	if st, err = file.Stat(); err != nil || !st.Mode().IsRegular() {
		file.Close()
		return nil, fmt.Errorf("%s is no regular file: %w", name, ErrGone)
	}
	return &File{File: file, Path: name, kind: k, info: st, sizeNow: st.Size()}, nil
}

// read reads a small regular file whole.
func (f *folder) read(name string, most int64) ([]byte, error) {
	file, err := f.open(name, kind{})
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b := make([]byte, min(file.info.Size(), most))
	n, err := file.ReadAt(b, 0)
	if n < len(b) && err != nil {
		return b[:n], nil // it became shorter meanwhile
	}
	return b, nil
}

// list gives the names in a subfolder, at most so many.
func (f *folder) list(dir string, most int) (entries []fs.DirEntry) {
	d, err := f.root.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	for len(entries) < most {
		some, err := d.ReadDir(min(1024, most-len(entries)))
		entries = append(entries, some...)
		if err != nil {
			break
		}
	}
	return entries
}

// subfolders are the names of folders in a folder, in order.
func (f *folder) subfolders(dir string, most int) (names []string) {
	for _, e := range f.list(dir, most) {
		if e.IsDir() || e.Type()&fs.ModeSymlink != 0 {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names
}

func (f *folder) close() {
	if f != nil {
		_ = f.root.Close()
	}
}
