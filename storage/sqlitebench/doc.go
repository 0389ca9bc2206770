// Package sqlitebench measures the journal beside SQLite with the same calls and
// the same questions. It is a module of its own, so that SQLite is no part of the
// daemon.
//
// The invariant: a question is timed only after both have given the same answer,
// and SQLite has the index that suits it best.
//
//	journaltest ──▶ calls ──┬──▶ storage.DB ──▶ answer ──┐
//	                        │                            ├──▶ equal? ──▶ time both, by turns
//	                        └──▶ SQLite ──────▶ answer ──┘
//
// SQLite gets columns for what is asked, a table of who took part with the shares
// that statistics add up, a table of numbers with a trigram index, and the record
// as JSON, which is how a record is kept in SQLite so that it can be looked into;
// with -cbor as the CBOR that the journal packs, which is smaller and faster to
// read. It keeps one revision of a call; the journal keeps the feed as well.
//
//	go test -v -calls 1000000 -timeout 60m
package sqlitebench
