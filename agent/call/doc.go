// Package call is the domain: what a PBX states about channels (Event), what
// people understand as a call (Record), and how the one becomes the other
// (Tracker). It imports nothing but the standard library and has no clock, no
// I/O and no goroutine.
//
// The invariant: a record is a function of the facts that were kept for its
// call, and of nothing else. So the same facts give the same record on any
// machine, in a test, after a restart in the middle of the call, and when a
// technician replays a capture; and the facts are all that must be stored to go
// on.
//
//	Event ──▶ Tracker.Apply                                    tracker.go, link.go
//	            │  which call is this leg in? ties make calls one:
//	            │  made for, dials, half of a pair, in one bridge, transfers, picks up
//	            │  (not: in a conference; served by an agent on the line, agents.go)
//	            ▼
//	          held{facts}  ── last leg ended ──▶ conclude      conclude.go
//	                                                │
//	       1. story: what each leg went through     │          story.go
//	       2. listen: who heard whom, as a graph    │          talk.go
//	          of legs and bridges over time         │
//	       3. view: the caller's time, and from it  ▼
//	          parties, times, outcome, transfers  Record       outcome.go, details.go
//	       4. doubts: facts that are missing, a                lost.go, clock.go
//	          clock that was set
//
//	rows of the PBX's own records ──▶ Tracker.Heal ──▶ facts of calls that were
//	                                  not seen whole ──▶ conclude, once more     heal.go, report.go
//
// # Why the facts are kept and the conclusions are not
//
// A PBX states things late, twice, and out of order: who was transferred comes
// after the bridge has changed, who hung up comes before or after who was
// joined. A state machine that concludes at once has to take conclusions back.
// Here nothing is concluded before the call is over (or looked at live), and
// then with everything known that will ever be known. A fact that comes later
// still makes a new revision.
//
// # To add a PBX
//
// Write a connector that states facts (connectors). If it knows a thing that no
// Kind can say, add the Kind to event.go and give it its meaning in story.read,
// floor.apply or story.spans. Nothing here may ask which PBX it is.
package call
