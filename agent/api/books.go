package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"

	"calljournal/agent/access"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/storage"

	"github.com/danielgtaylor/huma/v2"
)

// Books is what the daemon knows, and people change, beyond what PBXs say of
// calls. A change is on disk when its method returns.
type Books interface {
	// Rules are those in force, RulesOf those with the number that a verdict names.
	Rules() journal.Rules
	RulesOf(version uint32) (rules journal.Rules, ok bool)
	// Tag replaces the tags of a call; ErrNotFound.
	Tag(ctx context.Context, id string, tags []string) (*call.Record, error)
	SpamNumbers() []SpamNumber
	MarkSpam(ctx context.Context, number, by string) (SpamNumber, error) // ErrNumber
	UnmarkSpam(ctx context.Context, number string) error                 // ErrNumber, ErrNotFound
	// Erase removes every call of a number, or only counts them; ErrNumber.
	Erase(ctx context.Context, number string, count bool) (Erased, error)
}

// ErrNumber: a text that is no number, or a withheld one.
var ErrNumber = errors.New("not a number")

// Erased is what was erased of a person.
type Erased struct {
	Number string `json:"number" doc:"as it was looked for"`
	Calls  int    `json:"calls" doc:"calls that are no more"`
	Held   int    `json:"held" doc:"calls that are in progress or ended a moment ago, and stay: ask again later"`
	Marked bool   `json:"marked" doc:"the number was on the list of spammers, and is no more"`
}

// MissedPage is one page of the worklist, the caller who was missed last first.
type MissedPage struct {
	Callers []*journal.MissedCaller `json:"callers"`
	Cursor  *string                 `json:"cursor" doc:"for the next page; null on the last"`
}

type missedInput struct {
	State  []string `query:"state" enum:"open,attempted,called_back,came_back,lost" doc:"none: all"`
	From   string   `query:"from" doc:"whose last missed call began then or later: a time as of GET /v1/calls"`
	To     string   `query:"to" doc:"calls that began before"`
	Limit  int      `query:"limit" default:"50" minimum:"1" doc:"more than 500 is read as 500"`
	Cursor string   `query:"cursor" maxLength:"256" doc:"the cursor of the page before"`
}

type tagsInput struct {
	ID   string `path:"id" maxLength:"300"`
	Body struct {
		Tags []string `json:"tags" maxItems:"32" doc:"replace those that there were"`
	}
}

// SpamList is the numbers that people named as spammers'.
type SpamList struct {
	Numbers []SpamNumber `json:"numbers"`
}

type spamInput struct {
	Number string `path:"number" maxLength:"64"`
}

type eraseInput struct {
	Body struct {
		Number string `json:"number" minLength:"1" maxLength:"64" doc:"as people write it"`
		Count  bool   `json:"count,omitempty" doc:"only count the calls, erase nothing"`
	}
}

func (s *Server) booksRoutes(api huma.API) {
	readers, viewed := []map[string][]string{{"token": {ScopeJournal}}}, map[string]any{throughView: true}
	admin := []map[string][]string{{"token": {ScopeAdmin}}}
	huma.Register(api, huma.Operation{
		OperationID: "missed", Method: http.MethodGet, Path: "/v1/missed", Security: readers, Metadata: viewed,
		Summary: "The worklist: who was missed, and what became of him",
		Description: "Each caller once for each time that he was missed, spoken with or lost, and missed again. " +
			"Pages neither skip nor repeat while calls arrive: they know only calls that began before the first of them was asked for.",
	}, s.missed)
	huma.Register(api, huma.Operation{
		OperationID: "tag", Method: http.MethodPut, Path: "/v1/calls/{id}/tags", Security: readers, Metadata: viewed, MaxBodyBytes: maxBody,
		Summary: "Replace the tags of a call",
	}, s.tag)
	huma.Register(api, huma.Operation{
		OperationID: "spam", Method: http.MethodGet, Path: "/v1/spam", Security: admin,
		Summary: "Numbers that people named as spammers'",
	}, func(context.Context, *struct{}) (*struct{ Body SpamList }, error) {
		return &struct{ Body SpamList }{SpamList{s.o.Books.SpamNumbers()}}, nil
	})
	huma.Register(api, huma.Operation{
		OperationID: "mark-spam", Method: http.MethodPut, Path: "/v1/spam/{number}", Security: admin,
		Summary: "Name a number as a spammer's", Description: "Its earlier calls change too, with new revisions.",
	}, s.markSpam)
	huma.Register(api, huma.Operation{
		OperationID: "unmark-spam", Method: http.MethodDelete, Path: "/v1/spam/{number}", Security: admin, DefaultStatus: http.StatusNoContent,
		Summary: "Take a number off the list of spammers",
	}, s.unmarkSpam)
	huma.Register(api, huma.Operation{
		OperationID: "erase", Method: http.MethodPost, Path: "/v1/erase", Security: admin, MaxBodyBytes: maxBody,
		Summary: "Erase every call of a number",
		Description: "From the journal, its reasons, statistics and histories; the feed tells its followers to delete them. " +
			"The space in the file is used again by and by; until then, or until calljournal compact, it may still hold what it held. " +
			"Files of the PBX, backups, and what followers of the feed already have are not touched.",
	}, s.erase)
}

const maxMissedLimit = 500

// missedCursor is where a page of the worklist ended.
type missedCursor struct {
	Until call.Moment      `json:"u"`
	Below storage.Position `json:"b"`
}

func (s *Server) missed(ctx context.Context, in *missedInput) (*struct{ Body MissedPage }, error) {
	from, err := s.timeOf("from", in.From)
	if err != nil {
		return nil, err
	}
	to, err := s.timeOf("to", in.To)
	if err != nil {
		return nil, err
	}
	at := missedCursor{Until: to}
	if to == 0 {
		if at.Until, err = s.missedUntil(); err != nil {
			return nil, err
		}
	}
	at.Below.Started = at.Until
	if in.Cursor != "" {
		text, err := base64.RawURLEncoding.DecodeString(in.Cursor)
		if err != nil || json.Unmarshal(text, &at) != nil {
			return nil, huma.Error422UnprocessableEntity("cursor: not one that this journal gave out")
		}
	}
	page, next, err := s.view(ctx).missed(ctx, in.State, from, at, min(in.Limit, maxMissedLimit), anyCall)
	if err != nil {
		return nil, err
	}
	out := &struct{ Body MissedPage }{MissedPage{Callers: page}}
	if next != nil {
		text, err := json.Marshal(next)
		if err != nil {
			return nil, s.fault("write a cursor", err)
		}
		cursor := base64.RawURLEncoding.EncodeToString(text)
		out.Body.Cursor = &cursor
	}
	return out, nil
}

// missedUntil is now, or just after the newest missed call: the clock of a PBX
// may be ahead of ours.
func (s *Server) missedUntil() (call.Moment, error) {
	now := call.MomentOf(s.o.Now())
	end := storage.Position{Started: math.MaxInt64}
	newest, _, err := s.o.Store.MissedBefore(end, now, func(journal.Types) bool { return true }, 1)
	if err != nil {
		return 0, s.fault("read missed calls", err)
	}
	for _, r := range newest {
		return r.StartedAt + 1, nil
	}
	return now, nil
}

// missedStep is how many missed calls are looked at together.
const missedStep = 200

// missed is a page of the worklist, as far as the reader may see it, of the calls
// that keep wants.
func (v view) missed(ctx context.Context, states []string, from call.Moment, at missedCursor, limit int, keep func(*call.Record) bool) (page []*journal.MissedCaller, next *missedCursor, err error) {
	page = []*journal.MissedCaller{}
	list := journal.Worklist{Rules: v.s.o.Books.Rules(), Until: at.Until}
	seen := func(r *call.Record) bool { return v.role.Sees(r) && keep(r) }
	wanted, from, err := v.wantedStates(states, from)
	if err != nil {
		return nil, nil, err
	}
	var reads reads
	defer reads.end()
	for {
		if err := reads.next(ctx, v.s); err != nil {
			return nil, nil, err
		}
		recs, places, err := v.s.o.Store.MissedBefore(at.Below, from, wanted, missedStep)
		if err != nil {
			return nil, nil, v.s.fault("read missed calls", err)
		}
		err = v.s.o.Store.Past(func(past journal.Past) error {
			for i, r := range recs {
				m, err := list.Caller(past, r, seen)
				if err != nil {
					return err
				}
				if m != nil && (len(states) == 0 || slices.Contains(states, m.State)) {
					if len(page) == limit {
						next = &at
						return nil
					}
					page = append(page, m)
				}
				at.Below = places[i]
			}
			return nil
		})
		if err != nil {
			return nil, nil, v.s.fault("read missed calls", err)
		}
		if next != nil || len(recs) < missedStep {
			if v.role.MaskNumbers {
				page = access.Mask(page)
			}
			return page, next, nil
		}
	}
}

// wantedStates says which missed calls can have one of the states. Open ones are
// young: there is no need to look for them in the whole journal.
func (v view) wantedStates(states []string, from call.Moment) (func(journal.Types) bool, call.Moment, error) {
	if len(states) == 0 {
		return func(journal.Types) bool { return true }, from, nil
	}
	var done journal.Types
	open := false
	for _, state := range states {
		if state == journal.StateOpen || state == journal.StateAttempted {
			open = true
		} else {
			done |= journal.TypesOf([]string{state})
		}
	}
	if done == 0 {
		err := v.s.o.Store.Past(func(past journal.Past) error {
			oldest, err := past.Overdue(math.MaxInt64, 1)
			if err == nil && len(oldest) == 0 {
				from = math.MaxInt64
			} else if err == nil {
				from = max(from, journal.OpenSince(oldest[0].Started))
			}
			return err
		})
		if err != nil {
			return nil, 0, v.s.fault("read missed calls", err)
		}
	}
	const fates = journal.CalledBack | journal.CameBack | journal.Lost
	return func(t journal.Types) bool { return t&done != 0 || open && t&fates == 0 }, from, nil
}

func (s *Server) tag(ctx context.Context, in *tagsInput) (*struct{ Body *call.Record }, error) {
	v := s.view(ctx)
	if _, err := v.seen(in.ID); err != nil {
		return nil, err
	}
	tags, err := journal.Tags(in.Body.Tags)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("tags: " + err.Error())
	}
	if _, err := s.o.Books.Tag(ctx, in.ID, tags); err != nil {
		return nil, s.booksError("tag a call", err)
	}
	r, err := v.call(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body *call.Record }{r}, nil
}

func (s *Server) markSpam(ctx context.Context, in *spamInput) (*struct{ Body SpamNumber }, error) {
	n, err := s.o.Books.MarkSpam(ctx, in.Number, tokenOf(ctx).Name)
	if err != nil {
		return nil, s.booksError("mark a spammer's number", err)
	}
	return &struct{ Body SpamNumber }{n}, nil
}

func (s *Server) unmarkSpam(ctx context.Context, in *spamInput) (*struct{}, error) {
	if err := s.o.Books.UnmarkSpam(ctx, in.Number); err != nil {
		return nil, s.booksError("unmark a spammer's number", err)
	}
	return nil, nil
}

func (s *Server) erase(ctx context.Context, in *eraseInput) (*struct{ Body Erased }, error) {
	done, err := s.o.Books.Erase(ctx, in.Body.Number, in.Body.Count)
	if err != nil {
		return nil, s.booksError("erase the calls of a number", err)
	}
	return &struct{ Body Erased }{done}, nil
}

func (s *Server) booksError(attempted string, err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		// The answer's status says already that something is not there.
		return huma.Error404NotFound(strings.TrimSuffix(err.Error(), ": "+ErrNotFound.Error()))
	case errors.Is(err, ErrNumber):
		return huma.Error422UnprocessableEntity(err.Error())
	case errors.Is(err, storage.ErrFull):
		return huma.Error503ServiceUnavailable("the disk has no room")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, ErrBusy):
		return huma.Error503ServiceUnavailable("the journal is busy, or the daemon is ending: " + attempted + " again later")
	}
	return s.fault(attempted, err)
}

// ErrBusy: the daemon cannot write just now.
var ErrBusy = errors.New("the journal cannot be written just now")

// explained adds by which rules the journal judged a call.
func (s *Server) explained(id string, reasons []call.Reason) ([]call.Reason, error) {
	history, t, err := s.o.Store.Touch(id)
	if errors.Is(err, storage.ErrNotFound) {
		return reasons, nil
	}
	if err != nil {
		return nil, err
	}
	rules, ok := s.o.Books.RulesOf(t.Verdict.Rules)
	if !ok {
		return reasons, nil // given in another journal, and not looked at again yet
	}
	own := func(r call.Reason) bool { return r.Field == "missed" || r.Field == "types" || r.Field == "healed_by" }
	return append(slices.DeleteFunc(slices.Clone(reasons), own), t.Verdict.Explain(rules, history)...), nil
}
