package storage

// Page is a stretch of the feed.
type Page struct {
	Entries            []Entry
	Next, Head, Oldest uint64
}

// Feed gives up to limit entries with Seq > after, without a hole. It fails with
// ErrExpired when entries after that number were already dropped, and with
// ErrAhead when there never was such a number.
func (d *DB) Feed(after uint64, limit int) (Page, error) { return Page{}, ErrClosed }

// Head is the number of the newest entry, 0 if there was none yet.
func (d *DB) Head() uint64 { return 0 }

// Oldest is the smallest number that is still kept; Head+1 if none is.
func (d *DB) Oldest() uint64 { return 1 }

// Changed gives a channel that the next Commit with entries closes. Take it
// before reading the feed, so that no change falls between the two.
func (d *DB) Changed() <-chan struct{} { return nil }
