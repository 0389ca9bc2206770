package api

import (
	"encoding/json"
	"strconv"

	"calljournal/agent/call"
	"calljournal/storage"
)

// Forwarders send what GET /v1/sync shows, entry by entry: this writes one without
// reflection, several times as fast as encoding/json. A test with made-up records
// holds it to what encoding/json makes of the same. (The feed itself is written
// straight from the file: storage.DB.FeedJSON.)

// AppendEntry writes an entry as GET /v1/sync has it.
func AppendEntry(b []byte, e *storage.Entry) []byte {
	b = strconv.AppendUint(append(b, `{"seq":`...), e.Seq, 10)
	b = moment(append(b, `,"at":`...), e.At)
	b = text(append(b, `,"op":`...), e.Op)
	if e.Call != nil {
		b = appendRecord(append(b, `,"call":`...), e.Call)
	}
	if e.Gap != nil {
		b = appendGap(append(b, `,"gap":`...), e.Gap)
	}
	if e.ID != "" {
		b = text(append(b, `,"id":`...), e.ID)
	}
	if e.Into != "" {
		b = text(append(b, `,"into":`...), e.Into)
	}
	return append(b, '}')
}

func appendGap(b []byte, g *call.Gap) []byte {
	b = text(append(b, `{"pbx":`...), g.PBX)
	b = moment(append(b, `,"from":`...), g.From)
	b = moment(append(b, `,"to":`...), g.To)
	b = text(append(b, `,"reason":`...), g.Reason)
	b = strconv.AppendBool(append(b, `,"healed":`...), g.Healed)
	return append(b, '}')
}

func appendRecord(b []byte, r *call.Record) []byte {
	b = text(append(b, `{"id":`...), r.ID)
	b = strconv.AppendUint(append(b, `,"rev":`...), r.Rev, 10)
	b = text(append(b, `,"agent":`...), r.Agent)
	b = text(append(b, `,"pbx":`...), r.PBX)
	b = text(append(b, `,"pbx_kind":`...), r.PBXKind)
	b = list(append(b, `,"pbx_ids":`...), r.PBXIDs, appendText)
	b = text(append(b, `,"direction":`...), r.Direction)
	b = text(append(b, `,"origin":`...), r.Origin)
	b = appendParty(append(b, `,"from":`...), &r.From)
	b = appendParty(append(b, `,"to":`...), &r.To)
	b = orNull(append(b, `,"line":`...), r.Line, appendLine)
	b = orNull(append(b, `,"trunk":`...), r.Trunk, appendText)
	b = text(append(b, `,"status":`...), r.Status)
	b = strconv.AppendBool(append(b, `,"missed":`...), r.Missed)
	b = orNull(append(b, `,"abandoned_in":`...), r.AbandonedIn, appendText)
	b = orNull(append(b, `,"ended_by":`...), r.EndedBy, appendText)
	b = orNull(append(b, `,"cause":`...), r.Cause, appendCause)
	b = moment(append(b, `,"started_at":`...), r.StartedAt)
	b = moment(append(b, `,"pbx_answered_at":`...), r.PBXAnsweredAt)
	b = moment(append(b, `,"ringing_at":`...), r.RingingAt)
	b = moment(append(b, `,"answered_at":`...), r.AnsweredAt)
	b = moment(append(b, `,"ended_at":`...), r.EndedAt)
	b = orNull(append(b, `,"wait_ms":`...), r.WaitMs, appendInt)
	b = orNull(append(b, `,"total_wait_ms":`...), r.TotalWaitMs, appendInt)
	b = orNull(append(b, `,"ivr_ms":`...), r.IVRMs, appendInt)
	b = orNull(append(b, `,"queue_ms":`...), r.QueueMs, appendInt)
	b = orNull(append(b, `,"ring_ms":`...), r.RingMs, appendInt)
	b = orNull(append(b, `,"talk_ms":`...), r.TalkMs, appendInt)
	b = orNull(append(b, `,"hold_ms":`...), r.HoldMs, appendInt)
	b = orNull(append(b, `,"total_ms":`...), r.TotalMs, appendInt)
	b = orNull(append(b, `,"answered_by":`...), r.AnsweredBy, appendText)
	b = orNull(append(b, `,"last_talked_by":`...), r.LastTalkedBy, appendText)
	b = list(append(b, `,"queues":`...), r.Queues, appendText)
	b = list(append(b, `,"legs":`...), r.Legs, appendLeg)
	b = list(append(b, `,"transfers":`...), r.Transfers, appendTransfer)
	b = list(append(b, `,"timeline":`...), r.Timeline, appendSpan)
	b = list(append(b, `,"recordings":`...), r.Recordings, appendRecording)
	b = orNull(append(b, `,"voicemail":`...), r.Voicemail, appendVoicemail)
	b = orNull(append(b, `,"fax":`...), r.Fax, appendFax)
	b = list(append(b, `,"types":`...), r.Types, appendText)
	b = orNull(append(b, `,"healed_by":`...), r.HealedBy, appendText)
	b = orNull(append(b, `,"account":`...), r.Account, appendText)
	b = orNull(append(b, `,"cost":`...), r.Cost, appendCost)
	b = list(append(b, `,"tags":`...), r.Tags, appendText)
	b = text(append(b, `,"quality":`...), r.Quality)
	b = list(append(b, `,"doubts":`...), r.Doubts, appendText)
	return append(b, '}')
}

func appendParty(b []byte, p *call.Party) []byte {
	b = orNull(append(b, `{"number":`...), p.Number, appendText)
	b = orNull(append(b, `,"e164":`...), p.E164, appendText)
	b = orNull(append(b, `,"name":`...), p.Name, appendText)
	b = orNull(append(b, `,"extension":`...), p.Extension, appendText)
	b = orNull(append(b, `,"employee":`...), p.Employee, appendText)
	b = orNull(append(b, `,"department":`...), p.Department, appendText)
	return append(b, '}')
}

func appendLine(b []byte, l *call.Line) []byte {
	b = text(append(b, `{"number":`...), l.Number)
	b = orNull(append(b, `,"name":`...), l.Name, appendText)
	b = orNull(append(b, `,"source":`...), l.Source, appendText)
	return append(b, '}')
}

func appendLeg(b []byte, l *call.Leg) []byte {
	b = text(append(b, `{"channel":`...), l.Channel)
	b = orNull(append(b, `,"number":`...), l.Number, appendText)
	b = orNull(append(b, `,"extension":`...), l.Extension, appendText)
	b = orNull(append(b, `,"employee":`...), l.Employee, appendText)
	b = orNull(append(b, `,"department":`...), l.Department, appendText)
	b = text(append(b, `,"role":`...), l.Role)
	b = orNull(append(b, `,"queue":`...), l.Queue, appendText)
	b = moment(append(b, `,"started_at":`...), l.StartedAt)
	b = moment(append(b, `,"ringing_at":`...), l.RingingAt)
	b = moment(append(b, `,"answered_at":`...), l.AnsweredAt)
	b = moment(append(b, `,"ended_at":`...), l.EndedAt)
	b = orNull(append(b, `,"ring_ms":`...), l.RingMs, appendInt)
	b = orNull(append(b, `,"talk_ms":`...), l.TalkMs, appendInt)
	b = text(append(b, `,"result":`...), l.Result)
	b = orNull(append(b, `,"cause":`...), l.Cause, appendCause)
	return append(b, '}')
}

func appendTransfer(b []byte, t *call.Transfer) []byte {
	b = text(append(b, `{"type":`...), t.Type)
	b = orNull(append(b, `,"by":`...), t.By, appendText)
	b = orNull(append(b, `,"to":`...), t.To, appendText)
	b = moment(append(b, `,"at":`...), t.At)
	b = orNull(append(b, `,"answered":`...), t.Answered, appendBool)
	return append(b, '}')
}

func appendSpan(b []byte, s *call.Span) []byte {
	b = text(append(b, `{"kind":`...), s.Kind)
	b = moment(append(b, `,"from":`...), s.From)
	b = moment(append(b, `,"to":`...), s.To)
	b = orNull(append(b, `,"party":`...), s.Party, appendText)
	return append(b, '}')
}

func appendRecording(b []byte, r *call.Recording) []byte {
	b = orNull(append(b, `{"file":`...), r.File, appendText)
	b = moment(append(b, `,"started_at":`...), r.StartedAt)
	b = orNull(append(b, `,"duration_ms":`...), r.DurationMs, appendInt)
	b = orNull(append(b, `,"size":`...), r.Size, appendInt)
	b = strconv.AppendBool(append(b, `,"available":`...), r.Available)
	return append(b, '}')
}

// The rest is rare: encoding/json is fast enough for it, and cannot fail on it.

func appendCause(b []byte, c *call.Cause) []byte              { return other(b, c) }
func appendVoicemail(b []byte, v *call.VoicemailEntry) []byte { return other(b, v) }
func appendFax(b []byte, f *call.FaxEntry) []byte             { return other(b, f) }
func appendCost(b []byte, c *call.Cost) []byte                { return other(b, c) }

func other(b []byte, v any) []byte {
	j, err := json.Marshal(v)
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, j...)
}

func appendText(b []byte, s *string) []byte { return text(b, *s) }
func appendInt(b []byte, n *int64) []byte   { return strconv.AppendInt(b, *n, 10) }
func appendBool(b []byte, v *bool) []byte   { return strconv.AppendBool(b, *v) }

func orNull[T any](b []byte, v *T, write func([]byte, *T) []byte) []byte {
	if v == nil {
		return append(b, "null"...)
	}
	return write(b, v)
}

func list[T any](b []byte, items []T, write func([]byte, *T) []byte) []byte {
	if items == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = write(b, &items[i])
	}
	return append(b, ']')
}

func text(b []byte, s string) []byte        { return call.AppendText(b, s) }
func moment(b []byte, m call.Moment) []byte { return m.AppendJSON(b) }
