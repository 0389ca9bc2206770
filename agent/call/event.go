package call

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
	LegLink                      // Link: the leg now carries this linked id
	LegAlias                     // Peer: the id under which this leg was known before
	LegPaired                    // Peer: the two halves of one Local or loopback channel; Unpairs when the pair leaves by itself

	// legs and each other
	Dialled      // Leg calls Peer (Leg may be empty: the PBX itself calls); Number: the target as given to Dial
	DialEnded    // Leg, Peer; Result; Number: the target of a forward
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

	// the link itself
	LinkUp      // a new session begins; Data: what the PBX says of itself
	LinkDown    // Data: why
	LinkGap     // facts were lost between From and At; Data: why
	PBXStarted  // the PBX process is new: nothing of what was up before is up now
	Snapshot    // Live: every leg that is up now. What is not in it is gone
	Ticked      // nothing but time has passed
	Unexplained // the connector could not read a message; Data: what
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
	AppHangup   // the dialplan ends the call
	AppPickup
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

// LegHistory is what the last event of a FreeSWITCH leg says of its whole life.
// A zero Moment is one that never came.
type LegHistory struct {
	Created, Progress, ProgressMedia, Answered, Bridged, HungUp Moment
	// Transfers as written in transfer_history, oldest first.
	Transfers []TransferNote
	// Vars are the few channel variables that a rule needs, by FreeSWITCH's name
	// without "variable_".
	Vars map[string]string
}

// TransferNote is one entry of FreeSWITCH's transfer_history:
// "epoch:uuid:bl_xfer:ext/context/dialplan".
type TransferNote struct {
	At     Moment // whole seconds
	ID     string
	Method string // bl_xfer, att_xfer, uuid_br
	Target string
}

// TransferFact is what a PBX says of a transfer that succeeded in its eyes.
type TransferFact struct {
	Type       string // TransferBlind or TransferAttended
	Transferer LegID
	Second     LegID // the transferer's consultation leg, if it has one
	Transferee LegID
	Target     LegID
	To         string // number dialled, if given
	External   bool   // by SIP REFER rather than a feature code
}

// LiveLeg is one leg in a Snapshot.
type LiveLeg struct {
	Leg        LegID
	Link       string
	Channel    string
	Endpoint   string
	Local      bool
	State      LegState
	Number     string
	CallerName string
	Connected  string // number of the other side as shown to this leg
	Dialled    string
	Context    string
	Account    string
	Bridge     string
	BridgeKind BridgeKind
	App        AppKind
	Data       string
	Queue      string
	Created    Moment
	Peer       LegID
	Originated bool
}

// Event is one fact that a PBX stated, in the words of no particular PBX. A
// connector makes them one by one from what it reads, without memory of its
// own; everything that needs two facts to be known is the Tracker's.
//
// Events of one session come in the order of Seq. The order in which a PBX
// states facts about different legs is not the order in which they happened.
type Event struct {
	Session uint64 // connection number; grows at every reconnect
	Seq     uint64 // position in the session, without holes
	N       uint64 // number among the facts kept for open calls; the Tracker gives it
	At      Moment // the PBX's clock if it gave one, else Seen
	Seen    Moment // when the bytes arrived
	Kind    Kind

	Leg  LegID
	Peer LegID
	Link string // Linkedid, Channel-Call-UUID: a hint, never proof

	Channel    string // the PBX's name of the channel, for people
	Endpoint   string // channel name without technology and serial: "101", "trunk-provider"
	Local      bool   // half of a Local or loopback channel: the PBX itself, never a person
	Originated bool   // the PBX itself made this leg and nobody dialled it
	State      LegState

	Number     string
	CallerName string
	Dialled    string // Exten, Destination-Number
	Context    string
	Account    string

	Bridge     string
	Bridge2    string
	BridgeKind BridgeKind
	Swap       LegID

	Queue  string
	Result string // in the PBX's own upper-case words: ANSWER, BUSY, CANCEL, NOANSWER, ...
	By     string
	App    AppKind
	Data   string
	File   string

	DurationMs int64
	Pages      int
	From       Moment

	Cause    *Cause
	Transfer *TransferFact
	History  *LegHistory
	Live     []LiveLeg
}
