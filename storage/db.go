package storage

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"calljournal/agent/call"
)

// Options of Open. The zero value is what the daemon uses.
type Options struct {
	Agent    string           // who began it; kept for whoever finds the file
	Logger   *slog.Logger     // nil: none
	Now      func() time.Time // nil: time.Now
	MaxBytes int64            // limit of the file; 0: the disk
	Reserve  int64            // kept free for Batch.Urgent; 0: 64 MiB or what the disk allows; negative: none
	NoSync   bool             // never outside tests: shows that they notice lost writes
	Counting Counting         // how a new journal counts; see Recount for one that there is
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Reserve == 0 {
		o.Reserve = defaultReserve
	}
	return o
}

const (
	schemaVersion = 2       // 1: without histories, missed calls and totals
	pageBytes     = 4096    // not the system's, so that a file may move to another machine
	growBytes     = 1 << 20 // the file grows in such steps, each with a sync of its own
	lockWait      = time.Second
	fullPages     = 0.95 // of keys that only grow: room is left for a revision to be a little longer
)

// Where the journal comes from, in its origin key. Backup writes the second in
// place of the first: both must have the same length.
var (
	originHere   = []byte("original")
	originBackup = []byte("restored")
)

// DB is an open journal. All methods but Commit may be called from any
// goroutine.
type DB struct {
	path     string
	opts     Options
	codec    *codec
	unpacked sync.Pool // *[]byte, for FeedJSON
	bolt     *bolt.DB
	file     *os.File // bbolt's own
	reserve  *reserve

	// writing is held over every change of the file and of what is below it.
	writing   sync.Mutex
	unsettled int      // number of the transaction that the disk did not confirm, 0: none
	broken    bool     // a change was ended by a panic in bbolt: no more of them
	moved     [][]byte // keys of summaries that the transaction at hand changes
	movedIn   int      // its number

	mu       sync.RWMutex // over what follows; never held over a disk access
	journal  string
	tail     tail // as confirmed by the disk: nobody is shown more than that
	words    words
	changed  chan struct{}
	full     bool
	hurt     string
	salvaged *Salvaged
	closed   bool

	zones   zones
	commits atomic.Uint64 // since Open
	index   *index
}

// Open opens the journal at path and makes it if there is none. A journal that
// is damaged is set aside beside it and what can be read of it becomes a new
// one: see Stats.Salvaged.
func Open(path string, o Options) (*DB, error) {
	o = o.withDefaults()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, &Error{Op: "open", Path: path, Err: err}
	}
	reason, err := inspect(path)
	if err != nil {
		return nil, openError(path, err)
	}
	if reason == "" {
		d, err := open(path, o)
		if !errors.Is(err, ErrDamaged) {
			return d, openError(path, err)
		}
		reason = err.Error()
	}
	s, err := replaceDamaged(path, reason, o)
	if err != nil {
		return nil, &Error{Op: "set aside damaged", Path: path, Err: err, Hint: "see to free space and rights in its folder"}
	}
	d, err := open(path, o)
	if err != nil {
		return nil, openError(path, err)
	}
	d.opts.Logger.Error("journal was damaged: what could be read was saved into a new one",
		"path", path, "aside", s.From, "reason", s.Reason, "entries", s.Entries, "lost", s.Lost)
	return d, nil
}

func openError(path string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Op: "open", Path: path, Err: err}
	switch {
	case errors.Is(err, ErrLocked):
		e.Hint = "the daemon is running on it; stop it first"
	case errors.Is(err, ErrVersion):
		e.Hint = "install that version, or give this one another data_dir"
	case errors.Is(err, fs.ErrPermission):
		e.Hint = "run as the user that owns it"
	}
	return e
}

// open opens a file whose pages are known to be sound.
func open(path string, o Options) (d *DB, err error) {
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	o.Counting = o.Counting.withDefaults()
	d = &DB{path: path, opts: o, codec: c, changed: make(chan struct{}), index: newIndex(indexBudget)}
	d.zones.add(o.Counting.Zone)
	b, err := openBolt(path, &bolt.Options{
		MaxSize: int(o.MaxBytes),
		NoSync:  o.NoSync,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			d.file = f
			return f, err
		},
	})
	if err != nil {
		return nil, err
	}
	d.bolt = b
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	b.AllocSize = growBytes
	if here, err := sameFile(path, d.file); err != nil || !here {
		// Compact or another start put a new file there while we waited for the lock.
		return nil, errors.Join(ErrLocked, err)
	}
	if err := d.prepare(); err != nil {
		return nil, err
	}
	if err := d.load(); err != nil {
		return nil, err
	}
	d.reserve = newReserve(path+".reserve", o.Reserve, o.Now())
	return d, nil
}

func sameFile(path string, f *os.File) (bool, error) {
	a, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	b, err := f.Stat()
	return os.SameFile(a, b), err
}

// openBolt opens a file of bbolt with the settings that suit a journal, and
// gives its panics back as errors.
func openBolt(path string, o *bolt.Options) (b *bolt.DB, err error) {
	defer recoverDamage(&err)
	o.Timeout = lockWait
	o.PageSize = pageBytes
	// The list of free pages would be written whole with every commit; it is
	// found again at the next start.
	o.NoFreelistSync = true
	o.FreelistType = bolt.FreelistMapType
	if strconv.IntSize == 64 && runtime.GOOS != "windows" {
		// Only address space. A map that need not grow does not make the writer
		// wait for readers. On Windows the file itself would be that long.
		room := int64(16 << 30)
		o.InitialMmapSize = int(room)
	}
	b, err = bolt.Open(path, 0o600, o)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrLocked
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return b, err
}

// recoverDamage makes an ErrDamaged of a panic. It must be deferred itself. bbolt
// trusts what it reads: a wrong page number in a file is a wrong address in memory.
func recoverDamage(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, r)
	}
}

// prepare makes the buckets of a new journal and looks at the version of an old
// one. It writes only if it must, so that a start needs no room.
func (d *DB) prepare() error {
	write := d.create
	upgrade := false
	err := d.view(func(tx *bolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if meta == nil {
			if k, _ := tx.Cursor().First(); k != nil {
				return fmt.Errorf("%w: it is no journal", ErrDamaged)
			}
			return nil
		}
		schema, err := d.codec.decodeSchema(meta.Get(keySchema))
		if err != nil {
			return err
		}
		if schema > schemaVersion {
			return fmt.Errorf("schema %d, this is %d: %w", schema, schemaVersion, ErrVersion)
		}
		upgrade = schema < schemaVersion
		for _, name := range bucketNames[:bucketsOf[schema]] {
			if tx.Bucket(name) == nil {
				return fmt.Errorf("%w: bucket %s is missing", ErrDamaged, name)
			}
		}
		if write = d.takeOver; string(meta.Get(keyOrigin)) == string(originHere) {
			write = nil
		}
		return nil
	})
	if upgrade {
		takeOver := write
		write = func(tx *bolt.Tx) error {
			if err := d.upgrade(tx); err != nil || takeOver == nil {
				return err
			}
			return takeOver(tx)
		}
	}
	if err != nil || write == nil {
		return err
	}
	if err := d.change(write); err != nil {
		return err
	}
	return syncFolder(d.path) // of a new file, the name too
}

// takeOver makes a journal of its own out of a copy. The original goes on giving
// out the numbers after our head, so ours must not be taken for them.
func (d *DB) takeOver(tx *bolt.Tx) error {
	meta := tx.Bucket(metaBucket)
	return errors.Join(
		meta.Put(keyJournal, seal(kindJournal, keyJournal, []byte(newJournalID()))),
		meta.Put(keyOrigin, originHere),
	)
}

// upgrade makes room for what earlier schemas did not have. Recount fills it.
func (d *DB) upgrade(tx *bolt.Tx) error {
	for _, name := range bucketNames {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return tx.Bucket(metaBucket).Put(keySchema, seal(kindSchema, keySchema, binary.AppendUvarint(nil, schemaVersion)))
}

func (d *DB) create(tx *bolt.Tx) error {
	meta, err := tx.CreateBucket(metaBucket)
	if err != nil {
		return err
	}
	for _, name := range bucketNames {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	counts := [2]count{d.opts.Counting.count(1)}
	counts[0].Whole = true
	t, err := d.codec.pack(kindTail, keyTail, &tail{Oldest: 1, Counts: counts}, nil)
	if err != nil {
		return err
	}
	return errors.Join(
		meta.Put(keySchema, seal(kindSchema, keySchema, binary.AppendUvarint(nil, schemaVersion))),
		meta.Put(keyJournal, seal(kindJournal, keyJournal, []byte(newJournalID()))),
		meta.Put(keyOrigin, originHere),
		meta.Put(keyTail, t),
		meta.Put(keyAgent, seal(kindAgent, keyAgent, []byte(d.opts.Agent))),
	)
}

func newJournalID() string {
	var b [10]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// load reads what is kept in memory.
func (d *DB) load() error {
	return d.view(func(tx *bolt.Tx) error {
		t, err := d.readTail(tx)
		if err != nil {
			return err
		}
		w := words{number: map[string]uint64{}}
		err = inWords.of(tx).ForEach(func(k, v []byte) error {
			text, err := d.codec.unseal(kindWord, k, v)
			if err != nil {
				return damagedAt(inWords, k, err)
			}
			if n := w.add(string(text)); string(numberKey(n)) != string(k) {
				return damagedAt(inWords, k, fmt.Errorf("%w: words out of order", ErrDamaged))
			}
			return nil
		})
		if err != nil {
			return err
		}
		meta := tx.Bucket(metaBucket)
		var s *Salvaged
		if v := meta.Get(keySalvaged); v != nil {
			s = new(Salvaged)
			if err := d.codec.unpack(kindSalvaged, keySalvaged, v, s); err != nil {
				return err
			}
		}
		id, err := d.codec.unseal(kindJournal, keyJournal, meta.Get(keyJournal))
		if err != nil {
			return err
		}
		d.index.forget()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.tail, d.words, d.salvaged = t, w, s
		d.journal = string(id)
		return nil
	})
}

// Close waits for running calls and closes the file.
func (d *DB) Close() error {
	d.writing.Lock()
	defer d.writing.Unlock()
	d.mu.Lock()
	again := d.closed
	d.closed = true
	if !again {
		close(d.changed)
	}
	d.mu.Unlock()
	if again {
		return nil
	}
	if d.broken {
		// bbolt may still hold its mutexes and would wait for itself. What matters
		// is that another start can have the file; the map keeps it open.
		return errors.Join(unlockFile(d.file), d.file.Close())
	}
	d.leaveFreeList()
	if err := d.bolt.Close(); err != nil {
		return &Error{Op: "close", Path: d.path, Err: err}
	}
	return nil
}

// leaveFreeList writes the list of free pages, once, so that the next start need
// not look for them: half of its time. Without it the start is as after a crash.
func (d *DB) leaveFreeList() {
	if d.unsettled != 0 {
		return
	}
	d.bolt.NoFreelistSync = false
	if err := d.write(func(*bolt.Tx) error { return nil }); err != nil {
		d.opts.Logger.Debug("list of free pages not written", "path", d.path, "err", err)
	}
}

// Journal is the id of this journal. It changes whenever numbers of the feed may
// mean something else than before.
func (d *DB) Journal() string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.journal
}

// view runs fn on the file as it is. What fn reads is valid only inside it.
func (d *DB) view(fn func(tx *bolt.Tx) error) (err error) {
	if d.isClosed() {
		return ErrClosed
	}
	// A read of a page that the disk cannot give is a fault of memory here.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	tx, err := d.bolt.Begin(false)
	if err != nil {
		return d.boltError(err)
	}
	defer d.noteIfDamaged(&err)
	defer recoverDamage(&err)
	defer tx.Rollback()
	return fn(tx)
}

// change runs fn and commits what it did, or nothing of it.
func (d *DB) change(fn func(tx *bolt.Tx) error) error {
	if d.isClosed() {
		return ErrClosed
	}
	if d.broken {
		return fmt.Errorf("%w: an earlier change was broken off; open the journal anew", ErrDamaged)
	}
	return d.write(fn)
}

func (d *DB) write(fn func(tx *bolt.Tx) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	tx, err := d.bolt.Begin(true)
	if err != nil {
		return d.boltError(err)
	}
	number := tx.ID()
	// Not bolt.DB.Update: after a panic it reads the whole damaged file, in a
	// goroutine where nobody can recover.
	d.broken = true
	defer d.noteIfDamaged(&err)
	defer recoverDamage(&err)
	defer tx.Rollback() // does nothing after a commit
	if err = fn(tx); err == nil {
		if err = tx.Commit(); err != nil {
			err = d.commitFailed(number, err)
		}
	}
	d.broken = false
	return err
}

// commitFailed finds out what a failed commit left behind. bbolt writes the
// pages, syncs, writes the meta page, syncs. Only if the meta page is there can
// the commit have happened; then everything else is on the disk for certain.
func (d *DB) commitFailed(number int, cause error) error {
	d.unsettled = number
	landed, err := d.settle()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", err, cause)
	case landed:
		return nil
	case isFull(cause):
		return fmt.Errorf("%w: %w", ErrFull, cause)
	}
	return cause
}

// settle makes the transaction certain that the disk did not confirm: its meta
// page is written and synced once more. After a failed sync the kernel takes a
// page for clean, so that a second sync alone would say nothing. landed is false
// if the transaction did not get as far as that page, and so never happened.
func (d *DB) settle() (landed bool, err error) {
	page, at, err := metaOf(d.file, uint64(d.unsettled))
	if err == nil && page != nil {
		if _, err = d.file.WriteAt(page, at); err == nil {
			err = d.file.Sync()
		}
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrUncertain, err)
	}
	d.unsettled = 0
	return page != nil, nil
}

func isFull(err error) bool {
	return errors.Is(err, bolterrors.ErrMaxSizeReached) || isDiskFull(err)
}

func (d *DB) isClosed() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.closed
}

func (d *DB) boltError(err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

func (d *DB) now() call.Moment { return call.MomentOf(d.opts.Now()) }

// damagedAt says where a value is hurt.
func damagedAt(in bucket, key []byte, err error) error {
	return fmt.Errorf("%s %s: %w", in, keyText(in, key), err)
}

func keyText(in bucket, key []byte) string {
	if len(key) == 8 && (in == inFeed || in == inWhy || in == inWords) {
		return strconv.FormatUint(binary.BigEndian.Uint64(key), 10)
	}
	return strconv.QuoteToASCII(string(key))
}

func (d *DB) noteIfDamaged(err *error) {
	if errors.Is(*err, ErrDamaged) {
		d.noteDamage(*err)
	}
}

// noteDamage tells of damage once. The next Open finds it again and mends it.
func (d *DB) noteDamage(err error) {
	d.mu.Lock()
	first := d.hurt == ""
	if first {
		d.hurt = err.Error()
	}
	d.mu.Unlock()
	if first {
		d.opts.Logger.Error("journal is damaged; a restart saves what can be read", "path", d.path, "err", err)
	}
}

// Stats is what a journal says of itself.
type Stats struct {
	Path       string      `json:"path"`
	Journal    string      `json:"journal"`
	FileBytes  int64       `json:"file_bytes"`
	FreeBytes  int64       `json:"free_bytes"` // inside the file, to be used again
	UsedBytes  int64       `json:"used_bytes"`
	DiskFree   int64       `json:"disk_free"` // -1: not known
	Reserve    int64       `json:"reserve"`   // 0: used up, or none
	Calls      uint64      `json:"calls"`
	Head       uint64      `json:"head"`
	Oldest     uint64      `json:"oldest"`
	OpenFacts  uint64      `json:"open_facts"`
	Commits    uint64      `json:"commits"` // since Open
	LastCommit call.Moment `json:"last_commit"`
	Full       bool        `json:"full"`     // the last Commit had no room
	Damaged    string      `json:"damaged"`  // what was found hurt since Open; the next Open mends it
	Salvaged   *Salvaged   `json:"salvaged"` // set if this journal was made out of a damaged one
}

// Stats may be called at any time.
func (d *DB) Stats() Stats {
	d.mu.RLock()
	s := Stats{
		Path: d.path, Journal: d.journal,
		Calls: d.tail.Extents[inCalls].Count, OpenFacts: d.tail.Extents[inOpen].Count,
		Head: d.tail.Head, Oldest: d.tail.Oldest,
		LastCommit: d.tail.LastCommit, Full: d.full, Damaged: d.hurt, Salvaged: d.salvaged,
	}
	d.mu.RUnlock()
	s.Commits = d.commits.Load()
	s.Reserve = d.reserve.size()
	s.DiskFree = DiskFree(filepath.Dir(d.path))
	if i, err := os.Stat(d.path); err == nil {
		s.FileBytes = i.Size()
	}
	b := d.bolt.Stats()
	s.FreeBytes = int64(b.FreePageN+b.PendingPageN) * pageBytes
	s.UsedBytes = max(0, s.FileBytes-s.FreeBytes)
	return s
}
