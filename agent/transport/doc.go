// Package transport is how connections come in and go out: listeners that
// strangers cannot fill up, TLS whose files are read again when they change, and
// the price of a wrong token.
//
// The invariant: whoever has shown no token holds nothing that somebody who has
// one must wait for. A file that is renewed takes effect without a restart; one
// that cannot be read leaves the one before in use, and the log says so.
//
//	network ──▶ Listener ──▶ TLS ──▶ http.Server ──▶ token? ──▶ handlers
//	              ▲  full: the longest idle goes        │
//	              └────────── ConnState ◀───────────────┤ wrong
//	                                                    ▼
//	ClientTLS ──▶ out: pulls, uplinks               Guesses: later and later
package transport
