// Package wire owns the socket to a PBX, so that nothing else can make the PBX
// wait and nothing that it sends can hurt what reads it.
//
// The protocol packages (amigo, go-eventsocket) parse well enough, but lose what
// follows a login in the same segment, block on their channels, leak, collapse
// repeated headers, and end the process on a strange frame. So they get a
// loopback connection on which only messages arrive that they can read.
//
// The invariant: the goroutine that reads waits for nothing but the socket, and
// every whole message that came is either passed on in its order, or counted as
// thinned, malformed or lost; a loss is also stated in band, in its place.
//
//	            Line                                              Door
//	PBX ─────▶ read ──▶ Framer ──▶ queue ──▶ Pump ──▶ 127.0.0.1 ──▶ package ──▶ connector
//	TCP, TLS    │       cuts, limits, 64 MiB,                one connection,
//	    ▲       │       thins, stamps losses counted         one-time secret
//	    │       └─▶ Recorder (as it came, bounded)
//	  Send ◀── sign-in, questions, Ping on an idle line
//
// A session:
//
//	Dial ─ NewLine ─ ReadLine/Send (sign in) ─ Start ─ OpenDoor ─ Admit ─ Pump
//	  … the line ends: Pump writes what is left, then the framer's End …
//	the connector sees End: all is drained ─ close the door's side ─ Close
//
// The package's side is ended only by closing ours, after it has drained: that
// is the one way in which neither package loses anything or leaks.
//
// # Names that wire puts in
//
// A kept message carries CJ-Seen, the microsecond of the Unix epoch at which its
// last byte arrived. Two messages are wire's own: CJ-Gap (CJ-From, CJ-To,
// CJ-Count, CJ-Reason) for messages that found no room, and CJ-End, the last of
// a session. Nothing that begins with CJ- is taken from a PBX. Of AMI, the second
// and further headers of one name arrive as Name#2, Name#3, and so on; an event
// socket sends several values as a list, and a list they stay. It has one more
// message of wire's own: CJ-Goodbye, when FreeSWITCH says that it will close.
package wire
