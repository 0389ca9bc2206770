// Command calljournal keeps an honest record of every call that an Asterisk or
// FreeSWITCH carried. One file per verb; what a verb does lies in the packages.
//
// The invariant: an exit code means one thing for every verb (see the codes
// below), what a program reads goes to standard output, what a person reads
// about an error goes to standard error and ends with the next thing to try.
//
//	run, demo ──────────────▶ agent.New, Run
//	collect ────────────────▶ collect.New, Run: the centre
//	status, calls, show ────▶ api.Client ──control socket──▶ the running daemon
//	replay ─────────────────▶ wire ▶ connector's rules ▶ Tracker ▶ records, no daemon
//	backup, check, compact ─▶ the daemon, or storage when none runs
//	service ────────────────▶ systemd, launchd, Windows' services
package main
