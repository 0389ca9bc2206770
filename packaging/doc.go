// Package packaging holds the files that are installed with the program, so that
// `calljournal service install` and the deb and rpm packages use the same text.
//
// The invariant: what lies here works as it is. The example configuration parses
// and states the defaults, the unit keeps its hardening; tests hold both.
//
//	calljournal.service ──▶ embed ──▶ calljournal service install
//	calljournal.toml    ──▶ embed ──▶ calljournal setup: the configuration
//	pbx/*               ──▶ embed ──▶ calljournal setup: what lets it in; manual
//	      └──────────────────────────▶ deb, rpm
package packaging
