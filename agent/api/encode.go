package api

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"calljournal/agent/call"
	"calljournal/storage"
)

// A page of the feed is most of what a central server ever asks for, and after a
// long absence it asks for a million records: this writes them without
// reflection, several times as fast as encoding/json. A test with made-up
// records holds it to what encoding/json makes of the same.

// appendPage writes a feedPage.
func appendPage(b []byte, journal, agent string, p *storage.Page) []byte {
	b = text(append(b, `{"journal":`...), journal)
	b = text(append(b, `,"agent":`...), agent)
	b = append(b, `,"entries":[`...)
	for i := range p.Entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendEntry(b, &p.Entries[i])
	}
	b = strconv.AppendUint(append(b, `],"next":`...), p.Next, 10)
	b = strconv.AppendUint(append(b, `,"head":`...), p.Head, 10)
	b = strconv.AppendUint(append(b, `,"oldest":`...), p.Oldest, 10)
	return append(b, "}\n"...)
}

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

// text writes a string as encoding/json does. Most need no escape; the rest is
// left to it.
func text(b []byte, s string) []byte {
	if !harmless(s) {
		return other(b, s)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// harmless says that a string stands for itself in JSON: no quotes, backslashes
// and control characters, none of the letters that HTML or JavaScript would take
// for their own (U+2028 and U+2029 begin with 0xE2), and whole UTF-8.
func harmless(s string) bool {
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			ascii = false
			if c == 0xE2 {
				return false
			}
		case c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == 0x7f:
			return false
		}
	}
	return ascii || utf8.ValidString(s) && !strings.ContainsRune(s, utf8.RuneError)
}

// moment writes what call.Moment.MarshalJSON does.
func moment(b []byte, m call.Moment) []byte {
	if m == 0 {
		return append(b, "null"...)
	}
	t := m.Ms().Time()
	year, month, day := t.Date()
	if year < 1000 || year > 9999 {
		return other(b, m)
	}
	hour, minute, second := t.Clock()
	b = append(b, '"')
	b = strconv.AppendInt(b, int64(year), 10)
	b = two(append(b, '-'), int(month))
	b = two(append(b, '-'), day)
	b = two(append(b, 'T'), hour)
	b = two(append(b, ':'), minute)
	b = two(append(b, ':'), second)
	ms := t.Nanosecond() / 1_000_000
	b = append(b, '.', byte('0'+ms/100))
	b = two(b, ms%100)
	return append(b, 'Z', '"')
}

func two(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }
