package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	bolt "go.etcd.io/bbolt"
)

// Backup writes the journal as it is now to w while it is in use. Opened
// elsewhere, the copy takes a new journal id, because the original goes on
// giving out numbers. While it writes, the journal cannot use freed pages again:
// w should not be slow.
func (d *DB) Backup(w io.Writer) (int64, error) {
	n, err := d.backup(w)
	if err != nil {
		return n, &Error{Op: "back up", Path: d.path, Err: err}
	}
	return n, nil
}

func (d *DB) backup(w io.Writer) (n int64, err error) {
	tx, file, err := d.snapshot()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	mark := &rewriter{w: w, at: -1, old: originHere, new: originBackup}
	walk := file.newWalker(file.metas[0])
	walk.only = string(metaBucket)
	walk.leaf = func(at location, e element) {
		if string(e.key) == string(keyOrigin) && bytes.Equal(e.value, originHere) {
			mark.at = at.offset(walk.pageSize, e.value)
		}
	}
	walk.tree(walk.meta.root, "", nil, nil, 0)
	if mark.at < 0 {
		return 0, fmt.Errorf("%w: it does not say where it comes from", ErrDamaged)
	}
	if n, err = tx.WriteTo(mark); err == nil && !mark.done() {
		err = errors.New("the copy could not be marked as one")
	}
	return n, err
}

// snapshot holds the journal as it is now, for as long as the transaction is
// open, for reading by pages.
func (d *DB) snapshot() (*bolt.Tx, *boltFile, error) {
	// The pages of an open transaction stay as they are, but its meta page is
	// written over two commits later: it must be read before the first.
	d.writing.Lock()
	defer d.writing.Unlock()
	tx, err := d.bolt.Begin(false)
	if err != nil {
		return nil, nil, d.boltError(err)
	}
	var file *boltFile
	i, err := d.file.Stat()
	if err == nil {
		file, err = readBoltFile(d.file, i.Size())
	}
	if err != nil {
		return nil, nil, errors.Join(err, tx.Rollback())
	}
	return tx, file, nil
}

// rewriter passes bytes on and puts others of the same length in one place.
type rewriter struct {
	w        io.Writer
	pos, at  int64
	old, new []byte
	replaced int
}

func (r *rewriter) done() bool { return r.replaced == len(r.new) }

func (r *rewriter) Write(p []byte) (int, error) {
	if r.pos < r.at+int64(len(r.old)) && r.pos+int64(len(p)) > r.at {
		p = bytes.Clone(p)
		for i := range p {
			if j := r.pos + int64(i) - r.at; j >= 0 && j < int64(len(r.old)) {
				if p[i] != r.old[j] {
					return 0, errors.New("what is read is not what is mapped")
				}
				p[i] = r.new[j]
				r.replaced++
			}
		}
	}
	n, err := r.w.Write(p)
	r.pos += int64(n)
	return n, err
}

// Compact writes the journal at path, which nobody may have open, into a file
// without free space and puts it in its place. It gives the sizes before and
// after. A small journal may become larger: it is written anew all the same, for
// what was erased must not stay in its free space. Killed at any moment, it leaves the old file or the new one.
func Compact(path string) (before, after int64, err error) {
	before, after, err = compact(path)
	if err != nil {
		e := &Error{Op: "compact", Path: path, Err: err}
		switch {
		case errors.Is(err, ErrLocked):
			e.Hint = "the daemon is running on it; stop it first"
		case errors.Is(err, ErrDamaged):
			e.Hint = "start the daemon on it: it saves what can be read"
		case errors.Is(err, ErrFull):
			e.Hint = "for a moment there must be room for both"
		}
		return before, after, e
	}
	return before, after, nil
}

func compact(path string) (before, after int64, err error) {
	i, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	before = i.Size()
	reason, err := inspect(path)
	if err != nil {
		return before, 0, err
	}
	if reason != "" {
		return before, 0, fmt.Errorf("%w: %s", ErrDamaged, reason)
	}
	// For writing, although it is only read: so that nobody else opens it.
	src, err := openBolt(path, &bolt.Options{})
	if err != nil {
		return before, 0, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	fresh := path + ".compact"
	if err := os.RemoveAll(fresh); err != nil {
		return before, 0, err
	}
	if after, err = copyInto(fresh, src); err != nil {
		if isFull(err) {
			err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		return before, 0, errors.Join(err, os.RemoveAll(fresh))
	}
	if runtime.GOOS == "windows" { // it renames no open file
		if err := src.Close(); err != nil {
			return before, 0, errors.Join(err, os.RemoveAll(fresh))
		}
	}
	if err := os.Rename(fresh, path); err != nil {
		return before, 0, errors.Join(err, os.RemoveAll(fresh))
	}
	return before, after, syncFolder(path)
}

// copyInto copies a journal and reads the copy before it vouches for it.
func copyInto(path string, src *bolt.DB) (size int64, err error) {
	dst, err := openBolt(path, &bolt.Options{NoSync: true})
	if err != nil {
		return 0, err
	}
	dst.AllocSize = growBytes
	err = func() (err error) {
		defer recoverDamage(&err)
		return errors.Join(bolt.Compact(dst, src, 8<<20), dst.Sync())
	}()
	if err := errors.Join(err, dst.Close()); err != nil {
		return 0, err
	}
	r, err := Check(path)
	switch {
	case err != nil:
		return 0, err
	case r.Damaged > 0:
		return 0, fmt.Errorf("%s: %w: %s", r.Damage[0].Where, ErrDamaged, r.Damage[0].What)
	}
	i, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return i.Size(), nil
}
