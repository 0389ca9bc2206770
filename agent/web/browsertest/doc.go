// Package browsertest has no program in it, only the tests of the pages in a real
// browser: what server-side tests cannot see, because it happens in a script, in
// a layout, in a player, or in what a browser refuses.
//
// The invariant: in every test, on every page, a browser has nothing to complain
// of: no error on its console, no violation of the policy, no dialog. A test that
// provokes a complaint says so beforehand.
//
//	office: the whole daemon on a temporary journal      chromium, one for all tests
//	   │  a journal of two weeks, sound and fax files       │  a context of cookies
//	   │  replay.Server as its PBX, played on cue           │  and a tab for each person
//	   └──────────────── http ──────────────────────────────┴──▶ visits, clicks, keys ──▶ what is seen
//
// Pages are taken from web.Site.Pages: one that no test knows is a failure. Every
// page is looked at in each language, light and dark, on a screen and on a
// telephone, and by axe-core, if AXE names its axe.min.js.
//
// Where there is no Chromium, and with -short, the tests are skipped. Nothing
// waits for a time: what must come to be seen is looked for until it is, and a
// test gives up after a minute.
//
//	go test ./agent/web/browsertest -run TestMillion -million -v   how fast, at a million calls
//	go test ./agent/web/browsertest -shots DIR                     pictures of every page
package browsertest
