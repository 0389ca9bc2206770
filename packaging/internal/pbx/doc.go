// Command pbx plays recorded calls on loopback as an Asterisk, without end, for
// the check of the packages: there the program under test is the packaged one,
// and needs a PBX beside it.
//
// The invariant: it says where it listens, on one line, before anybody can need
// it.
//
//	recordings ──▶ replay.Loop ──▶ replay.Listen ──▶ 127.0.0.1:PORT, printed
package main
