// Package connectors says what the agent wants of a PBX: facts in order, and an
// honest word about every stretch of time in which there were none.
//
// The invariant: between LinkUp and the end of Run, every message that the PBX
// sent was either stated as facts, or dropped because no rule needs it, or is
// inside a LinkGap.
//
//	wire ──▶ asterisk ───┐
//	wire ──▶ freeswitch ─┼──▶ Connector.Run ──▶ emit(call.Event)
//	replay ──▶ wire ─────┘
//
// # To add a PBX
//
// The protocol, here: a wire.Framer that cuts its stream into messages and thins
// them; a package beside asterisk and freeswitch, on link, that signs in, surveys
// what is up, audits it, states facts, takes a recorded stream (Reread) and reads
// the PBX's own records (Records); in capture, what to mask of it; in replay, a
// server of it, for the tests.
//
// The product, in agent: its kind in config and in agent/connect.go; what setup
// finds and writes, and what doctor advises. A thing that no kind of fact can say
// is a matter of agent/call, whose doc.go says where it goes.
package connectors
