package agent

import (
	"context"
	"fmt"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/storage"
)

const (
	eraseSlice = 64
	eraseLook  = 512 // calls looked at in one transaction
)

// Erase implements api.Books; with count it only counts. It looks at every call, because a number may have
// part in one that is not its own: it was forwarded to, or transferred to.
func (a *Agent) Erase(ctx context.Context, number string, count bool) (done api.Erased, err error) {
	history, err := a.historyOf(number)
	if err != nil {
		return done, err
	}
	if err := a.outside(number, history); err != nil {
		return done, err
	}
	done.Number = history
	who := journal.NewPerson(a.directory.Load(), history)
	live, err := a.Live(ctx)
	if err != nil {
		return done, err
	}
	for i := range live {
		if who.In(&live[i]) {
			done.Held++
		}
	}
	var ids []string
	flush := func() error {
		if len(ids) == 0 {
			return nil
		}
		n, err := len(ids), error(nil)
		if !count {
			n, err = a.eraseCalls(ctx, ids)
		}
		done.Calls += n
		ids = ids[:0]
		return err
	}
	settled := call.MomentOf(a.now().Add(-heldAfterEnd))
	for at := (storage.Position{}); ; {
		recs, next, err := a.store.CallsAfter(at, eraseLook)
		if err != nil || len(recs) == 0 {
			if err == nil {
				err = flush()
			}
			if err != nil {
				return done, err
			}
			break
		}
		for _, r := range recs {
			if !who.In(r) {
				continue
			}
			if r.EndedAt > settled {
				done.Held++ // the tracker still has it, and would tell of it again
				continue
			}
			if ids = append(ids, r.ID); len(ids) == eraseSlice {
				if err := flush(); err != nil {
					return done, err
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return done, err
		}
		at = next
	}
	if m, ok := a.books.marked(history); ok && !m.Off {
		done.Marked = true
	}
	if count {
		return done, nil
	}
	if done.Marked {
		if err := a.UnmarkSpam(ctx, number); err != nil {
			return done, err
		}
	}
	a.log.Info("the calls of a number were erased", "calls", done.Calls, "held", done.Held)
	return done, nil
}

// outside refuses numbers of the company itself, as which half the journal would
// go.
func (a *Agent) outside(number, history string) error {
	if history[0] != '=' && len(history) < shortestPerson {
		return fmt.Errorf("%q: %w of a person outside: it is too short", number, api.ErrNumber)
	}
	return a.ofCompany(number, history)
}

// ofCompany refuses its lines.
func (a *Agent) ofCompany(number, history string) error {
	for _, l := range a.config.Load().Line {
		if a.directory.Load().Key(l.Number) == history {
			return fmt.Errorf("%q: %w of a person outside: it is a [[line]] of the company", number, api.ErrNumber)
		}
	}
	return nil
}

// shortestPerson: what has fewer digits is an extension or a public service.
const shortestPerson = 6

// heldAfterEnd is longer than a tracker keeps a call that has ended.
const heldAfterEnd = call.Linger * 2

// eraseCalls erases some calls, in one commit with what follows for others.
func (a *Agent) eraseCalls(ctx context.Context, ids []string) (n int, err error) {
	err = a.inCommit(ctx, "erase calls", func() error {
		batch := &storage.Batch{Erase: true}
		for _, id := range ids {
			batch.Entries = append(batch.Entries, storage.Entry{Op: storage.OpDelete, ID: id})
		}
		if err := a.books.settle(batch); err != nil {
			return err
		}
		for i := range batch.Entries {
			if batch.Entries[i].Op == storage.OpDelete {
				n++
			}
		}
		return a.books.put(batch)
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
