package journal

import (
	"fmt"
	"slices"
	"strings"

	"calljournal/agent/call"
)

// Types is a set of the types of a call: CONTRACT.md section 4.
type Types uint16

// The types. Their order is that in a record, and is kept in files: only append.
const (
	Unique Types = 1 << iota
	Repeat
	Target
	Callback
	CalledBack
	CameBack
	Lost
	Short
	Spam
)

var typeNames = []string{"unique", "repeat", "target", "callback", "called_back", "came_back", "lost", "short", "spam"}

// Has says whether all of o are in t.
func (t Types) Has(o Types) bool { return t&o == o }

// Names are the types as a record has them; never nil.
func (t Types) Names() []string {
	names := []string{}
	for i, name := range typeNames {
		if t.Has(1 << i) {
			names = append(names, name)
		}
	}
	return names
}

// TypesOf reads the types of a record, and TypesOf([]string{name}) one name; what
// is no type is left out.
func TypesOf(names []string) (t Types) {
	for _, name := range names {
		if i := slices.Index(typeNames, name); i >= 0 {
			t |= 1 << i
		}
	}
	return t
}

// Verdict is what the journal says about a call beyond its record.
type Verdict struct {
	Types    Types
	Missed   bool
	HealedBy string // the call in which a missed caller was next spoken with
	// Rules is the number of the rules that gave this verdict: the store keeps
	// every set that was ever in force, so that a verdict can be explained for as
	// long as it is kept.
	Rules uint32
	// SpamBy and SpamDigits say what made it spam.
	SpamBy     SpamBy
	SpamDigits uint8
}

// Open says that the call was missed and is still to be called back.
func (v *Verdict) Open() bool { return v.Missed && v.Types&(CalledBack|CameBack|Lost) == 0 }

// Same leaves out the rules: other rules may come to the same verdict.
func (v *Verdict) Same(o *Verdict) bool {
	a, b := *v, *o
	a.Rules, b.Rules = 0, 0
	return a == b
}

// pronounce writes the verdict into the record.
func (v *Verdict) pronounce(r *call.Record) {
	r.Types, r.Missed, r.HealedBy = v.Types.Names(), v.Missed, nil
	if v.HealedBy != "" {
		id := v.HealedBy
		r.HealedBy = &id
	}
}

// Explain says in words by which rule each part of a verdict was given. r are
// the rules with the number v.Rules, history is where the call is kept.
func (v *Verdict) Explain(r Rules, history string) []call.Reason {
	var why []call.Reason
	say := func(field, format string, args ...any) {
		why = append(why, call.Reason{Field: field, Rule: fmt.Sprintf(format, args...)})
	}
	depth := "in the whole journal before"
	if r.UniqueDepth != 0 {
		depth = fmt.Sprintf("in the %s before", days(r.UniqueDepth))
	}
	for _, name := range v.Types.Names() {
		switch TypesOf([]string{name}) {
		case Unique:
			say("types", "unique: no inbound call from this number %s (unique_depth_days)", depth)
		case Repeat:
			say("types", "repeat: another inbound call from this number %s (unique_depth_days)", depth)
		case Target:
			say("types", "target: a talk of at least %s (target_min_talk)", r.TargetMinTalk)
		case Callback:
			say("types", "callback: a call to a number whose missed call was open")
		case CalledBack:
			say("types", "called_back: next spoken with when the company called, within %s (lost_window)", r.LostWindow)
		case CameBack:
			say("types", "came_back: next spoken with when he called again, within %s (lost_window)", r.LostWindow)
		case Lost:
			say("types", "lost: not spoken with within %s after he left (lost_window)", r.LostWindow)
		case Short:
			say("types", "short: abandoned in less than %s (short_abandon)", r.ShortAbandon)
		case Spam:
			say("types", "spam: %s", v.spamReason(r, history))
		}
	}
	switch {
	case v.Missed:
		say("missed", "nobody spoke with the caller, and the call is neither short nor spam")
	case v.Types&(Short|Spam) != 0:
		say("missed", "short calls and spam are not missed")
	}
	if v.HealedBy != "" {
		say("healed_by", "the first talk with this number that began after the missed call began")
	}
	return why
}

func (v *Verdict) spamReason(r Rules, history string) string {
	switch v.SpamBy {
	case SpamHand:
		return "the number is on the list (calljournal spam)"
	case SpamNumber:
		return "the number stands in spam_numbers_file"
	case SpamPrefix:
		digits := strings.TrimPrefix(history, "+")
		return fmt.Sprintf("numbers with %s stand in spam_numbers_file", digits[:min(len(digits), int(v.SpamDigits))])
	}
	return fmt.Sprintf("at least %d calls of less than %s within an hour (spam_short_calls)", r.SpamShortCalls, r.ShortAbandon)
}
