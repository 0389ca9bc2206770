// Package schedule says when something is due, in the words of a configuration and
// by the clock of a time zone.
//
// The invariant: a Schedule names each moment once, on every day of the year. An
// hour that a clock shows twice in autumn counts once, the first time; a time that
// a clock leaves out in spring comes as long after it as it should have come after
// midnight. The package has no clock: what it says follows from what it is given.
//
//	"daily 08:00"        ─┐                          ┌─▶ Next: the first moment after one
//	"weekly mon,thu 8:00" ├─▶ Parse ──▶ Schedule ────┤
//	"monthly 31 08:00"    │  (29 to 31: the last     └─▶ Latest: the last one that has come
//	"30 7 * * mon-fri"   ─┘   day of a short month)
package schedule
