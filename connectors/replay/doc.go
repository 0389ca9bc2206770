// Package replay is a PBX made of a recording: it says over the real protocol
// what a real PBX said during real calls, at the pace at which it said it, and
// answers questions about its channels as that PBX would have answered then.
// The demo runs on it, and the tests that need a PBX.
//
// The invariant: everybody who is subscribed gets every message of the
// recording from that moment on, whole, in order and once; only the stamps, and
// if asked the numbers, are moved.
//
//	archive (tar.zst) ──▶ Recording ──▶ Messages ──┐ paced
//	                                               ▼
//	client ──▶ login, queries ──▶ Server ──▶ state of that moment ──▶ client
//
// # The recordings
//
// testdata holds all of them, demo the few that the program carries with it.
// Each is a folder in the archive: stream (the bytes), times (when they came),
// meta.json (when and over which connections), expect.json (what the SIP wire
// said meanwhile, for package judge), cdr.csv (what the PBX itself wrote of the
// calls; only for the tests of healing). internal/pack makes the archives from
// folders as the recorder writes them, and says how.
package replay
