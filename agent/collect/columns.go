package collect

import (
	"encoding/json"
	"strings"
)

// column is a column of calls and what of the record r it holds.
type column struct{ name, value string }

// columns are those that putCalls fills beside agent, journal, id, rev, seq and
// raw. schema has their types.
func columns() []column {
	text := func(path ...string) string {
		if len(path) == 1 {
			return "r->>'" + path[0] + "'"
		}
		return "r->'" + path[0] + "'->>'" + path[1] + "'"
	}
	list := func(name string) string {
		return "CASE WHEN jsonb_typeof(r->'" + name + "') = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(r->'" + name + "')) END"
	}
	var out []column
	add := func(name, value string) { out = append(out, column{name, value}) }
	plain := func(cast string, names ...string) {
		for _, n := range names {
			add(n, "("+text(n)+")"+cast)
		}
	}
	plain("", "pbx", "pbx_kind", "direction", "origin", "trunk", "status", "abandoned_in", "ended_by", "answered_by", "last_talked_by", "healed_by", "account", "quality")
	plain("::boolean", "missed")
	plain("::timestamptz", "started_at", "pbx_answered_at", "ringing_at", "answered_at", "ended_at")
	plain("::bigint", "wait_ms", "total_wait_ms", "ivr_ms", "queue_ms", "ring_ms", "talk_ms", "hold_ms", "total_ms")
	for _, side := range []string{"from", "to"} {
		for _, n := range []string{"number", "e164", "name", "extension", "employee", "department"} {
			add(side+"_"+n, text(side, n))
		}
	}
	for _, n := range []string{"number", "name", "source"} {
		add("line_"+n, text("line", n))
	}
	add("cause_q850", "("+text("cause", "q850")+")::integer")
	add("cause_text", text("cause", "text"))
	add("cause_sip", "("+text("cause", "sip")+")::integer")
	add("voicemail_mailbox", text("voicemail", "mailbox"))
	add("fax_direction", text("fax", "direction"))
	add("fax_pages", "("+text("fax", "pages")+")::bigint")
	add("fax_result", text("fax", "result"))
	add("cost_amount", "("+text("cost", "amount")+")::numeric")
	add("cost_currency", text("cost", "currency"))
	add("cost_billed_ms", "("+text("cost", "billed_ms")+")::bigint")
	for _, n := range []string{"pbx_ids", "queues", "types", "tags", "doubts"} {
		add(n, list(n))
	}
	return out
}

// putCalls stores calls: one that is there already only in a greater revision, or
// in the same one of a new journal; one that was deleted later not at all. OFFSET 0
// keeps the planner from parsing a record anew for each of its columns.
var putCalls = func() string {
	names := []string{"rev", "journal", "seq", "raw"}
	values := []string{"rev", "$2", "seq", "r"}
	for _, c := range columns() {
		names, values = append(names, c.name), append(values, c.value)
	}
	sets := []string{"stored_at = now()"}
	for _, n := range names {
		sets = append(sets, n+" = excluded."+n)
	}
	return `
	INSERT INTO calls (agent, id, ` + strings.Join(names, ", ") + `)
	SELECT $1, id, ` + strings.Join(values, ", ") + `
	FROM (SELECT id, rev, seq, text::jsonb AS r FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::text[]) AS t(id, rev, seq, text) OFFSET 0) AS e
	WHERE NOT EXISTS (SELECT FROM deleted d WHERE d.agent = $1 AND d.id = e.id AND d.journal = $2 AND d.seq > e.seq)
	ON CONFLICT (agent, id) DO UPDATE SET ` + strings.Join(sets, ", ") + `
	WHERE calls.rev < excluded.rev OR calls.rev = excluded.rev AND calls.journal <> excluded.journal`
}()

// gapKey is what makes two words on a gap one gap.
func gapKey(gap json.RawMessage) string {
	var g struct{ PBX, From string }
	_ = json.Unmarshal(gap, &g) // what is no gap, the database refuses
	return g.PBX + "\x00" + g.From
}
