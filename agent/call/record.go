package call

// Record is one call as people understand it: CONTRACT.md section 3 has the
// meaning of every field. All moments are cut to the millisecond. A pointer is
// nil, and a Moment zero, where the value is unknown or does not apply.
type Record struct {
	ID      string   `json:"id" cbor:"1,keyasint"`
	Rev     uint64   `json:"rev" cbor:"2,keyasint"`
	Agent   string   `json:"agent" cbor:"3,keyasint"`
	PBX     string   `json:"pbx" cbor:"4,keyasint"`
	PBXKind string   `json:"pbx_kind" cbor:"5,keyasint"`
	PBXIDs  []string `json:"pbx_ids" cbor:"6,keyasint"`

	Direction   string  `json:"direction" cbor:"7,keyasint"`
	Origin      string  `json:"origin" cbor:"8,keyasint"`
	From        Party   `json:"from" cbor:"9,keyasint"`
	To          Party   `json:"to" cbor:"10,keyasint"`
	Line        *Line   `json:"line" cbor:"11,keyasint"`
	Trunk       *string `json:"trunk" cbor:"12,keyasint"`
	Status      string  `json:"status" cbor:"13,keyasint"`
	Missed      bool    `json:"missed" cbor:"14,keyasint"`
	AbandonedIn *string `json:"abandoned_in" cbor:"15,keyasint"`
	EndedBy     *string `json:"ended_by" cbor:"16,keyasint"`
	Cause       *Cause  `json:"cause" cbor:"17,keyasint"`

	StartedAt     Moment `json:"started_at" cbor:"18,keyasint"`
	PBXAnsweredAt Moment `json:"pbx_answered_at" cbor:"19,keyasint"`
	RingingAt     Moment `json:"ringing_at" cbor:"20,keyasint"`
	AnsweredAt    Moment `json:"answered_at" cbor:"21,keyasint"`
	EndedAt       Moment `json:"ended_at" cbor:"22,keyasint"`

	WaitMs      *int64 `json:"wait_ms" cbor:"23,keyasint"`
	TotalWaitMs *int64 `json:"total_wait_ms" cbor:"24,keyasint"`
	IVRMs       *int64 `json:"ivr_ms" cbor:"25,keyasint"`
	QueueMs     *int64 `json:"queue_ms" cbor:"26,keyasint"`
	RingMs      *int64 `json:"ring_ms" cbor:"27,keyasint"`
	TalkMs      *int64 `json:"talk_ms" cbor:"28,keyasint"`
	HoldMs      *int64 `json:"hold_ms" cbor:"29,keyasint"`
	TotalMs     *int64 `json:"total_ms" cbor:"30,keyasint"`

	AnsweredBy   *string `json:"answered_by" cbor:"31,keyasint"`
	LastTalkedBy *string `json:"last_talked_by" cbor:"32,keyasint"`

	Queues     []string        `json:"queues" cbor:"33,keyasint"`
	Legs       []Leg           `json:"legs" cbor:"34,keyasint"`
	Transfers  []Transfer      `json:"transfers" cbor:"35,keyasint"`
	Timeline   []Span          `json:"timeline" cbor:"36,keyasint"`
	Recordings []Recording     `json:"recordings" cbor:"37,keyasint"`
	Voicemail  *VoicemailEntry `json:"voicemail" cbor:"38,keyasint"`
	Fax        *FaxEntry       `json:"fax" cbor:"39,keyasint"`

	Types    []string `json:"types" cbor:"40,keyasint"`
	HealedBy *string  `json:"healed_by" cbor:"41,keyasint"`
	Account  *string  `json:"account" cbor:"42,keyasint"`
	Cost     *Cost    `json:"cost" cbor:"43,keyasint"`
	Tags     []string `json:"tags" cbor:"44,keyasint"`
	Quality  string   `json:"quality" cbor:"45,keyasint"`
	Doubts   []string `json:"doubts" cbor:"46,keyasint"`
}

// Party is one side of a call.
type Party struct {
	Number     *string `json:"number" cbor:"1,keyasint"`
	E164       *string `json:"e164" cbor:"2,keyasint"`
	Name       *string `json:"name" cbor:"3,keyasint"`
	Extension  *string `json:"extension" cbor:"4,keyasint"`
	Employee   *string `json:"employee" cbor:"5,keyasint"`
	Department *string `json:"department" cbor:"6,keyasint"`
}

// Line is the company's own number that a call came in on or went out from.
type Line struct {
	Number string  `json:"number" cbor:"1,keyasint"`
	Name   *string `json:"name" cbor:"2,keyasint"`
	Source *string `json:"source" cbor:"3,keyasint"`
}

// Leg is one channel of a call.
type Leg struct {
	Channel    string  `json:"channel" cbor:"1,keyasint"`
	Number     *string `json:"number" cbor:"2,keyasint"`
	Extension  *string `json:"extension" cbor:"3,keyasint"`
	Employee   *string `json:"employee" cbor:"4,keyasint"`
	Department *string `json:"department" cbor:"5,keyasint"`
	Role       string  `json:"role" cbor:"6,keyasint"`
	Queue      *string `json:"queue" cbor:"7,keyasint"`
	StartedAt  Moment  `json:"started_at" cbor:"8,keyasint"`
	RingingAt  Moment  `json:"ringing_at" cbor:"9,keyasint"`
	AnsweredAt Moment  `json:"answered_at" cbor:"10,keyasint"`
	EndedAt    Moment  `json:"ended_at" cbor:"11,keyasint"`
	RingMs     *int64  `json:"ring_ms" cbor:"12,keyasint"`
	TalkMs     *int64  `json:"talk_ms" cbor:"13,keyasint"`
	Result     string  `json:"result" cbor:"14,keyasint"`
	Cause      *Cause  `json:"cause" cbor:"15,keyasint"`
}

// Transfer is a call that was moved on. Answered is nil for a parking.
type Transfer struct {
	Type     string  `json:"type" cbor:"1,keyasint"`
	By       *string `json:"by" cbor:"2,keyasint"`
	To       *string `json:"to" cbor:"3,keyasint"`
	At       Moment  `json:"at" cbor:"4,keyasint"`
	Answered *bool   `json:"answered" cbor:"5,keyasint"`
}

// Span is one stretch of the caller's time. Spans of a record touch each other.
type Span struct {
	Kind  string  `json:"kind" cbor:"1,keyasint"`
	From  Moment  `json:"from" cbor:"2,keyasint"`
	To    Moment  `json:"to" cbor:"3,keyasint"`
	Party *string `json:"party" cbor:"4,keyasint"`
}

// Recording is one file of a call's sound.
type Recording struct {
	File       *string `json:"file" cbor:"1,keyasint"`
	StartedAt  Moment  `json:"started_at" cbor:"2,keyasint"`
	DurationMs *int64  `json:"duration_ms" cbor:"3,keyasint"`
	Size       *int64  `json:"size" cbor:"4,keyasint"`
	Available  bool    `json:"available" cbor:"5,keyasint"`
}

// VoicemailEntry is the mailbox that a caller got to.
type VoicemailEntry struct {
	Mailbox    string  `json:"mailbox" cbor:"1,keyasint"`
	File       *string `json:"file" cbor:"2,keyasint"`
	DurationMs *int64  `json:"duration_ms" cbor:"3,keyasint"`
	Size       *int64  `json:"size" cbor:"4,keyasint"`
	Available  bool    `json:"available" cbor:"5,keyasint"`
}

// FaxEntry is a fax that was received or sent.
type FaxEntry struct {
	Direction string  `json:"direction" cbor:"1,keyasint"` // received, sent
	Station   *string `json:"station" cbor:"2,keyasint"`
	Pages     *int64  `json:"pages" cbor:"3,keyasint"`
	Result    *string `json:"result" cbor:"4,keyasint"`
	File      *string `json:"file" cbor:"5,keyasint"`
	Available bool    `json:"available" cbor:"6,keyasint"`
}

// Cost is what a tariff makes of a call; Amount is a decimal.
type Cost struct {
	Amount   string `json:"amount" cbor:"1,keyasint"`
	Currency string `json:"currency" cbor:"2,keyasint"`
	BilledMs int64  `json:"billed_ms" cbor:"3,keyasint"`
	Prefix   string `json:"prefix" cbor:"4,keyasint"`
}

// Words of a record.
const (
	Inbound  = "inbound"
	Outbound = "outbound"
	Internal = "internal"

	OriginDialled    = "dialled"
	OriginOriginated = "originated"

	StatusAnswered    = "answered"
	StatusAbandoned   = "abandoned"
	StatusNoAnswer    = "no_answer"
	StatusBusy        = "busy"
	StatusRejected    = "rejected"
	StatusFailed      = "failed"
	StatusVoicemail   = "voicemail"
	StatusFax         = "fax"
	StatusSelfService = "self_service"

	RoleCaller       = "caller"
	RolePhone        = "phone"
	RoleTrunk        = "trunk"
	RoleConsultation = "consultation"

	QualityComplete   = "complete"
	QualityPartial    = "partial"
	QualityBackfilled = "backfilled"

	DoubtStartUnseen  = "start_unseen"
	DoubtEndUnseen    = "end_unseen"
	DoubtLinkLost     = "link_lost"
	DoubtPBXRestarted = "pbx_restarted"
	DoubtClockStepped = "clock_stepped"
	DoubtFactsLost    = "facts_lost" // a fact that another one presupposes never came
	DoubtTooLong      = "too_many_facts"

	// Of calls that the PBX's own records had to tell of.
	DoubtStartReported = "start_reported" // the start was not seen; its time is the PBX's record's, mostly to the second
	DoubtEndReported   = "end_reported"   // the same of the end
	DoubtAnswerUnknown = "answer_unknown" // a person was spoken with, and the PBX's record does not tell since when
	DoubtZoneAssumed   = "zone_assumed"   // the PBX's record has local times, and nothing says of which time zone
)

// Gap is a stretch of time in which the daemon did not see a PBX.
type Gap struct {
	PBX    string `json:"pbx" cbor:"1,keyasint"`
	From   Moment `json:"from" cbor:"2,keyasint"`
	To     Moment `json:"to" cbor:"3,keyasint"`
	Reason string `json:"reason" cbor:"4,keyasint"`
	Healed bool   `json:"healed" cbor:"5,keyasint"`
}
