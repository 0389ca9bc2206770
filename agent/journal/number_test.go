package journal_test

import (
	"strings"
	"testing"

	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/journal/journaltest"
)

func TestOutsideNumber(t *testing.T) {
	d := journal.NewDirectory("RU", nil, nil)
	tests := []struct{ number, want string }{
		{"89161122001", "+79161122001"},
		{"+7 (916) 112-20-01", "+79161122001"},
		{"112", "112"},
		{"(0) 611", "0611"},
		{"anonymous", ""},
		{" Restricted ", ""},
		{"000", ""},
		{"", ""},
		{"alice", "=alice"},
		{"=alice", "==alice"},
		{"?1", "=?1"},
		{"79161122001;ext=2", "=79161122001;ext=2"},
	}
	for _, tt := range tests {
		in := &call.Record{Direction: call.Inbound, From: call.Party{Number: ptr(tt.number)}, To: call.Party{Number: ptr("74951230101")}}
		d.Enrich(in)
		if got := journal.OutsideNumber(in); got != tt.want {
			t.Errorf("from %q: got %q, want %q", tt.number, got, tt.want)
		}
		out := &call.Record{Direction: call.Outbound, From: call.Party{Number: ptr("101"), Extension: ptr("101")}, To: call.Party{Number: ptr(tt.number)}}
		d.Enrich(out)
		if got := journal.OutsideNumber(out); got != tt.want {
			t.Errorf("to %q: got %q, want %q", tt.number, got, tt.want)
		}
		if got := d.Key(tt.number); got != tt.want {
			t.Errorf("Key(%q): got %q, want %q", tt.number, got, tt.want)
		}
	}
	if n := journal.OutsideNumber(&call.Record{Direction: call.Internal, From: call.Party{Number: ptr("101")}}); n != "" {
		t.Errorf("an internal call has the outside number %q", n)
	}
	for _, name := range journaltest.Hostile() {
		n := journal.OutsideNumber(&call.Record{Direction: call.Inbound, From: call.Party{Number: &name}})
		if len(n) > 64 {
			t.Errorf("%.40q: a key of %d bytes", name, len(n))
		}
	}
}

func TestSpamList_Match(t *testing.T) {
	d := journal.NewDirectory("RU", nil, nil)
	file, err := journal.ReadSpamFile(strings.NewReader("\ufeff# of the ministry\n+7 (916) 111-11-11 # this one\r\n\n7800*\n4930\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := journal.NewSpamList(d, []string{"8 495 123-45-67", "alice", "", "anonymous"}, file)
	tests := []struct {
		number string
		by     journal.SpamBy
		digits int
	}{
		{"+79161111111", journal.SpamNumber, 11},
		{"+79161111112", journal.SpamNot, 0},
		{"+78001234567", journal.SpamPrefix, 4},
		{"7800", journal.SpamPrefix, 4},
		{"780", journal.SpamNot, 0},
		{"+493012345", journal.SpamPrefix, 4},
		{"+74951234567", journal.SpamHand, 11},
		{"=alice", journal.SpamHand, 6},
		{"=7800", journal.SpamNot, 0},
		{"?7800", journal.SpamNot, 0},
		{"", journal.SpamNot, 0},
	}
	for _, tt := range tests {
		if by, digits := s.Match(tt.number); by != tt.by || by != journal.SpamHand && digits != tt.digits {
			t.Errorf("%q: got %d by %d digits, want %d by %d", tt.number, by, digits, tt.by, tt.digits)
		}
	}
	if by, _ := (*journal.SpamList)(nil).Match("+78001234567"); by != journal.SpamNot {
		t.Error("no list, and yet spam")
	}
}

func TestReadSpamFile_Refuses(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"7800*\nhello\n", "line 2"},
		{"78*00\n", "line 1"},
		{"*\n", "line 1"},
		{strings.Repeat("7", 5000), "too long"},
	} {
		if _, err := journal.ReadSpamFile(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.20q: %v, want an error with %q", tt.text, err, tt.want)
		}
	}
}

func FuzzOutsideNumber(f *testing.F) {
	for _, n := range append(journaltest.Hostile(), "89161122001", "anonymous", "00", "+") {
		f.Add(n)
	}
	d := journal.NewDirectory("RU", nil, nil)
	f.Fuzz(func(t *testing.T, number string) {
		key := d.Key(number)
		if len(key) > 64 || strings.HasPrefix(key, "?") {
			t.Fatalf("%q became %q", number, key)
		}
		if key != "" && key[0] != '=' && strings.Trim(key, "+0123456789") != "" {
			t.Fatalf("%q became %q", number, key)
		}
	})
}
