// Package web is the journal for people: sign-in, and pages on a screen or a
// telephone.
//
// The invariant: a page shows what the HTTP interface gives to who looks at it,
// and nothing else, because that is where it asks. So a role, a mask and the note
// of who read what hold here without a word about them. What comes from outside,
// names above all, reaches a page as text only: html/template writes it, no script
// makes markup of it, and the policy that goes with each page lets no script run
// but those of assets.
//
//	browser ──▶ address ──▶ session ──▶ visit ──▶ page func ──▶ api.Client, as the user
//	   ▲                                             │ data
//	   └── templates/layout.html + templates/PAGE.html, once for each language
//	   └── assets: style, script, named by what is in them, kept for ever
//	   └── /changes: a hint that what is shown is old
//
// Without a script every page works: filters are forms, pages are links. The
// script (assets/page.js, htmx) only saves the whole page from being loaded again.
// Charts are SVG from the server (chart.go), and each number of the statistics is a
// link to the calls that it counts (figures.go).
//
// A page is one file here with its func, one in templates, and its words in
// lang/en and lang/ru.
package web
