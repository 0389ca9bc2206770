// Package link is what a connector does whatever its PBX speaks: it dials, keeps
// the counters and the standing advice, words the errors that every protocol has,
// and numbers the facts on their way out.
//
// The invariant: the facts of a Session carry its number and a Seq without holes
// from 1, each is counted in Stats, and Roll holds what they said of the legs; for
// they leave by Send alone.
//
//	             Config
//	               │
//	connector ──▶ Link ──Dial──▶ wire.Line ──┐
//	               │ Stats, Warn, Fail       ├──▶ Session ──Send──▶ Roll, Seq ──▶ emit
//	               └──Reread◀── wire.Chunk ──┘
//	                            (a recording)
//
// What is said on the line, how it becomes facts, when a survey or an audit is
// asked and what it means is the connector's. A Session without a Line is a
// recorded one: it is as late as its last message.
package link
