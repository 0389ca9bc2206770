package storage

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	defaultReserve = 64 << 20
	restockWait    = 30 * time.Second // between two looks for space for a new reserve
)

// reserve is space on the disk that is given up when what must be saved would
// otherwise not fit.
type reserve struct {
	path string
	want int64

	mu     sync.Mutex
	held   int64
	looked time.Time
}

func newReserve(path string, want int64, now time.Time) *reserve {
	r := &reserve{path: path, want: max(0, want)}
	if r.want == 0 {
		_ = os.Remove(path) // one of an earlier start; there need not be one
	}
	r.restock(now)
	return r
}

func (r *reserve) size() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

// restock takes the space, if it is not held and the disk has plenty: never more
// than an eighth of what is left.
func (r *reserve) restock(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.want == 0 || r.held > 0 || !r.looked.IsZero() && now.Sub(r.looked).Abs() < restockWait {
		return
	}
	r.looked = now
	if i, err := os.Stat(r.path); err == nil && i.Size() > 0 {
		r.held = i.Size() // of an earlier start
		return
	}
	size := min(r.want, DiskFree(filepath.Dir(r.path))/8)
	if size < growBytes/4 {
		return
	}
	if err := fillFile(r.path, size); err != nil {
		_ = os.Remove(r.path) // space is short: whatever it took must go back
		return
	}
	r.held = size
}

// release gives the space back.
func (r *reserve) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = os.Remove(r.path) // if it stays, the commit that needs the space says so
	r.held = 0
}

// fillFile makes a file that takes up space.
func fillFile(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err = allocate(f, size); errors.Is(err, errors.ErrUnsupported) {
		err = writeZeros(f, size)
	}
	return errors.Join(err, f.Close())
}

func writeZeros(f *os.File, size int64) error {
	block := make([]byte, 1<<20)
	for size > 0 {
		n, err := f.Write(block[:min(size, int64(len(block)))])
		if err != nil {
			return err
		}
		size -= int64(n)
	}
	return f.Sync()
}
