package wholefile_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"calljournal/agent/wholefile"
)

func TestWrite(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "users.json")
	holds := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%q %v, want %q", got, err, want)
		}
		if all, err := os.ReadDir(folder); err != nil || len(all) != 1 {
			t.Errorf("left beside it: %v %v", all, err)
		}
	}
	for _, text := range []string{"first", "second, and longer"} {
		if err := wholefile.Replace(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		holds(text)
	}
	if st, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v: others may read it", st.Mode(), err)
	}

	// What fails in the middle leaves what was there.
	fault := errors.New("the rest did not come")
	err := wholefile.Write(path, func(f *os.File) error {
		_, err := f.WriteString("hal")
		return errors.Join(err, fault)
	})
	if !errors.Is(err, fault) {
		t.Errorf("%v, want %v", err, fault)
	}
	holds("second, and longer")

	// So does a name that cannot be taken.
	if err := os.Mkdir(filepath.Join(folder, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Replace(filepath.Join(folder, "taken"), []byte("x")); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if err := os.Remove(filepath.Join(folder, "taken")); err != nil {
		t.Fatal(err)
	}
	holds("second, and longer")
	if err := wholefile.Replace(filepath.Join(folder, "nowhere", "x"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// Whoever may read it is known before it has its name.
func TestWrite_FillGivesTheMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such modes")
	}
	path := filepath.Join(t.TempDir(), "calljournal.toml")
	if err := wholefile.Write(path, func(f *os.File) error { return f.Chmod(0o640) }); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", st.Mode(), err)
	}
}
