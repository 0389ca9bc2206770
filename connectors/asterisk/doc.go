// Package asterisk reads an Asterisk over its manager interface, from version 13
// on, and states what it says as facts (call.Event).
//
// The invariant: a session's facts are LinkUp, then everything that the PBX said
// in its own order, then LinkDown, numbered without a hole. Normalise has no
// memory; what must be known of the PBX beforehand is asked in a survey and
// stated as one Snapshot, and facts that come meanwhile wait behind it.
//
//	PBX ◀─ sign in (MD5) ─ questions, Ping ──────────────┐
//	 │                                                   │
//	 ▼ wire: read, cut, thin, stamp, queue               │
//	door ──▶ parser (amigo) ──▶ session ─┬─ answers ─▶ survey ─▶ LinkUp, PBXStarted, Snapshot
//	                                     ├─ CJ-Gap ──▶ LinkGap, and another survey
//	                                     └─ events ──▶ Normalise ─▶ facts ─▶ emit
//
// A session runs Dial, sign in, Start (reading never stops from here), parser,
// survey, facts; and ends when the line does, with everything that was read taken
// in: wire's CJ-End is the last message that comes out of the parser.
//
// # The survey
//
// CoreSettings, CoreStatus, ListCommands, Ping, QueueStatus, ParkedCalls,
// BridgeList, Status and CoreShowChannels go out in one go. What is denied,
// unknown to this version or not answered in time is done without and becomes a
// warning in Stats. A Snapshot is stated only if Status or CoreShowChannels was
// answered in full: an empty one would say that no call is up. After a loss of
// messages (LinkGap) the survey is taken again, for what was lost may have been
// the end of a call.
//
// # The audit
//
// Every few minutes CoreShowChannels alone is asked for, and facts go on
// meanwhile. A channel that is in the list and not in the facts, or the other way
// round, twice in a row is a loss that nobody told of: it becomes a LinkGap since
// the last list that agreed, and a survey. An audit that agrees states nothing.
//
// # Restart of the PBX
//
// LinkUp.From is the moment at which the PBX's process began, zero if that is not
// certain: CoreStartupTime is local time in the PBX's zone, so it takes the Uptime
// of FullyBooted (read = system) or a PBX on this machine to place it. PBXStarted
// comes before the Snapshot where the Connector itself saw the process change.
//
// # Clocks
//
// At is the PBX's Timestamp, else the arrival (Seen). Facts of our own making
// (LinkUp, Snapshot, LinkGap, LinkDown) are put on the PBX's clock by what its
// answer to Ping said, as long as its events carry stamps.
//
// # Rights
//
// manager.conf needs read = system,call,agent,dialplan and write = reporting. A
// user with read = call,agent works: what it cannot see is the names of files of
// recordings and mailboxes, and restarts only by CoreStatus.
package asterisk
