// Command pack makes the project's archives of recordings from a set of
// recorded scenarios, each a folder as the recorder wrote it: meta.json,
// expect.json and either stream.ami with times (Asterisk) or all.esl with
// all.times (FreeSWITCH); a stream may be packed with gzip.
//
//	go run ./connectors/replay/internal/pack -from DIR/asterisk -to connectors/replay/testdata/asterisk.tar.zst
//	go run ./connectors/replay/internal/pack -from DIR/freeswitch -to connectors/replay/testdata/freeswitch.tar.zst
//
// Long load runs are left out with -skip; -only makes a small selection, as the
// demo's.
//
// The invariant: the same folders always give the same archive, byte by byte, and
// a scenario that cannot be read whole gives none.
//
//	DIR/name/{meta.json, expect.json, stream, times} ──▶ replay.Packed ──▶ .tar.zst ──▶ replay.OpenArchive
package main
