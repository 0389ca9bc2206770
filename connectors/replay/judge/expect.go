package judge

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// Expect is what a journal must say of one recording.
type Expect struct {
	Scenario  string             `json:"scenario"`
	What      string             `json:"what"`
	Kind      string             `json:"pbx_kind"`
	Tolerance map[string]float64 `json:"tolerance_ms"`
	Gap       bool               `json:"gap"` // the feed must hold a gap
	Calls     []Call             `json:"calls"`
	ZeroMs    float64            `json:"zero_ms"` // where in the recording the calls' start_ms counts from
}

// Call is one call as it must be recorded, by the names of its fields. What is
// not there does not matter.
type Call map[string]any

// Read reads an expect.json.
func Read(data []byte) (*Expect, error) {
	var e Expect
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("read what is expected: %w", err)
	}
	return &e, nil
}

// Record is a call record decoded from JSON.
type Record map[string]any

// Records gives records, of whatever Go type, as their readers get them.
func Records[T any](records []T) ([]Record, error) {
	out := make([]Record, 0, len(records))
	for _, r := range records {
		data, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("encode a record: %w", err)
		}
		var m Record
		if err := json.Unmarshal(data, &m); err != nil {
			return nil, fmt.Errorf("decode a record: %w", err)
		}
		out = append(out, m)
	}
	return out, nil
}

// aside are the fields of a Call that say how to judge, not what must be there.
var aside = map[string]bool{"note": true, "optional": true, "partial": true, "start_ms": true, "tolerance_ms": true, "not_scored": true, "may_be_open": true}

func (c Call) is(name string) bool { b, _ := c[name].(bool); return b }

func (c Call) number(name string) float64 { f, _ := c[name].(float64); return f }

// span is from when to when in the recording the call was there.
func (c Call) span(zero float64) (from, to float64) {
	total := math.Inf(-1)
	for _, v := range choices(c["total_ms"]) {
		if f, ok := v.(float64); ok {
			total = max(total, f)
		}
	}
	if math.IsInf(total, -1) {
		total = 1e9
	}
	from = zero + c.number("start_ms")
	return from, from + total
}

func (c Call) title() string {
	var w []string
	for _, f := range []string{"direction", "from", "to"} {
		w = append(w, text(choices(c[f])[0]))
	}
	return w[0] + " " + w[1] + " -> " + w[2]
}

// choices gives what is accepted where want is wanted.
func choices(want any) []any {
	if m, ok := want.(map[string]any); ok && len(m) == 1 {
		if any, ok := m["any"].([]any); ok && len(any) > 0 {
			return any
		}
	}
	return []any{want}
}

// text is a value without quotes, for titles and for comparing digits.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return v
	default:
		return show(v)
	}
}

func show(v any) string {
	if v == absent {
		return "absent"
	}
	if c := choices(v); len(c) > 1 {
		var w []string
		for _, x := range c {
			w = append(w, show(x))
		}
		return strings.Join(w, " or ")
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
