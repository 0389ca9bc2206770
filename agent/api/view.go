package api

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"calljournal/agent/access"
	"calljournal/agent/call"
	"calljournal/storage"

	"github.com/danielgtaylor/huma/v2"
)

// view is the journal as one reader may see it. Whoever answers a limited reader
// reads calls through it and through nothing else: it leaves out what the role
// does not cover and masks the rest. Its errors are answers.
type view struct {
	s    *Server
	role access.Role
}

func (s *Server) view(ctx context.Context) view { return view{s, tokenOf(ctx).Role} }

// calls is Store.Calls. A page is filled up with calls that the reader sees, so
// that it is short only at the end.
func (v view) calls(ctx context.Context, q storage.Query) (recs []*call.Record, cursor string, err error) {
	return v.callsThat(ctx, q, anyCall)
}

// callsThat is calls with a condition that the store does not know.
func (v view) callsThat(ctx context.Context, q storage.Query, keep func(*call.Record) bool) (recs []*call.Record, cursor string, err error) {
	recs, cursor, err = v.pick(ctx, q, keep)
	if err != nil {
		return nil, "", err
	}
	return v.show(ctx, recs), cursor, nil
}

// pick reads the calls that the reader sees, before anything is masked.
func (v view) pick(ctx context.Context, q storage.Query, keep func(*call.Record) bool) (recs []*call.Record, cursor string, err error) {
	if err := v.mayAsk(q); err != nil {
		return nil, "", err
	}
	var reads reads
	defer reads.end()
	for wanted := q.Limit; ; q.Limit, q.Cursor = wanted-len(recs), cursor {
		var page []*call.Record
		if page, cursor, err = v.page(ctx, &reads, q); err != nil {
			return nil, "", err
		}
		for _, r := range page {
			if keep(r) {
				recs = append(recs, r)
			}
		}
		if cursor == "" || len(recs) >= wanted {
			return recs, cursor, nil
		}
	}
}

// each gives all calls that the reader sees, before anything is masked.
func (v view) each(ctx context.Context, q storage.Query) iter.Seq2[*call.Record, error] {
	return func(yield func(*call.Record, error) bool) {
		q.Limit = 1000
		var reads reads
		defer reads.end()
		for {
			page, cursor, err := v.page(ctx, &reads, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if q.Cursor = cursor; cursor == "" {
				return
			}
		}
	}
}

// page is one reading of the journal, without the calls that the reader does not
// see: so it may be short, or empty, before the end.
func (v view) page(ctx context.Context, reads *reads, q storage.Query) (recs []*call.Record, cursor string, err error) {
	if v.role.Department != "" && len(q.Department) == 0 {
		q.Department = []string{v.role.Department} // there is an index of it
	}
	if err := reads.next(ctx, v.s); err != nil {
		return nil, "", err
	}
	recs, cursor, err = v.s.o.Store.Calls(q)
	if errors.Is(err, storage.ErrCursor) {
		return nil, "", huma.Error422UnprocessableEntity("cursor: not one that this journal gave out for this filter and sort")
	}
	if errors.Is(err, storage.ErrQuery) {
		return nil, "", huma.Error422UnprocessableEntity(err.Error())
	}
	if err != nil {
		return nil, "", v.s.fault("read calls", err)
	}
	return slices.DeleteFunc(recs, func(r *call.Record) bool { return !v.role.Sees(r) }), cursor, nil
}

// Reading a whole journal through takes a processor for half a minute and more.
const (
	maxLong   = 4 // at a time
	maxLongOf = 2 // of one reader
	longWait  = 20 * time.Second
)

// reads are those of one answer. The first is free: what is more than one piece of
// the journal takes a place, so that nobody keeps all processors busy.
type reads struct {
	n     int
	leave func()
}

// next comes before each read. Its error is an answer; who asked may have left.
func (r *reads) next(ctx context.Context, s *Server) error {
	if r.n++; r.n != 2 {
		return ctx.Err()
	}
	short, cancel := context.WithTimeout(ctx, longWait)
	defer cancel()
	var err error
	if r.leave, err = s.long.Wait(short, tokenOf(ctx).String()); err != nil && ctx.Err() == nil {
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("others read much of the journal just now: ask again later, or for a shorter period"), http.Header{"Retry-After": {"10"}})
	}
	return err
}

func (r *reads) end() {
	if r.leave != nil {
		r.leave()
	}
}

// mayAsk refuses what would tell digit by digit what is masked.
func (v view) mayAsk(q storage.Query) error {
	if !v.role.MaskNumbers {
		return nil
	}
	for name, asked := range map[string]bool{
		"number": len(q.Number) > 0, "q": q.Text != "", "sort": slices.Contains([]string{"from", "to"}, strings.TrimPrefix(q.Sort, "-")),
	} {
		if asked {
			return huma.Error403Forbidden(name + ": not for a reader who sees numbers masked")
		}
	}
	return nil
}

// call is Store.Call. A call that the reader may not see is not there.
func (v view) call(ctx context.Context, id string) (*call.Record, error) {
	r, err := v.seen(id)
	if err != nil {
		return nil, err
	}
	return v.show(ctx, []*call.Record{r})[0], nil
}

// seen is call before anything is masked.
func (v view) seen(id string) (*call.Record, error) {
	r, err := v.s.o.Store.Call(id)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !v.role.Sees(r) {
		return nil, huma.Error404NotFound("there is no call " + id + " in this journal")
	}
	if err != nil {
		return nil, v.s.fault("read a call", err)
	}
	return r, nil
}

// why is a call with what the conclusions about it rest on.
func (v view) why(ctx context.Context, id string) (Explained, error) {
	if v.role.MaskNumbers {
		return Explained{}, huma.Error403Forbidden("the facts behind a call name every number: not for a reader who sees numbers masked")
	}
	r, err := v.call(ctx, id)
	if err != nil {
		return Explained{}, err
	}
	out := Explained{Call: r, Reasons: []call.Reason{}, Facts: []call.Event{}}
	w, err := v.s.o.Store.Why(id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return Explained{}, v.s.fault("read a call", err)
	}
	if w != nil {
		out.Reasons, out.Facts = append(out.Reasons, w.Reasons...), append(out.Facts, w.Facts...)
	}
	if out.Reasons, err = v.s.explained(id, out.Reasons); err != nil {
		return Explained{}, v.s.fault("read a call", err)
	}
	return out, nil
}

// live gives the calls in progress.
func (v view) live(ctx context.Context) ([]call.Record, error) {
	all, err := v.s.o.Live(ctx)
	if err != nil {
		return nil, err
	}
	recs := make([]call.Record, 0, len(all))
	for i := range all {
		if v.role.Sees(&all[i]) {
			recs = append(recs, all[i])
		}
	}
	if v.role.MaskNumbers {
		recs = access.Mask(recs)
	}
	return recs, nil
}

// show is what the reader gets of calls that he may see. The records are his:
// nobody else has them.
func (v view) show(ctx context.Context, recs []*call.Record) []*call.Record {
	v.s.o.Media.Look(ctx, recs)
	return v.masked(recs)
}

func (v view) masked(recs []*call.Record) []*call.Record {
	if v.role.MaskNumbers {
		recs = access.Mask(recs)
	}
	return recs
}
