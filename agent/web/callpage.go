package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"calljournal/agent/access"
	"calljournal/agent/api"
	"calljournal/agent/call"
)

// callPage is one call.
type callPage struct {
	*call.Record
	Timeline  *timeline
	Names     map[string]string // of employees, by extension
	Reasons   []reason
	Revisions []api.Revision // the newest first
	Masked    bool
	Number    string // of the outside, for its other calls; "" if it is not known
	MaySpam   bool   // who looks may name spammers
	IsSpam    bool   // the number was named
	Since     call.Moment
}

// reason is one rule by which a field is what it is, in people's words.
type reason struct{ Field, Text string }

// call is the page of one call.
func (s *Site) call(v *visit) (any, error) {
	id := v.PathValue("id")
	rec, err := v.Client.Call(v.Context(), id)
	if err != nil {
		return nil, err
	}
	p := &callPage{Record: rec, Timeline: timelineOf(rec, v.Lang), Names: namesOf(rec), Masked: v.User.MaskNumbers}
	if !p.Masked {
		why, err := v.Client.Why(v.Context(), id)
		if err != nil {
			return nil, err
		}
		p.Reasons = reasons(why.Reasons, v.Lang)
		p.Number = outside(rec)
	}
	revs, err := v.Client.Revisions(v.Context(), id)
	if err != nil {
		return nil, err
	}
	p.Revisions = revs.Revisions
	slices.Reverse(p.Revisions)
	for _, rev := range p.Revisions {
		if rev.Rev == rec.Rev {
			p.Since = rev.At
		}
	}
	if p.MaySpam = v.User.Scope == access.ScopeAdmin && p.Number != ""; p.MaySpam {
		list, err := v.Client.Spam(v.Context())
		if err != nil {
			return nil, err
		}
		p.IsSpam = slices.ContainsFunc(list.Numbers, func(n api.SpamNumber) bool { return digitsOf(n.Number) == digitsOf(p.Number) })
	}
	return p, nil
}

// outside is the number at the other end of an outside call, as it is searched for.
func outside(r *call.Record) string {
	p := &r.From
	switch r.Direction {
	case call.Internal:
		return ""
	case call.Outbound:
		p = &r.To
	}
	return cmp.Or(plain(p.E164), plain(p.Number))
}

func digitsOf(number string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return c
		}
		return -1
	}, number)
}

// Others is the address of all calls of the same number.
func (p *callPage) Others() string {
	digits := digitsOf(p.Number)
	if len(digits) < 3 {
		return ""
	}
	return address("/", url.Values{"number": {digits}})
}

// Address is where the call is shown.
func (p *callPage) Address() string { return callAddress(p.ID) }

// API is where its record is, as programs get it.
func (p *callPage) API() string { return "/v1/calls/" + url.PathEscape(p.ID) }

// Healed is the address of the call in which the caller was spoken with.
func (p *callPage) Healed() string {
	if p.HealedBy == nil {
		return ""
	}
	return callAddress(*p.HealedBy)
}

// Named is a number of the call with the name of whose it is.
func (p *callPage) Named(number *string) string {
	if number == nil {
		return unknown
	}
	if name := p.Names[*number]; name != "" {
		return *number + " " + name
	}
	return *number
}

// TagText is the tags as they are written in the field.
func (p *callPage) TagText() string { return strings.Join(p.Tags, ", ") }

// reasons puts the rules into the reader's words, each once, those about the
// status first.
func reasons(given []call.Reason, l *language) (list []reason) {
	order := []string{"status", "missed", "types", "healed_by"}
	rank := func(field string) int {
		if i := slices.Index(order, field); i >= 0 {
			return i
		}
		return len(order)
	}
	for _, g := range given {
		r := reason{g.Field, l.Word("rule", g.Rule)}
		if kind, _, ok := strings.Cut(g.Rule, ": "); ok && g.Field == "types" {
			r.Text = l.Word("typewhy", kind)
		}
		if !slices.Contains(list, r) {
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b reason) int { return cmp.Compare(rank(a.Field), rank(b.Field)) })
	return list
}

// maxTagForm holds as many and as long tags as a call may have, each letter of them
// as a form writes it at worst.
const maxTagForm = 64 << 10

// tagCall takes the tags that somebody wrote.
func (s *Site) tagCall(v *visit) (any, error) {
	if err := v.readForm(maxTagForm); err != nil {
		return nil, err
	}
	if !v.PostForm.Has("tags") { // an empty field takes all tags away, no field none
		return nil, v.badForm()
	}
	tags := []string{}
	for tag := range strings.SplitSeq(v.PostFormValue("tags"), ",") {
		if tag = strings.TrimSpace(tag); tag != "" && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	id := v.PathValue("id")
	if _, err := v.Client.Tag(v.Context(), id, tags); err != nil {
		return nil, err
	}
	return nil, v.redirect(callAddress(id))
}

// markCall names the number of a call as a spammer's, or takes that back.
func (s *Site) markCall(v *visit) (any, error) {
	if err := v.readForm(maxForm); err != nil {
		return nil, err
	}
	id := v.PathValue("id")
	rec, err := v.Client.Call(v.Context(), id)
	if err != nil {
		return nil, err
	}
	number := outside(rec)
	if number == "" {
		return nil, &api.Refusal{Status: http.StatusUnprocessableEntity, Text: v.Lang.Text("call.nonumber")}
	}
	if v.PostFormValue("spam") == "no" {
		if err := v.Client.UnmarkSpam(v.Context(), number); err != nil && !errors.Is(err, api.ErrNotFound) {
			return nil, err
		}
		return nil, v.redirect(callAddress(id))
	}
	if _, err := v.Client.MarkSpam(v.Context(), number); err != nil {
		return nil, err
	}
	return nil, v.redirect(callAddress(id))
}
