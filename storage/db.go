package storage

import (
	"io"
	"log/slog"
	"time"

	"calljournal/agent/call"
)

// Options of Open. The zero value is what the daemon uses.
type Options struct {
	Agent    string
	Logger   *slog.Logger     // nil: none
	Now      func() time.Time // nil: time.Now
	MaxBytes int64            // limit of the file; 0: the disk
	Reserve  int64            // kept free for Batch.Urgent; 0: 64 MiB or what the disk allows; negative: none
	NoSync   bool             // never outside tests: shows that they notice lost writes
}

// DB is an open journal. All methods but Commit may be called from any
// goroutine.
type DB struct{}

// Open opens the journal at path and makes it if there is none. A journal that
// is damaged is set aside beside it and what can be read of it becomes a new
// one: see Stats.Salvaged.
func Open(path string, o Options) (*DB, error) { return nil, ErrClosed }

// Close waits for running calls and closes the file.
func (d *DB) Close() error { return nil }

// Journal is the id of this journal. It changes whenever numbers of the feed may
// mean something else than before.
func (d *DB) Journal() string { return "" }

// Stats is what a journal says of itself.
type Stats struct {
	Path       string      `json:"path"`
	Journal    string      `json:"journal"`
	FileBytes  int64       `json:"file_bytes"`
	FreeBytes  int64       `json:"free_bytes"` // inside the file, to be used again
	UsedBytes  int64       `json:"used_bytes"`
	DiskFree   int64       `json:"disk_free"`
	Reserve    int64       `json:"reserve"` // 0: used up, or none
	Calls      uint64      `json:"calls"`
	Head       uint64      `json:"head"`
	Oldest     uint64      `json:"oldest"`
	OpenFacts  uint64      `json:"open_facts"`
	Commits    uint64      `json:"commits"`
	LastCommit call.Moment `json:"last_commit"`
	Full       bool        `json:"full"`     // the last Commit had no room
	Damaged    string      `json:"damaged"`  // what was found hurt since Open; the next Open mends it
	Salvaged   *Salvaged   `json:"salvaged"` // set if this journal was made out of a damaged one
}

// Salvaged says how a journal came out of a damaged one.
type Salvaged struct {
	At      call.Moment `json:"at" cbor:"1,keyasint"`
	From    string      `json:"from" cbor:"2,keyasint"`   // the damaged file, set aside
	Reason  string      `json:"reason" cbor:"3,keyasint"` // why it was
	Entries uint64      `json:"entries" cbor:"4,keyasint"`
	Calls   uint64      `json:"calls" cbor:"5,keyasint"`
	Lost    uint64      `json:"lost" cbor:"6,keyasint"` // entries that could not be read
}

// Stats may be called at any time.
func (d *DB) Stats() Stats { return Stats{} }

// Backup writes the journal as it is now to w while it is in use. Opened
// elsewhere, the copy takes a new journal id, because the original goes on
// giving out numbers.
func (d *DB) Backup(w io.Writer) (int64, error) { return 0, ErrClosed }

// Check reads everything in small steps while the journal is in use.
func (d *DB) Check() (Report, error) { return Report{}, ErrClosed }

// Check reads the whole journal at path, which nobody may have open.
func Check(path string) (Report, error) { return Report{}, ErrClosed }

// Report is what Check found.
type Report struct {
	Path    string   `json:"path"`
	Journal string   `json:"journal"`
	Entries uint64   `json:"entries"`
	Calls   uint64   `json:"calls"`
	Records uint64   `json:"records"` // values read, of all kinds
	Damage  []Damage `json:"damage"`  // the first 100
	Damaged uint64   `json:"damaged"` // all
}

// Damage is one thing that is not as it was written.
type Damage struct {
	Where string `json:"where"` // bucket and key, or page
	What  string `json:"what"`
}

// Compact writes the journal at path, which nobody may have open, into a file
// without free space and puts it in its place. It gives the sizes before and after.
func Compact(path string) (before, after int64, err error) { return 0, 0, ErrClosed }

// Salvage saves what can be read of the journal at path into a new one, which
// must not exist, with a new journal id.
func Salvage(path, into string, o Options) (Salvaged, error) { return Salvaged{}, ErrClosed }

// Retention says what the journal need not keep.
type Retention struct {
	MaxAge   time.Duration // 0: for ever
	MaxBytes int64         // of UsedBytes; 0: no limit
}

// Retained is what one Retain did.
type Retained struct {
	Dropped uint64 `json:"dropped"` // entries of the feed
	More    bool   `json:"more"`    // call again, after a breath
	HeldBy  string `json:"held_by"` // the consumer that still needs the oldest entry
}

// Retain drops a small slice of the oldest entries that keep does not want, but
// never one that a consumer has not stored.
func (d *DB) Retain(keep Retention) (Retained, error) { return Retained{}, ErrClosed }
