// Package storage keeps the journal: one bbolt file with one writer.
//
// The invariant: what the feed has shown is on disk, in one transaction with
// every index, counter and open call that belongs to it, and is the same in
// every later reading. A journal that cannot keep this, because it was damaged,
// restored or salvaged, takes a new id.
//
//	tracker ──▶ Batch ──▶ Commit ──▶ encode ──▶ ONE transaction, synced ──▶ Changed
//	                                              │
//	       feed       seq ──▶ entry  ◀────────────┤  every revision, as it was
//	       calls      id ──▶ number, seq, rev     │  the newest of each call
//	       summaries  started_at, number ──▶ ...  │  what queries look at
//	       why        number ──▶ reasons, facts   │  for show --why
//	       touches    history ──▶ touch           │  the calls of each outside number
//	       missed     left, number ──▶ place      │  missed calls that are open
//	       cells      day, group ──▶ totals       │  what statistics read
//	       open       PBX, N ──▶ fact             │  of calls in progress
//	       state, gaps, words, consumers, meta  ◀─┘  (state: forwarders, too)
//
//	Feed, Call, Calls, Why ◀── short reading transactions, values copied
//
// Summaries, touches, missed and cells say nothing that the records do not say:
// every change of a record moves them along, Check compares them, and salvage and
// Recount make them anew.
//
// Calls answers from columns in memory, which are made of the summaries a block of
// some hundred calls at a time as they are asked for, or ahead once somebody looks
// around (Warm), and thrown away as commits
// change them (columns.go). A block says of itself which values, words and parts of
// numbers it has, so that most are passed over: a sort by talk over a year looks
// into the few blocks with the longest talks. The pages of one query show the
// journal as it was at the first of them (query.go).
//
//	Query ──▶ filter ──▶ blocks ──▶ the best of each ──▶ records of the page
//	                       │ perhaps?      ▲
//	                       └──▶ summary ───┘   calls that changed since the first
//	                              or record ◀─ page, as they were: from the feed
//
// Every value carries a checksum over itself and its key, and every commit says
// how many values there are and what their checksums add up to, so that a value
// that is gone is noticed like one that is wrong. bbolt trusts the pages that it
// reads, so a file is looked at page by page and value by value (pages.go,
// check.go) before bbolt gets it; a damaged one is set aside and what can be read
// becomes a new journal (salvage.go).
//
//	Open ──▶ lock ──▶ everything sound? ─yes─▶ bbolt ──▶ DB
//	                        │ no
//	                        └──▶ salvage into a new file ──▶ journal.db.damaged-<time>,
//	                             new journal.db with a new id ──▶ DB
//
// The file journal.db.reserve holds space that is given up for a commit that must
// succeed on a full disk.
package storage
