// Package capture keeps what a link to a PBX heard in files, so that a report
// from the field can be looked at, and become a test, somewhere else.
//
// The invariant: a file holds what came after the sign-in and nothing of it, each
// message whole and with the moment of its arrival; every entry can be read by
// itself, so that what is hurt or cut off costs no more than itself; and of a
// masked file every word and number that is not known to be the PBX's own has
// been replaced, the same one always by the same.
//
//	connector ──▶ wire.Tap ──▶ Writer: cut into messages ──▶ Mask ──▶ FILE, FILE.1, FILE.2 …
//	                                                                   │
//	connector.Reread ◀── wire.Chunk ◀── Reader: found again ◀──────────┘
//
// # The format, version 1
//
// A file is text as far as the PBX's own messages are: look at it before you
// send it. The first line names the format and describes the link as JSON
// (Header). Then come entries:
//
//	calljournal-capture/1 {"kind":"asterisk","pbx":"main","id":"4QJ7…","part":1,…}
//	began 1763861234567890 0 5f1c2a90
//
//	heard 1763861234600123 131 c30f7a1e
//	Event: Newchannel
//	…
//
// An entry is a line "KIND SEEN BYTES CRC", that many bytes, and a line feed.
// SEEN is when its last byte arrived, in microseconds of the Unix epoch. CRC is
// the CRC-32C, in hexadecimal, of the line up to the blank before it and of the
// bytes. A reader that finds an entry hurt goes on at the next line that begins a
// good one.
//
//	began     a session; "continued" in a file that begins inside one
//	heard     a message of the PBX, whole, as it came
//	asked     a survey or an audit of the PBX begins; the connector's own mark
//	answered  FreeSWITCH only: a question, a line feed, and its answer
//	surveyed  FreeSWITCH only: all that was to be asked has been; why not all
//	lost      a number of bytes that came and are not in the file
//	ended     of a session, and why
//
// A file that has reached its size is renamed to FILE.1, FILE.1 to FILE.2, and
// so on; the oldest is dropped. Each of them can be read alone: calls that were
// in progress where it begins have the doubt start_unseen.
//
// # Masks
//
// See Mask. What is masked is thinned first: only headers that a rule reads are
// kept, and what of the stream was no whole message is left out.
//
// # A report from the field becomes a test
//
//  1. calljournal capture --pbx main --out report.cap --mask --for 10m
//  2. calljournal replay report.cap --json, and see that the fault is in it
//  3. correct by hand what the records should be, and keep that as want.json
//  4. put both into agent/testdata/field/NAME/ as capture and want.json
//  5. go test ./agent -run TestField
package capture
