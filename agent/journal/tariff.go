package journal

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"calljournal/agent/call"
)

// Tariff is the price of calls to the numbers that begin with Prefix.
type Tariff struct {
	Prefix    string // digits, with the country code
	PerMinute string // a decimal
	Currency  string
	Step      time.Duration // what is billed is a whole number of steps
	Free      time.Duration // a call no longer than this costs nothing; a longer one costs from its first second
}

// Tariffs finds the price of a call by the longest prefix. It never changes.
type Tariffs struct {
	by      map[string]*price
	longest int
}

// price is a Tariff read: units of 10^-scale a minute.
type price struct {
	Tariff
	perMinute *big.Int
	scale     int
}

// minScale: an amount has at least so many decimals. It has more if the price of
// a minute does.
const minScale = 2

// NewTariffs reads tariffs.
func NewTariffs(tariffs []Tariff) (*Tariffs, error) {
	t := &Tariffs{by: make(map[string]*price, len(tariffs))}
	for _, x := range tariffs {
		p := &price{Tariff: x}
		whole, part, _ := strings.Cut(x.PerMinute, ".")
		p.scale = max(minScale, len(part))
		var ok bool
		digits := whole + part + strings.Repeat("0", p.scale-len(part))
		if p.perMinute, ok = new(big.Int).SetString(digits, 10); !ok || whole == "" || strings.ContainsAny(digits, "+-_") {
			return nil, fmt.Errorf(`tariff %s: price of a minute %.40q: want a decimal, as "1.80"`, x.Prefix, x.PerMinute)
		}
		if x.Prefix == "" || strings.Map(digit, x.Prefix) != x.Prefix {
			return nil, fmt.Errorf("tariff %.40q: want the first digits of a number, with its country code", x.Prefix)
		}
		if x.Step < time.Millisecond || x.Free < 0 {
			return nil, fmt.Errorf("tariff %s: step %s, free %s: want a step above zero and no negative time", x.Prefix, x.Step, x.Free)
		}
		if t.by[x.Prefix] != nil {
			return nil, errors.New("tariff " + x.Prefix + ": there are two for this prefix")
		}
		t.by[x.Prefix] = p
		t.longest = max(t.longest, len(x.Prefix))
	}
	return t, nil
}

// Cost is what a call costs: nil if it went to nobody outside, was not answered
// there, or no tariff is known.
func (t *Tariffs) Cost(r *call.Record) *call.Cost {
	length, ok := billable(r)
	if !ok || t == nil {
		return nil
	}
	number := strings.TrimPrefix(OutsideNumber(r), "+")
	for n := min(t.longest, len(number)); n > 0; n-- {
		if p := t.by[number[:n]]; p != nil {
			return p.cost(length)
		}
	}
	return nil
}

// billable is how long the outside party was connected with the PBX, which is
// what a provider counts: from its answer to the end of its leg, whoever it
// talked with.
func billable(r *call.Record) (ms int64, ok bool) {
	if r.Direction != call.Outbound {
		return 0, false
	}
	for i := range r.Legs {
		if l := &r.Legs[i]; l.Role == call.RoleTrunk && l.AnsweredAt != 0 && l.EndedAt >= l.AnsweredAt {
			return l.EndedAt.Ms().Sub(l.AnsweredAt.Ms()).Milliseconds(), true
		}
	}
	if r.AnsweredAt == 0 || r.EndedAt < r.AnsweredAt {
		return 0, false
	}
	return r.EndedAt.Sub(r.AnsweredAt).Milliseconds(), true
}

func (p *price) cost(ms int64) *call.Cost {
	c := &call.Cost{Currency: p.Currency, Prefix: p.Prefix}
	if ms > p.Free.Milliseconds() {
		step := p.Step.Milliseconds()
		c.BilledMs = (ms + step - 1) / step * step
	}
	amount := new(big.Int).Mul(p.perMinute, big.NewInt(c.BilledMs))
	minute := big.NewInt(time.Minute.Milliseconds())
	amount.Add(amount, big.NewInt(time.Minute.Milliseconds()/2)) // half a unit is rounded up
	amount.Quo(amount, minute)
	s := amount.String()
	if len(s) <= p.scale {
		s = strings.Repeat("0", p.scale+1-len(s)) + s
	}
	c.Amount = s[:len(s)-p.scale] + "." + s[len(s)-p.scale:]
	return c
}
