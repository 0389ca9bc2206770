// Package api is how everybody outside reads the journal: a central server by
// the feed, people and programs by queries, the command line by the control
// socket.
//
// The invariant: nothing leaves here that is not on disk, and nothing enters the
// journal from here but a consumer's own note of how far it has read, and what
// people say of calls. A request without a good token learns nothing but that it
// has none; one whose role is limited reads calls through its view, and an
// operation that knows no view refuses it.
//
//	network ──▶ limits ──▶ token ──▶ role ──▶ access log ──┐
//	                                                       ├──▶ handlers ──▶ view ──▶ Journal (storage.DB)
//	control socket (file permissions) ──▶ access log ──────┘       │           └──▶ files of calls (media)
//	       ▲                                                       └──────▶ Status, Live (agent)
//	       └── Client ◀── status, calls, show, export
package api
