package call

import (
	"encoding/json"
	"time"
)

// LegID is the PBX's own id of one channel: Asterisk's Uniqueid, FreeSWITCH's
// Unique-ID. Names of channels are never ids: they are changed and used again.
type LegID string

// Kind says which fact an Event states.
type Kind uint8

// The facts. The comment behind each names the fields of Event that it uses
// besides Leg, At and Seen; everything else stays empty.
const (
	// a leg's life
	LegCreated   Kind = 1 + iota // Link, Channel, Endpoint, Local, State, Number, CallerName, Dialled, Context, Account, Peer (the leg that created it, if the PBX says), Originated, Queue (created by that queue)
	LegNamed                     // Channel, Endpoint: the channel was renamed
	LegNumbered                  // Number, CallerName: the party at this leg got another number
	LegConnected                 // Number, CallerName: whom this leg is shown as connected with
	LegAccount                   // Account
	LegRinging                   // the phone rings
	LegProgress                  // early media without ringing
	LegAnswered                  // the leg is up
	LegHungUp                    // the far end of this leg asked for the end; Cause
	LegEnded                     // Cause, By (who sent the end), History
	LegLink                      // nobody states it: a linked id that changes proves nothing; the value stays taken
	LegAlias                     // Peer: the id under which this leg was known before
	LegPaired                    // Peer: the two halves of one Local or loopback channel; Unpairs when the pair leaves by itself

	// legs and each other
	Dialled      // Leg calls Peer (Leg may be empty: the PBX itself calls); Number: the target as given to Dial
	DialEnded    // Leg, Peer; Result; Number: the target of a forward
	Forwarded    // the phone at Leg sent the call on to Number (SIP 302); from then on the same leg calls that
	Joined       // Bridge, BridgeKind, Swap (the leg whose place it takes)
	Parted       // Bridge
	BridgeMerged // Bridge (that remains), Bridge2 (that dissolves)
	Held         // the phone at Leg put the other side on hold
	Resumed      //

	// what the PBX is asked to do with a call
	Transferred // Transfer
	PickedUp    // Leg took the call that was ringing at Peer
	Parked      // Leg is parked; Number: slot; By: channel or number that parked it
	Unparked    // Leg is fetched by Peer
	ParkEnded   // Leg leaves parking by Result: "timeout", "abandoned"

	// what the PBX itself does with a leg
	Queued       // Queue
	Unqueued     // Queue, Result
	QueueOffered // Leg waits in Queue and Peer (or Number) is called for it
	QueueMember  // Leg (the caller) is joined with Peer, a member of Queue
	Executed     // App, Data, Dialled: an application of the dialplan begins; AppNone ends it
	RecordBegun  // File
	RecordEnded  // File
	MailboxLeft  // Number: mailbox; File, DurationMs; Leg may be empty
	FaxEnded     // Number: station; Result, Pages, File
	Originated   // Leg (may be empty), Number: the extension or client asked for, CallerName..., Result

	// what the Tracker itself concludes, kept like facts
	LegSeen     // a leg in a snapshot: as LegCreated; From: when it was made; Bridge, App, Queue: where it is
	LegVanished // a leg is gone and its end was not seen; Data: why
	Met         // Leg is in a bridge with Peer, a leg of another call; Bridge, BridgeKind, Channel, Endpoint, Number
	MetLeft     // and no longer; By: EndedByFarEnd if Peer's far end left

	// the link itself
	LinkUp      // a new session begins; Data: what the PBX says of itself
	LinkDown    // Data: why
	LinkGap     // facts were lost between From and At; Data: why
	PBXStarted  // the PBX process is new: nothing of what was up before is up now
	Snapshot    // Live: every leg that is up now. What is not in it is gone
	Ticked      // nothing but time has passed
	Unexplained // the connector could not read a message; Data: what

	// later additions: the values are stored
	LegGone // the leg is over for its far end, though the PBX may keep it a while and say its end late

	// Reported: a row of the PBX's own record file, read later (report.go). Of one
	// leg: as LegEnded with its whole History. Of a leg and whom it was connected
	// with: Result is set, as of DialEnded; History has Created, Answered and HungUp
	// of that stretch; Peer or PeerChannel is the other side, Connected the number
	// that was called there; App, Data, Queue and DurationMs (its time limit) are
	// the application's; By is EndedByFarEnd if that one mostly ends so; Doubt is
	// what is doubtful about the moments.
	Reported
)

// AppKind is what an application of the dialplan means for a call.
type AppKind uint8

// The applications that a rule needs. Everything else is AppOther.
const (
	AppNone       AppKind = iota
	AppOther              // menus, announcements, conditions
	AppVoicemail          // records a message: Data is the mailbox
	AppMailbox            // the owner listens to his mailbox
	AppFax                // receives or sends a fax: Data is "receive" or "send"
	AppConference         // Data is the room
	AppQueue              // Data is the queue
	AppSpy                // listens in on another call: no talk for anyone
	AppDial               // calls somebody: Data is the target
	AppPark
	AppRecord   // begins a recording: File
	AppPlayback // an announcement or a menu is heard
	AppBusy     // the PBX itself says busy, or congestion
	AppHangup   // nobody states it; the value stays taken
	AppPickup
	AppAgent // an agent waits on the line for callers, each of whom has a call of his own
)

// BridgeKind tells a talk from what only looks like one.
type BridgeKind uint8

// The kinds of bridge.
const (
	BridgeTalk       BridgeKind = iota // legs in it hear each other
	BridgeHolding                      // each hears music: queue, parking lot
	BridgeConference                   // as BridgeTalk, but each leg's call stays a call of its own
)

// LegState is the state of a channel as the PBX gives it.
type LegState uint8

// The states.
const (
	StateUnknown LegState = iota
	StateDown             // made by the PBX, not yet ringing
	StateCalling          // its far end is calling the PBX
	StateRinging          // its far end rings
	StateUp
	StateBusy // the PBX plays busy to it
)

// Who ended a leg, in Event.By of LegEnded.
const (
	EndedByFarEnd  = "far_end" // the party at the leg hung up or cancelled
	EndedByRefusal = "refusal" // the party at the leg refused to take the call
	EndedByPBX     = "pbx"     // the PBX hung up, cancelled or refused
)

// Transfer types as CONTRACT.md section 3 names them.
const (
	TransferBlind    = "blind"
	TransferAttended = "attended"
	TransferRedirect = "redirect"
	TransferForward  = "forward"
	TransferPickup   = "pickup"
	TransferPark     = "park"
)

// Cause is why a leg ended. Q850 and SIP are zero where the PBX did not say.
type Cause struct {
	Q850 int    `json:"q850,omitempty" cbor:"1,keyasint,omitempty"`
	Text string `json:"text,omitempty" cbor:"2,keyasint,omitempty"`
	SIP  int    `json:"sip,omitempty" cbor:"3,keyasint,omitempty"`
}

// MarshalJSON writes what the PBX did not say as null.
func (c Cause) MarshalJSON() ([]byte, error) {
	type said struct {
		Q850 *int    `json:"q850"`
		Text *string `json:"text"`
		SIP  *int    `json:"sip"`
	}
	var v said
	if c.Q850 != 0 {
		v.Q850 = &c.Q850
	}
	if c.Text != "" {
		v.Text = &c.Text
	}
	if c.SIP != 0 {
		v.SIP = &c.SIP
	}
	return json.Marshal(v)
}

// LegHistory is what the last event of a FreeSWITCH leg says of its whole life.
// A zero Moment is one that never came.
type LegHistory struct {
	Created       Moment `cbor:"1,keyasint,omitempty"`
	Progress      Moment `cbor:"2,keyasint,omitempty"`
	ProgressMedia Moment `cbor:"3,keyasint,omitempty"`
	Answered      Moment `cbor:"4,keyasint,omitempty"`
	Bridged       Moment `cbor:"5,keyasint,omitempty"`
	HungUp        Moment `cbor:"6,keyasint,omitempty"`
	// Transfers as written in transfer_history, oldest first.
	Transfers []TransferNote `cbor:"7,keyasint,omitempty"`
	// Vars are the few channel variables that a rule needs, by FreeSWITCH's name
	// without "variable_".
	Vars map[string]string `cbor:"8,keyasint,omitempty"`
}

// TransferNote is one entry of FreeSWITCH's transfer_history:
// "epoch:uuid:bl_xfer:ext/context/dialplan".
type TransferNote struct {
	At     Moment `cbor:"1,keyasint,omitempty"` // whole seconds
	ID     string `cbor:"2,keyasint,omitempty"`
	Method string `cbor:"3,keyasint,omitempty"` // bl_xfer, att_xfer, uuid_br
	Target string `cbor:"4,keyasint,omitempty"`
}

// TransferFact is what a PBX says of a transfer that succeeded in its eyes.
type TransferFact struct {
	Type       string `cbor:"1,keyasint,omitempty"` // TransferBlind or TransferAttended
	Transferer LegID  `cbor:"2,keyasint,omitempty"`
	Second     LegID  `cbor:"3,keyasint,omitempty"` // the transferer's consultation leg, if it has one
	Transferee LegID  `cbor:"4,keyasint,omitempty"`
	Target     LegID  `cbor:"5,keyasint,omitempty"`
	To         string `cbor:"6,keyasint,omitempty"` // number dialled, if given
	External   bool   `cbor:"7,keyasint,omitempty"` // by SIP REFER rather than a feature code
}

// LiveLeg is one leg in a Snapshot.
type LiveLeg struct {
	Leg        LegID      `cbor:"1,keyasint,omitempty"`
	Link       string     `cbor:"2,keyasint,omitempty"`
	Channel    string     `cbor:"3,keyasint,omitempty"`
	Endpoint   string     `cbor:"4,keyasint,omitempty"`
	Local      bool       `cbor:"5,keyasint,omitempty"`
	State      LegState   `cbor:"6,keyasint,omitempty"`
	Number     string     `cbor:"7,keyasint,omitempty"`
	CallerName string     `cbor:"8,keyasint,omitempty"`
	Connected  string     `cbor:"9,keyasint,omitempty"` // number of the other side as shown to this leg
	Dialled    string     `cbor:"10,keyasint,omitempty"`
	Context    string     `cbor:"11,keyasint,omitempty"`
	Account    string     `cbor:"12,keyasint,omitempty"`
	Bridge     string     `cbor:"13,keyasint,omitempty"`
	BridgeKind BridgeKind `cbor:"14,keyasint,omitempty"`
	App        AppKind    `cbor:"15,keyasint,omitempty"`
	Data       string     `cbor:"16,keyasint,omitempty"`
	Queue      string     `cbor:"17,keyasint,omitempty"`
	Created    Moment     `cbor:"18,keyasint,omitempty"`
	Peer       LegID      `cbor:"19,keyasint,omitempty"`
	Originated bool       `cbor:"20,keyasint,omitempty"`
}

// Event is one fact that a PBX stated, in the words of no particular PBX. A
// connector makes them one by one from what it reads, without memory of its
// own; everything that needs two facts to be known is the Tracker's.
//
// Events of one session come in the order of Seq. The order in which a PBX
// states facts about different legs is not the order in which they happened.
type Event struct {
	Session uint64 `cbor:"1,keyasint,omitempty"` // connection number; grows at every reconnect
	Seq     uint64 `cbor:"2,keyasint,omitempty"` // position in the session, without holes
	N       uint64 `cbor:"3,keyasint,omitempty"` // number among the facts kept for open calls; the Tracker gives it
	At      Moment `cbor:"4,keyasint,omitempty"` // the PBX's clock if it gave one, else Seen
	Seen    Moment `cbor:"5,keyasint,omitempty"` // when the bytes arrived
	Kind    Kind   `cbor:"6,keyasint,omitempty"`

	Leg  LegID  `cbor:"7,keyasint,omitempty"`
	Peer LegID  `cbor:"8,keyasint,omitempty"`
	Link string `cbor:"9,keyasint,omitempty"` // Linkedid, Channel-Call-UUID: a hint, never proof

	Channel    string   `cbor:"10,keyasint,omitempty"` // the PBX's name of the channel, for people
	Endpoint   string   `cbor:"11,keyasint,omitempty"` // channel name without technology and serial: "101", "trunk-provider"
	Local      bool     `cbor:"12,keyasint,omitempty"` // half of a Local or loopback channel: the PBX itself, never a person
	Originated bool     `cbor:"13,keyasint,omitempty"` // the PBX itself made this leg and nobody dialled it
	State      LegState `cbor:"14,keyasint,omitempty"`

	Number     string `cbor:"15,keyasint,omitempty"`
	CallerName string `cbor:"16,keyasint,omitempty"`
	Dialled    string `cbor:"17,keyasint,omitempty"` // Exten, Destination-Number
	Context    string `cbor:"18,keyasint,omitempty"`
	Account    string `cbor:"19,keyasint,omitempty"`

	Bridge     string     `cbor:"20,keyasint,omitempty"`
	Bridge2    string     `cbor:"21,keyasint,omitempty"`
	BridgeKind BridgeKind `cbor:"22,keyasint,omitempty"`
	Swap       LegID      `cbor:"23,keyasint,omitempty"`

	Queue  string  `cbor:"24,keyasint,omitempty"`
	Result string  `cbor:"25,keyasint,omitempty"` // in the PBX's own upper-case words: ANSWER, BUSY, CANCEL, NOANSWER, ...
	By     string  `cbor:"26,keyasint,omitempty"`
	App    AppKind `cbor:"27,keyasint,omitempty"`
	Data   string  `cbor:"28,keyasint,omitempty"`
	File   string  `cbor:"29,keyasint,omitempty"`

	DurationMs int64  `cbor:"30,keyasint,omitempty"`
	Pages      int    `cbor:"31,keyasint,omitempty"`
	From       Moment `cbor:"32,keyasint,omitempty"`

	// Members is how many legs the PBX counts in the bridge now; 0 if it does not say.
	Members int `cbor:"33,keyasint,omitempty"`
	// PeerChannel and PeerLink describe Peer where the PBX gives its snapshot too.
	PeerChannel string `cbor:"34,keyasint,omitempty"`
	PeerLink    string `cbor:"35,keyasint,omitempty"`

	Cause    *Cause        `cbor:"36,keyasint,omitempty"`
	Transfer *TransferFact `cbor:"37,keyasint,omitempty"`
	History  *LegHistory   `cbor:"38,keyasint,omitempty"`
	Live     []LiveLeg     `cbor:"39,keyasint,omitempty"`

	// Connected is the number of the other side as shown to a leg that the PBX
	// called: of a click-to-call's first leg, whom the call is for.
	Connected string `cbor:"40,keyasint,omitempty"`
	// Doubt is what is doubtful about a Reported fact, as a record's doubts say it.
	Doubt string `cbor:"41,keyasint,omitempty"`

	// Ahead, of a call's first fact, is the most that a stamp of the link was ahead
	// of its arrival until then; the Tracker gives it. Zero: not known.
	Ahead time.Duration `cbor:"42,keyasint,omitempty"`
}
