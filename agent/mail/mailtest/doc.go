// Package mailtest is a mail server for tests: a real one, with TLS and sign-in,
// on loopback, that can be told to refuse, to be slow and to die.
//
// The invariant: what Mails gives is what a server has taken responsibility for,
// also where it died before it could say so; nothing in it was cut short.
//
//	client ──▶ listener ──▶ (slow) ──▶ (TLS) ──▶ go-smtp ──▶ session ──▶ Fate ──▶ Mails
//	             └── or Mute, Endless: no mail server at all
package mailtest
