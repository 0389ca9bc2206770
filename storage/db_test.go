package storage

import (
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// newFolder is TempDir for a rapid.T, which has none.
func newFolder(t *rapid.T) string {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

type fataler interface {
	Helper()
	Fatal(...any)
}

func mustOpen(t fataler, path string, o Options) *DB {
	t.Helper()
	d, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func openTemp(t *testing.T, o Options) *DB {
	t.Helper()
	d := mustOpen(t, filepath.Join(t.TempDir(), "journal.db"), o)
	t.Cleanup(func() { d.Close() })
	return d
}

func mustCommit(t fataler, d *DB, b *Batch) {
	t.Helper()
	if err := d.Commit(b); err != nil {
		t.Fatal(err)
	}
}
