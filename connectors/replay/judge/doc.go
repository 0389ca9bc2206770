// Package judge compares the records of a journal with what was measured on the
// SIP wire while a recording was made. It is test support: nothing of the
// product imports it.
//
// The invariant: a verdict looks at records only as JSON, as the outside gets
// them, and never at how they came about.
//
//	expect.json ──▶ Expect ──┐
//	                         ├─ pair by parties and order ──▶ field by field ──▶ Verdict
//	records (JSON) ──────────┘                                sound in itself
//
// A wanted value {"any": [...]} accepts each member; a field that is not
// wanted is not looked at; an "optional" call may be missing; a call marked
// "partial", or touched by a Blind, is judged by its times only if its record
// says that it is complete.
package judge
