// Package doctor looks at an installation and says what is wrong with it, each
// finding with what to change.
//
// The invariant: it changes nothing. It signs in to each PBX beside the daemon,
// as the daemon would, and hangs up; it writes one file into the journal's folder
// to time the disk, and takes it away again.
//
//	configuration ──▶ what Load refuses and warns of ─────────┐
//	each [[pbx]]  ──▶ connector, one short session ───────────┤
//	folders, disk, clock, unit, manager.conf of this machine ─┼──▶ []Finding
//	[http], [[forward]], [uplink] ──▶ certificates, reach ────┤
//	[mail] ──▶ encryption, sign-in; nothing is sent ──────────┤
//	daemon, or its journal ──▶ status, or Check ──────────────┘
//
// A check is a method of examination that adds findings; Examine lists them. One
// that cannot tell adds Unknown and why: silence would look like health.
package doctor
