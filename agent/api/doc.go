// Package api is how everybody outside reads the journal: a central server by
// the feed, people and programs by queries, the command line by the control
// socket.
//
// The invariant: nothing leaves here that is not on disk, and nothing enters the
// journal from here but a consumer's own note of how far it has read. A request
// without a good token learns nothing but that it has none.
//
//	network ──▶ limits ──▶ token ──▶ scope ──┐
//	                                         ├──▶ handlers ──▶ Journal (storage.DB)
//	control socket (file permissions) ───────┘        │
//	       ▲                                          └──────▶ Status, Live (agent)
//	       └── Client ◀── status, calls, show
package api
