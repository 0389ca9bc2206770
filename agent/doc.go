// Package agent is the daemon: it holds a link to each PBX, lets the trackers
// make records of what they say, commits those, and serves the journal.
//
// The invariant: facts go one way. A link never waits for a disk as long as its
// bounded memory lasts; the trackers are touched by one goroutine and the store
// is written by another; whoever reads follows the store. So a record that was
// shown is on disk, and an end at any moment leaves nothing half done.
//
//	connector ─┐ supervise: back-off,                       ingest                commit
//	connector ─┼──▶ events (bounded) ──▶ Tracker per PBX ──▶ group ──▶ (one) ──▶ storage.DB
//	connector ─┘    session numbers                          of changes   books     │ wakes
//	                                        ▲                                       ▼
//	                    Ticked, Live, glance ─┘                   api.Server: feed, calls, status
//	                              │                               forward: each far side at its pace
//	                              │                               mail: each address at its pace
//	                              └──▶ live events ──────────────────▲
//
// While a commit runs, changes gather in the next group: a burst of hang-ups
// costs one fsync, a lone one is on disk at once. When the disk is full the group
// fills, ingest stops, the links' memories fill, and what no longer fits is
// dropped there and becomes a gap in the feed.
//
// The trackers know one call at a time. What one call says about another, its
// type, who was called back, what it cost, is added by the books in the commit
// goroutine, so that the trackers never wait for a reading of the journal.
//
// The end, in order: links, forwarders and mail, events, the last group, servers, store.
//
// # The files
//
//	agent.go                        New, Run, and the end
//	link.go connect.go              a link, kept up; the kinds of PBX
//	ingest.go commit.go             facts, trackers, groups, commits
//	books.go people.go erase.go     what one call says of another; what people say of calls
//	heal.go                         gaps, from the PBX's own records
//	live.go                         calls in progress, for screens
//	retain.go sweep.go              what need not be kept: entries, and files of calls
//	listen.go uplinked.go           where the interface is reached
//	forward.go mail.go              who is sent what, as configuration and status have it
//	settings.go reload.go           what a configuration says, also while calls are under way
//	status.go metrics.go said.go    what the daemon says of itself
//	capture.go replay.go            a link to and from a recording; no daemon takes part
package agent
