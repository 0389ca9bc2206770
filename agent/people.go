package agent

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/storage"
)

// What people change in the books: agent/api asks, the commit goroutine does it.

// Rules implements api.Books.
func (a *Agent) Rules() journal.Rules {
	b := a.books
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rule
}

// RulesOf implements api.Books.
func (a *Agent) RulesOf(version uint32) (journal.Rules, bool) { return a.books.rulesOf(version) }

// Tag implements api.Books.
func (a *Agent) Tag(ctx context.Context, id string, tags []string) (r *call.Record, err error) {
	err = a.revise(ctx, "tag call", id, func(n *journal.Incoming) { n.Tags = tags })
	if err != nil {
		return nil, err
	}
	return a.store.Call(id)
}

// revise changes what is known of one call, as a new revision if that says
// anything new.
func (a *Agent) revise(ctx context.Context, what, id string, change func(*journal.Incoming)) error {
	return a.inCommit(ctx, what, func() error {
		var rec *call.Record
		err := a.store.Past(func(p journal.Past) (err error) {
			rec, err = p.Call(id)
			return err
		})
		if err != nil {
			return err
		}
		if rec == nil {
			return fmt.Errorf("call %.200q: %w", id, api.ErrNotFound)
		}
		news := journal.Incoming{ID: id, Record: rec}
		change(&news)
		batch := &storage.Batch{Entries: []storage.Entry{{Op: storage.OpCall, Call: rec}}}
		if err := a.books.settleNews(batch, []journal.Incoming{news}); err != nil {
			return err
		}
		return a.books.put(batch)
	})
}

// mark is a number that people named as a spammer's. It is Pending until every
// call of the number was judged again; one that is taken off stays until then.
type mark struct {
	api.SpamNumber
	Off     bool `json:"off"`
	Pending bool `json:"pending"`
	// From is the beginning of the first call that is still to be judged, in
	// microseconds: not a time that JSON could hold, at either end.
	From int64 `json:"from"`
}

// SpamNumbers implements api.Books.
func (a *Agent) SpamNumbers() []api.SpamNumber {
	b := a.books
	b.mu.Lock()
	defer b.mu.Unlock()
	list := []api.SpamNumber{}
	for _, m := range b.spam {
		if !m.Off {
			list = append(list, m.SpamNumber)
		}
	}
	slices.SortFunc(list, func(x, y api.SpamNumber) int { return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.Number, y.Number)) })
	return list
}

// MarkSpam implements api.Books.
func (a *Agent) MarkSpam(ctx context.Context, number, by string) (n api.SpamNumber, err error) {
	history, err := a.historyOf(number)
	if err != nil {
		return n, err
	}
	if strings.HasSuffix(number, "*") {
		return n, fmt.Errorf("%q: %w but a prefix: those stand in rules.spam_numbers_file", number, api.ErrNumber)
	}
	if err := a.ofCompany(number, history); err != nil {
		return n, err // short ones and words are not: scanners show such
	}
	n = api.SpamNumber{Number: number, At: call.MomentOf(a.now()), By: by}
	err = a.inCommit(ctx, "mark a spammer's number", func() error {
		return a.books.mark(history, mark{SpamNumber: n, Pending: true, From: math.MinInt64})
	})
	return n, err
}

// UnmarkSpam implements api.Books.
func (a *Agent) UnmarkSpam(ctx context.Context, number string) error {
	history, err := a.historyOf(number)
	if err != nil {
		return err
	}
	return a.inCommit(ctx, "unmark a spammer's number", func() error {
		m, ok := a.books.marked(history)
		if !ok || m.Off {
			return fmt.Errorf("%q is not on the list of spammers: %w", number, api.ErrNotFound)
		}
		m.Off, m.Pending, m.From = true, true, math.MinInt64
		return a.books.mark(history, m)
	})
}

// historyOf is where the calls of a number are kept.
func (a *Agent) historyOf(number string) (string, error) {
	if history := a.directory.Load().Key(number); history != "" {
		return history, nil
	}
	return "", fmt.Errorf("%q: %w that a caller could have", number, api.ErrNumber)
}

func (b *books) marked(history string) (mark, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m, ok := b.spam[history]
	return m, ok
}

// mark takes a number on the list or off it, and judges its calls again: the
// first slice at once, the others in slices of their own.
func (b *books) mark(history string, m mark) error {
	if err := b.store.Commit(&storage.Batch{State: map[string][]byte{stateSpam + history: asState(m)}}); err != nil {
		return err
	}
	b.mu.Lock()
	b.spam[history] = m
	b.mu.Unlock()
	b.renew()
	return b.reviewSpam(history)
}

// pending is a number whose calls are to be judged again, "" if there is none.
func (b *books) pending() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for history, m := range b.spam {
		if m.Pending {
			return history
		}
	}
	return ""
}

// reviewSpam judges the next calls of a number again.
func (b *books) reviewSpam(history string) error {
	m, _ := b.marked(history)
	batch := &storage.Batch{}
	err := b.outcome(batch, func(p journal.Past) (*journal.Outcome, error) {
		touches, err := p.Touches(history, call.Moment(m.From), math.MaxInt64)
		if err != nil {
			return nil, err
		}
		// A call of the same moment as the last belongs to the same slice.
		n := min(len(touches), reviewSlice)
		for n > 0 && n < len(touches) && touches[n].Started == touches[n-1].Started {
			n++
		}
		to := call.Moment(math.MaxInt64)
		if m.Pending = n < len(touches); m.Pending {
			to = touches[n].Started
		}
		from := call.Moment(m.From)
		m.From = int64(to)
		state := asState(m)
		if m.Off && !m.Pending {
			state = nil
		}
		batch.State = map[string][]byte{stateSpam + history: state}
		return b.engine.Review(p, call.MomentOf(b.now()), history, from, to)
	})
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spam[history] = m; m.Off && !m.Pending {
		delete(b.spam, history)
	}
	return nil
}
