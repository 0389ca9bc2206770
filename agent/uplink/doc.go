// Package uplink lets a centre ask a branch that it cannot reach: the branch
// holds one connection to the centre, and the centre asks over it.
//
// The invariant: over an uplink the centre gets what it would get if it could
// reach the branch, from the same handlers, and nothing else. The branch believes
// the centre because of its certificate, the centre the branch because of its
// token.
//
//	branch (Line)                                    centre (Accept)
//	   ├── HTTPS: POST url, Upgrade, token ────────────▶ known? ── no ──▶ 401
//	   │ ◀───────────────────── 101 Switching Protocols ── yes
//	   │                                                   │
//	http.Server ◀═══ HTTP/2 the other way round ═══ http.Transport
//	   │                    pings from both ends           │
//	the handlers of the feed                       GET /v1/sync?after=N
//
// Whichever end hears nothing for a while sends a ping, and cuts a connection
// that does not answer it: one that is open on one side only is noticed within
// half a minute. The branch then dials again, later and later, with jitter, so
// that a centre that comes back is not met by all of its branches at once.
package uplink
