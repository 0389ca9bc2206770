// Package journal is what the company knows and judges about its calls beyond
// what the PBX said: whose extension rang, which line was called, what it cost,
// who called for the first time, whom nobody has spoken with, and the figures of
// all that.
//
// The invariant: a verdict is a function of the calls that the journal holds, of
// the rules, and of the time; not of the order in which the calls came to be
// known. A late correction, a restart, a replay and a re-evaluation therefore all
// end in the same journal, and what is kept between two commits is only what
// makes the next verdict cheap. The package is pure: no clock, no I/O.
//
//	Tracker ──▶ records ──▶ Engine.Settle ────────────────────────▶ Outcome ──▶ ONE transaction
//	                          │ Directory: names, lines, E.164       │  records with new revisions,
//	                          │ Tariffs: cost                        │  also of the calls that were healed
//	              Tick ──────▶│ judge: types, missed, healed_by      │  touches, by number and time
//	                          │   ▲                                  │  day totals: what to add, to remove
//	                          ▼   │ touches of the same number       ▼
//	                          Past (what is committed)  ◀────────────┘
//
// # Verdicts
//
// Everything that one call says about another is said between calls with the
// same outside number. Of each call its number's history keeps a Touch: when it
// began, when a person spoke, when the caller left. judge looks at a stretch of
// such a history and gives each touch its Verdict.
//
// Engine does not keep histories, it asks Past for them, and only for as much as
// a change can reach: a call can only change what is said of calls that began
// within reach of it (Rules.reach), and of the next inbound one.
//
// # The worklist
//
// A missed call is always in one of these states; Verdict has it.
//
//	                ┌───────────── an employee tries to call (attempted, a Callback) ──┐
//	                ▼                                                                  │
//	missed ──▶    open    ──────────────────────────────────────────────────────────────
//	                │
//	                ├── next spoken with in a call to the number ──▶ called back
//	                ├── next spoken with in a call from it ────────▶ came back
//	                └── nobody spoke with it within lost_window ───▶ lost
//
// "Next spoken with" is a talk that began after the missed call began: who is
// connected while his other call still waits need not be called back.
//
// # Figures
//
// A record is cut into shares (share.go), one for each group that it counts in:
// the total, its direction, line, source, trunk, queues, and each employee and
// department that had it. Shares are added up in cells, one for each day and
// group; a new revision takes the old shares out and puts the new ones in. Sums,
// counts and the longest are exact; a percentile is rounded to 1/128 (spread.go),
// so that a year is a merge of cells and not a walk over its calls. Figures says
// of every figure by which formula it is made.
package journal
