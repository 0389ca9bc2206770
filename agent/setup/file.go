package setup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"calljournal/agent/wholefile"
	"calljournal/packaging"
)

// File is a file to be written.
type File struct {
	Path string
	Text string
	// Mode, unless there is a Group: then it is root's and the group's, 0640.
	Mode  fs.FileMode
	Group string
}

// State is what lies at a File's path already.
type State int

// The states.
const (
	Absent  State = iota
	Same          // this very text
	Example       // what the packages put there, untouched
	Other         // somebody's own
)

// State looks.
func (f File) State() (State, error) {
	b, err := os.ReadFile(f.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return Absent, nil
	case err != nil:
		return Other, fmt.Errorf("look at what is there: %w", err)
	case bytes.Equal(b, []byte(f.Text)):
		return Same, nil
	case bytes.Equal(b, []byte(packaging.Example)), len(bytes.TrimSpace(b)) == 0:
		return Example, nil
	}
	return Other, nil
}

// Write writes the file whole or not at all. What is there and is somebody's own is
// kept beside it, as kept, with ".old" and a number if need be.
func (f File) Write(m Machine) (kept string, err error) {
	state, err := f.State()
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", f.Path, err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return "", err
	}
	mode, gid := f.Mode, -1
	if id, ok := m.Group(f.Group); ok && f.Group != "" && runtime.GOOS != "windows" {
		mode, gid = 0o640, id
	}
	if state == Same {
		return "", own(f.Path, mode, gid)
	}
	err = wholefile.Write(f.Path, func(t *os.File) error {
		if _, err := t.WriteString(f.Text); err != nil {
			return err
		}
		if err := own(t.Name(), mode, gid); err != nil || state != Other {
			return err
		}
		kept, err = keep(f.Path)
		return err
	})
	return kept, err
}

func own(path string, mode fs.FileMode, gid int) error {
	if gid >= 0 {
		if err := os.Chown(path, -1, gid); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode)
}

// keep gives the file a second name that nothing has. Whoever may read it stays
// the same.
func keep(path string) (string, error) {
	for n := range 1000 {
		name := path + ".old"
		if n > 0 {
			name = fmt.Sprintf("%s%d", name, n)
		}
		err := os.Link(path, name)
		if err == nil || !errors.Is(err, os.ErrExist) {
			return name, err
		}
	}
	return "", fmt.Errorf("%s.old to .old999 are all there", path)
}

// Overwritten are those of the files in whose place somebody's own lies.
func Overwritten(files ...File) ([]string, error) {
	var paths []string
	for _, f := range files {
		s, err := f.State()
		if err != nil {
			return nil, err
		}
		if s == Other {
			paths = append(paths, f.Path)
		}
	}
	return slices.Clip(paths), nil
}
