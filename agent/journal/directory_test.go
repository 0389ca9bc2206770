package journal_test

import (
	"strings"
	"testing"

	"calljournal/agent/call"
	"calljournal/agent/journal"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func ptr(s string) *string { return &s }

func str(p *string) string {
	if p == nil {
		return "null"
	}
	return *p
}

func directory() *journal.Directory {
	return journal.NewDirectory("RU",
		[]journal.Employee{{"101", "Анна Петрова", "Продажи"}, {"102", "Олег", ""}},
		[]journal.Line{{"+7 (495) 123-01-01", "Сайт", "yandex-direct"}, {"84951230102", "Карты", ""}})
}

func TestDirectory_Lists(t *testing.T) {
	d := directory()
	if diff := cmp.Diff([]journal.Employee{{"101", "Анна Петрова", "Продажи"}, {"102", "Олег", ""}}, d.Employees()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]journal.Line{{"+7 (495) 123-01-01", "Сайт", "yandex-direct"}, {"84951230102", "Карты", ""}}, d.Lines()); diff != "" {
		t.Error(diff)
	}
}

func TestDirectory_E164(t *testing.T) {
	tests := []struct{ country, number, want string }{
		{"RU", "79161122001", "+79161122001"},
		{"RU", "89161122001", "+79161122001"},
		{"RU", "9161122001", "+79161122001"},
		{"RU", "+79161122001", "+79161122001"},
		{"RU", "8 (916) 112-20-01", "+79161122001"},
		{"RU", "+493012345678", "+493012345678"},
		{"RU", "810493012345678", "+493012345678"},
		{"DE", "03012345678", "+493012345678"},
		{"", "+79161122001", "+79161122001"},
		{"", "79161122001", "null"}, // whose country is that?
		{"RU", "101", "null"},
		{"RU", "anonymous", "null"},
		{"RU", "8916MANAGER", "null"},
		{"RU", "", "null"},
		{"RU", "s", "null"},
		{"RU", "00000000000", "null"},
		{"RU", strings.Repeat("7", 65536), "null"},
		{"RU", "79161122001\r\nAction: Logoff", "null"},
		{"RU", "+7916112200\xff", "null"},
	}
	for _, tt := range tests {
		d := journal.NewDirectory(tt.country, nil, nil)
		if got := str(d.E164(tt.number)); got != tt.want {
			t.Errorf("%s %.40q: got %s, want %s", tt.country, tt.number, got, tt.want)
		}
	}
}

func TestDirectory_National(t *testing.T) {
	for _, tt := range [][3]string{
		{"RU", "8 916 112-20-01", "9161122001"}, {"RU", "+79161122001", "9161122001"}, {"RU", "9161122001", "9161122001"},
		{"RU", "+49 30 901820", "30901820"}, {"DE", "030 901820", "30901820"}, {"IT", "06 6982", "066982"},
		{"RU", "101", "null"}, {"RU", "8916", "null"}, {"", "89161122001", "null"}, {"RU", "anonymous", "null"},
	} {
		if got := str(journal.NewDirectory(tt[0], nil, nil).National(tt[1])); got != tt[2] {
			t.Errorf("%s %s: got %s, want %s", tt[0], tt[1], got, tt[2])
		}
	}
}

func TestDirectory_Enrich(t *testing.T) {
	r := call.Record{
		Direction: call.Inbound,
		From:      call.Party{Number: ptr("89161122001")},
		To:        call.Party{Number: ptr("74951230101")},
		Line:      &call.Line{Number: "74951230101"},
		Legs: []call.Leg{
			{Number: ptr("101"), Extension: ptr("101")},
			{Number: ptr("102"), Extension: ptr("102")},
			{Number: ptr("103"), Extension: ptr("103")},
			{Number: ptr("79161122001")},
		},
	}
	directory().Enrich(&r)
	if str(r.From.E164) != "+79161122001" || str(r.To.E164) != "+74951230101" {
		t.Errorf("e164: from %s, to %s", str(r.From.E164), str(r.To.E164))
	}
	if str(r.From.Employee) != "null" {
		t.Errorf("an outside caller is no employee: %s", str(r.From.Employee))
	}
	if str(r.Line.Name) != "Сайт" || str(r.Line.Source) != "yandex-direct" {
		t.Errorf("line: %s, %s", str(r.Line.Name), str(r.Line.Source))
	}
	want := [][2]string{{"Анна Петрова", "Продажи"}, {"Олег", "null"}, {"null", "null"}, {"null", "null"}}
	for i, l := range r.Legs {
		if got := [2]string{str(l.Employee), str(l.Department)}; got != want[i] {
			t.Errorf("leg %d: got %v, want %v", i, got, want[i])
		}
	}
}

func TestDirectory_LineByTheNumberAskedFor(t *testing.T) {
	r := call.Record{Direction: call.Inbound, To: call.Party{Number: ptr("74951230102")}}
	directory().Enrich(&r)
	if r.Line == nil || r.Line.Number != "74951230102" || str(r.Line.Name) != "Карты" || r.Line.Source != nil {
		t.Errorf("line: %+v", r.Line)
	}
	for _, none := range []call.Record{
		{Direction: call.Inbound, To: call.Party{Number: ptr("74951239999")}},
		{Direction: call.Outbound, To: call.Party{Number: ptr("74951230102")}},
		{Direction: call.Inbound},
	} {
		directory().Enrich(&none)
		if none.Line != nil {
			t.Errorf("%s call to %s: line %+v out of nothing", none.Direction, str(none.To.Number), none.Line)
		}
	}
}

func TestDirectory_EmployeeCallsOut(t *testing.T) {
	r := call.Record{Direction: call.Outbound, From: call.Party{Number: ptr("101"), Extension: ptr("101")}, To: call.Party{Number: ptr("9161122001")}}
	directory().Enrich(&r)
	if str(r.From.Employee) != "Анна Петрова" || r.From.E164 != nil || str(r.To.E164) != "+79161122001" {
		t.Errorf("from %s (%s), to %s", str(r.From.Employee), str(r.From.E164), str(r.To.E164))
	}
}

// Whatever a number looks like, Enrich does not fail, does not invent, and the
// second time changes nothing.
func TestDirectory_EnrichTwice(t *testing.T) {
	d := directory()
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.String(), rapid.StringMatching(`[+]?[78]?[0-9 ()-]{0,14}`), rapid.SampledFrom([]string{"101", "102", "74951230101"}))
		party := func(name string) call.Party {
			n := number.Draw(t, name)
			p := call.Party{Number: &n}
			if len(n) < 4 {
				p.Extension = &n
			}
			return p
		}
		once := call.Record{Direction: rapid.SampledFrom([]string{call.Inbound, call.Outbound}).Draw(t, "direction"), From: party("from"), To: party("to")}
		d.Enrich(&once)
		twice := once
		if once.Line != nil {
			l := *once.Line
			twice.Line = &l
		}
		d.Enrich(&twice)
		if diff := cmp.Diff(once, twice); diff != "" {
			t.Fatalf("the second time differs: %s", diff)
		}
		for _, p := range []call.Party{once.From, once.To} {
			if p.E164 != nil && ((*p.E164)[0] != '+' || len(*p.E164) > 16) {
				t.Fatalf("%q became %q", *p.Number, *p.E164)
			}
		}
	})
}
