// Package collect is the centre: it gathers the feeds of any number of agents
// into one PostgreSQL database, the latest revision of each call.
//
// The invariant: an agent's cursor moves in the transaction that stores what it
// moves past. So every entry has its effect exactly once, whatever is killed,
// cut or restarted, and what the database does not have is asked for again.
//
//	agent ◀── GET /v1/sync?after=cursor ── branch ─┐
//	agent ◀── the same, over its uplink ── branch ─┤   one page   ┌─ calls   upsert, greatest rev
//	agent ── POST /v1/push/NAME, signed ── branch ─┴──▶ writers ▶ ├─ deleted so that nothing comes back
//	                                        │           ONE       ├─ gaps
//	                        what waits shares one       TRANS-    ├─ refused what PostgreSQL will not take
//	                        transaction; nobody holds   ACTION    └─ agents  the cursor
//	                        one while an agent is waited for
//	                                        │
//	people, Prometheus ◀── page, metrics ───┘ which branch is behind, which has gaps
//
// Memory is bounded: each branch holds one page at a time, and all pages together
// a fixed number of bytes; a page that does not fit is asked for again, smaller.
package collect
