// Package freeswitch speaks the event socket of FreeSWITCH and states what it
// says as facts.
//
// The invariant: a fact is made of one event alone, and of nothing that the
// events before it said. What FreeSWITCH lets one know only from several events
// is left to the tracker.
//
//	                     one socket
//	FreeSWITCH ──events──▶ wire.ESL ──thinned──▶ go-eventsocket ──▶ Normalise ──▶ facts
//	     ▲                                                              │ HEARTBEAT: sessions
//	     │               another socket, when there is something to ask │ that no event told of
//	     └── show channels, uuid_dump ◀── survey ◀──────────────────────┘
//	                                        └──▶ Snapshot
//
// Events and questions have a socket each: a question blocks FreeSWITCH's
// thread for the connection that asks it, and events would queue up behind.
//
// Every few minutes, and when HEARTBEAT counts fewer channels than we do, the
// list is asked for while events go on: what differs twice in a row was lost
// (audit.go). An audit that agrees states nothing.
//
// # What FreeSWITCH must allow
//
// Either the event socket's own password (auth), or, better, a directory user
// (userauth) who may hear the events of Needed and ask "show", "status",
// "uuid_dump", "uuid_exists" and "global_getvar" (esl-allowed-events,
// esl-allowed-api) and nothing else.
package freeswitch
