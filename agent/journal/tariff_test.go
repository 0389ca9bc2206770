package journal_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/journal"

	"pgregory.net/rapid"
)

func outboundOf(number string, talk time.Duration) *call.Record {
	r := talked("a", call.Outbound, 0).record()
	r.To.Number = &number
	r.EndedAt = r.AnsweredAt.Add(talk)
	return r
}

func costs(c *call.Cost) string {
	if c == nil {
		return "none"
	}
	return fmt.Sprintf("%s %s for %d by %s", c.Amount, c.Currency, c.BilledMs, c.Prefix)
}

func TestTariffs_Cost(t *testing.T) {
	tariffs, err := journal.NewTariffs([]journal.Tariff{
		{Prefix: "7", PerMinute: "0.90", Currency: "RUB", Step: time.Minute},
		{Prefix: "79", PerMinute: "1.80", Currency: "RUB", Step: time.Minute, Free: 3 * time.Second},
		{Prefix: "791", PerMinute: "2", Currency: "RUB", Step: time.Second},
		{Prefix: "49", PerMinute: "0.0125", Currency: "EUR", Step: 6 * time.Second},
		{Prefix: "1", PerMinute: "123456789.123456", Currency: "USD", Step: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		number string
		talk   time.Duration
		want   string
	}{
		{"79261112233", 3 * time.Second, "0.00 RUB for 0 by 79"},
		{"79261112233", 3001 * time.Millisecond, "1.80 RUB for 60000 by 79"},
		{"79261112233", time.Minute, "1.80 RUB for 60000 by 79"},
		{"79261112233", time.Minute + 1*time.Millisecond, "3.60 RUB for 120000 by 79"},
		{"79161112233", 10 * time.Second, "0.33 RUB for 10000 by 791"},
		{"79161112233", 15 * time.Second, "0.50 RUB for 15000 by 791"},
		{"79161112233", 150 * time.Millisecond, "0.03 RUB for 1000 by 791"},
		{"74951112233", 0, "0.00 RUB for 0 by 7"},
		{"74951112233", time.Hour, "54.00 RUB for 3600000 by 7"},
		{"+493012345678", 7 * time.Second, "0.0025 EUR for 12000 by 49"},
		{"12125550100", 1000 * time.Hour, "7407407347407.360000 USD for 3600000000 by 1"},
		{"33123456789", time.Minute, "none"},
		{"s", time.Minute, "none"},
	}
	for _, tt := range tests {
		if got := costs(tariffs.Cost(outboundOf(tt.number, tt.talk))); got != tt.want {
			t.Errorf("%s for %s: got %s, want %s", tt.number, tt.talk, got, tt.want)
		}
	}
	inbound := outboundOf("79261112233", time.Minute)
	inbound.Direction = call.Inbound
	unanswered := outboundOf("79261112233", time.Minute)
	unanswered.AnsweredAt = 0
	for _, r := range []*call.Record{inbound, unanswered} {
		if c := tariffs.Cost(r); c != nil {
			t.Errorf("%s, answered at %d: costs %s", r.Direction, r.AnsweredAt, costs(c))
		}
	}
}

// A provider counts from the answer of its own leg, also when the employee is
// called after it, and to its end, whoever is on hold.
func TestTariffs_CountsTheOutsideLeg(t *testing.T) {
	tariffs, err := journal.NewTariffs([]journal.Tariff{{Prefix: "79", PerMinute: "6.00", Currency: "RUB", Step: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	r := outboundOf("79261112233", 20*time.Second)
	r.Legs = []call.Leg{{Role: call.RoleCaller}, {Role: call.RoleTrunk, AnsweredAt: r.AnsweredAt.Add(-10 * time.Second), EndedAt: r.EndedAt}}
	if got, want := costs(tariffs.Cost(r)), "3.00 RUB for 30000 by 79"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNewTariffs_Refuses(t *testing.T) {
	good := journal.Tariff{Prefix: "7", PerMinute: "1.80", Currency: "RUB", Step: time.Second}
	for name, spoil := range map[string]func(*journal.Tariff){
		"negative":    func(x *journal.Tariff) { x.PerMinute = "-1.80" },
		"two points":  func(x *journal.Tariff) { x.PerMinute = "1.8.0" },
		"no price":    func(x *journal.Tariff) { x.PerMinute = "" },
		"exponent":    func(x *journal.Tariff) { x.PerMinute = "1e9" },
		"no prefix":   func(x *journal.Tariff) { x.Prefix = "" },
		"plus":        func(x *journal.Tariff) { x.Prefix = "+7" },
		"no step":     func(x *journal.Tariff) { x.Step = 0 },
		"free before": func(x *journal.Tariff) { x.Free = -time.Second },
	} {
		x := good
		spoil(&x)
		if _, err := journal.NewTariffs([]journal.Tariff{x}); err == nil {
			t.Errorf("%s: taken: %+v", name, x)
		}
	}
	if _, err := journal.NewTariffs([]journal.Tariff{good, good}); err == nil || !strings.Contains(err.Error(), "two") {
		t.Errorf("the same prefix twice: %v", err)
	}
}

// The amount is the exact product, rounded half up once.
func TestTariffs_IsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		units := rapid.Int64Range(0, 1_000_000).Draw(t, "price in 1/10000")
		step := rapid.Int64Range(1, 100).Draw(t, "step in s")
		talk := rapid.Int64Range(0, 100_000_000).Draw(t, "talk")
		tariffs, err := journal.NewTariffs([]journal.Tariff{{
			Prefix: "79", PerMinute: fmt.Sprintf("%d.%04d", units/10000, units%10000), Currency: "RUB", Step: time.Duration(step) * time.Second,
		}})
		if err != nil {
			t.Fatal(err)
		}
		c := tariffs.Cost(outboundOf("79261112233", time.Duration(talk)*time.Millisecond))
		steps := (talk + step*1000 - 1) / (step * 1000)
		want := (units*steps*step + 30) / 60
		if got := fmt.Sprintf("%d.%04d", want/10000, want%10000); c.Amount != got || c.BilledMs != steps*step*1000 {
			t.Fatalf("got %s for %d, want %s for %d", c.Amount, c.BilledMs, got, steps*step*1000)
		}
	})
}
