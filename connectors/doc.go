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
package connectors
