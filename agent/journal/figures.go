package journal

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Figures is what statistics say of one group in one period. The doc of each
// field is its formula: commands, pages and reports show it.
//
// In a row of an employee or a department, a call counts if one of them made it,
// spoke with the caller, or was called while nobody spoke with him. So what
// several did in one call counts in each of their rows, and once in a total.
type Figures struct {
	Calls            int64 `json:"calls" doc:"calls that began in the period"`
	Inbound          int64 `json:"inbound" doc:"calls from outside"`
	Answered         int64 `json:"answered" doc:"inbound calls in which a person spoke with the caller"`
	Missed           int64 `json:"missed" doc:"inbound calls that nobody spoke with, except short ones and spam; of an employee: if his phone was called"`
	AbandonedIVR     int64 `json:"abandoned_ivr" doc:"missed calls that the caller left in a menu"`
	AbandonedQueue   int64 `json:"abandoned_queue" doc:"missed calls that the caller left in a queue"`
	AbandonedRing    int64 `json:"abandoned_ring" doc:"missed calls that the caller left while phones rang"`
	Voicemail        int64 `json:"voicemail" doc:"missed calls that got as far as a mailbox"`
	Short            int64 `json:"short" doc:"inbound calls abandoned in less than short_abandon"`
	Spam             int64 `json:"spam" doc:"inbound calls of the type spam"`
	Outbound         int64 `json:"outbound" doc:"calls to outside"`
	OutboundAnswered int64 `json:"outbound_answered" doc:"calls to outside that were answered"`
	Internal         int64 `json:"internal" doc:"calls between employees"`
	InternalAnswered int64 `json:"internal_answered" doc:"calls between employees that were answered"`

	Unique    int64 `json:"unique" doc:"inbound calls from numbers that had not called within unique_depth_days"`
	Repeat    int64 `json:"repeat" doc:"inbound calls from numbers that had"`
	Target    int64 `json:"target" doc:"inbound calls with a talk of at least target_min_talk"`
	Callbacks int64 `json:"callbacks" doc:"calls to a number whose missed call was open"`
	Reached   int64 `json:"reached" doc:"callbacks that were answered"`

	CalledBack int64 `json:"called_back" doc:"missed calls whose number was next spoken with because the company called"`
	CameBack   int64 `json:"came_back" doc:"missed calls whose number was next spoken with because it called again"`
	Lost       int64 `json:"lost" doc:"missed calls whose number was not spoken with within lost_window"`
	Open       int64 `json:"open" doc:"missed - called_back - came_back - lost"`
	Elsewhere  int64 `json:"answered_elsewhere" doc:"calls that rang at the employee, and another took them; not in calls"`

	WaitAverage *int64 `json:"wait_average_ms" doc:"mean wait_ms of answered and missed inbound calls"`
	WaitLongest *int64 `json:"wait_longest_ms" doc:"longest of the same"`
	WaitP90     *int64 `json:"wait_p90_ms" doc:"90th percentile of the same: the smallest wait that nine of ten do not exceed, rounded to 1/128"`
	RingAverage *int64 `json:"ring_average_ms" doc:"mean ring_ms where it is known; of an employee: of his phone, the one that he took"`
	RingLongest *int64 `json:"ring_longest_ms" doc:"longest of the same"`
	RingP90     *int64 `json:"ring_p90_ms" doc:"90th percentile of the same, rounded to 1/128"`
	TalkAverage *int64 `json:"talk_average_ms" doc:"mean talk_ms of answered calls, in all directions; of an employee: his own part of them"`
	TalkLongest *int64 `json:"talk_longest_ms" doc:"longest of the same"`
	TalkP90     *int64 `json:"talk_p90_ms" doc:"90th percentile of the same, rounded to 1/128"`
	TalkTotal   int64  `json:"talk_total_ms" doc:"sum of the same"`

	ServiceLevel    Ratio `json:"service_level" doc:"inbound calls answered within the service level's wait, of those answered or missed"`
	AnswerRate      Ratio `json:"answer_rate" doc:"answered, of inbound"`
	TargetRate      Ratio `json:"target_rate" doc:"unique calls that are targets, of unique"`
	FirstCallShare  Ratio `json:"first_call_share" doc:"unique, of unique and repeat"`
	CalledBackShare Ratio `json:"called_back_share" doc:"called_back, of missed"`
}

// Ratio is a share: Part of Of. In JSON it is a decimal from 0 to 1, or null if
// there is nothing of which it could be a part.
type Ratio struct{ Part, Of int64 }

// MarshalJSON writes six decimals, rounded half up: whoever rounds further, to a tenth
// of a percent, gets the same as from the ratio itself.
func (r Ratio) MarshalJSON() ([]byte, error) {
	if r.Of == 0 {
		return []byte("null"), nil
	}
	return []byte(r.decimal(6)), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Ratio) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*r = Ratio{}
		return nil
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return fmt.Errorf("share %.40q: want a number from 0 to 1", b)
	}
	*r = Ratio{int64(math.Round(f * 1_000_000)), 1_000_000}
	return nil
}

// Percent is the ratio for people: 87.5; "" if there is none.
func (r Ratio) Percent() string {
	if r.Of == 0 {
		return ""
	}
	return Ratio{r.Part * 100, r.Of}.decimal(1)
}

func (r Ratio) decimal(places int) string {
	scale := int64(1)
	for range places {
		scale *= 10
	}
	n := (r.Part*scale*2 + r.Of) / (r.Of * 2)
	tail := strconv.FormatInt(scale+n%scale, 10)[1:]
	return strconv.FormatInt(n/scale, 10) + "." + tail
}

// Figures makes what people read of what was counted.
func (c *Cell) Figures() Figures {
	n := func(of count) int64 { return c.n[of] }
	return Figures{
		Calls: n(countCalls), Inbound: n(countInbound), Answered: n(countAnswered), Missed: n(countMissed),
		AbandonedIVR: n(countAbandonedIVR), AbandonedQueue: n(countAbandonedQueue), AbandonedRing: n(countAbandonedRing),
		Voicemail: n(countVoicemail), Short: n(countShort), Spam: n(countSpam),
		Outbound: n(countOutbound), OutboundAnswered: n(countOutboundAnswered),
		Internal: n(countInternal), InternalAnswered: n(countInternalAnswered),
		Unique: n(countUnique), Repeat: n(countRepeat), Target: n(countTarget),
		Callbacks: n(countCallbacks), Reached: n(countCallbacksAnswered),
		CalledBack: n(countCalledBack), CameBack: n(countCameBack), Lost: n(countLost),
		Open:      n(countMissed) - n(countCalledBack) - n(countCameBack) - n(countLost),
		Elsewhere: n(countElsewhere),

		WaitAverage: c.wait.Average(), WaitLongest: c.wait.longest(), WaitP90: c.wait.Percentile(90),
		RingAverage: c.ring.Average(), RingLongest: c.ring.longest(), RingP90: c.ring.Percentile(90),
		TalkAverage: c.talk.Average(), TalkLongest: c.talk.longest(), TalkP90: c.talk.Percentile(90),
		TalkTotal: c.talk.Sum,

		ServiceLevel:    Ratio{n(countInTime), n(countAnswered) + n(countMissed)},
		AnswerRate:      Ratio{n(countAnswered), n(countInbound)},
		TargetRate:      Ratio{n(countUniqueTarget), n(countUnique)},
		FirstCallShare:  Ratio{n(countUnique), n(countUnique) + n(countRepeat)},
		CalledBackShare: Ratio{n(countCalledBack), n(countMissed)},
	}
}

// Formula is what one figure means.
type Formula struct {
	Figure  string `json:"figure"`
	Formula string `json:"formula"`
}

// Formulas are those of all figures, in their order, with the settings that are
// in force.
func Formulas(r Rules) []Formula {
	settings := strings.NewReplacer(
		"unique_depth_days", "unique_depth_days ("+days(r.UniqueDepth)+")",
		"target_min_talk", "target_min_talk ("+r.TargetMinTalk.String()+")",
		"short_abandon", "short_abandon ("+r.ShortAbandon.String()+")",
		"lost_window", "lost_window ("+r.LostWindow.String()+")",
		"the service level's wait", r.ServiceLevel.String(),
	)
	t := reflect.TypeFor[Figures]()
	out := make([]Formula, t.NumField())
	for i := range out {
		f := t.Field(i)
		out[i] = Formula{f.Tag.Get("json"), settings.Replace(f.Tag.Get("doc"))}
	}
	return out
}
