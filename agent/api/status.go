package api

import "calljournal/agent/call"

// States of the daemon as a whole.
const (
	StateWell     = "well"
	StateDegraded = "degraded" // a link down, a forwarder or a mailing stuck, the disk short
)

// States of a link.
const (
	LinkConnecting = "connecting" // never up yet in this run
	LinkUp         = "up"
	LinkLost       = "lost"    // was up; tried again by itself
	LinkRefused    = "refused" // the PBX does not let us in: somebody must see to it
)

// Status is what the daemon says of itself. The JSON is the interface; the table
// that `calljournal status` prints is a view of it.
type Status struct {
	Agent     string      `json:"agent"`
	Version   string      `json:"version"`
	StartedAt call.Moment `json:"started_at"`
	At        call.Moment `json:"at"` // when this was asked
	State     string      `json:"state" enum:"well,degraded"`
	Problems  []string    `json:"problems"` // why it is degraded, and what to do
	Warnings  []string    `json:"warnings"` // what works but should not stay as it is
	Findings  []Finding   `json:"findings"` // both, one by one, for a program

	Links      []Link      `json:"links"`
	OpenCalls  int         `json:"open_calls"`
	LastCall   *LastCall   `json:"last_call"`
	Journal    Journal     `json:"journal"`
	Review     Review      `json:"review"`
	Retention  Retention   `json:"retention"`
	Consumers  []Consumer  `json:"consumers"`
	Uplink     *Uplink     `json:"uplink"` // null without [uplink]
	Forwarders []Forwarder `json:"forwarders"`
	Mailings   []Mailing   `json:"mailings"`
	Gaps       []call.Gap  `json:"gaps"` // the newest
}

// Finding is one of the problems or warnings as a program reads it, or a page in
// another language: a kind that keeps its name, and what Text says of it.
type Finding struct {
	Problem bool              `json:"problem"` // else a warning
	Kind    string            `json:"kind"`    // "": it has only its text
	Values  map[string]string `json:"values"`
	Text    string            `json:"text"`
}

// AddProblem says why the daemon is degraded; values are names, each with its value:
// moments as RFC 3339, durations in milliseconds.
func (st *Status) AddProblem(kind, text string, values ...string) {
	st.Problems = append(st.Problems, text)
	st.Findings = append(st.Findings, findingOf(true, kind, text, values))
}

// AddWarning says what should not stay as it is.
func (st *Status) AddWarning(kind, text string, values ...string) {
	st.Warnings = append(st.Warnings, text)
	st.Findings = append(st.Findings, findingOf(false, kind, text, values))
}

func findingOf(problem bool, kind, text string, values []string) Finding {
	f := Finding{Problem: problem, Kind: kind, Text: text, Values: map[string]string{}}
	for i := 0; i+1 < len(values); i += 2 {
		f.Values[values[i]] = values[i+1]
	}
	return f
}

// Link is the line to one PBX.
type Link struct {
	PBX        string            `json:"pbx"`
	Kind       string            `json:"kind"`
	Address    string            `json:"address"`
	State      string            `json:"state" enum:"connecting,up,lost,refused"`
	Since      call.Moment       `json:"since"`
	Session    uint64            `json:"session"`     // connections so far, over all runs
	PBXVersion string            `json:"pbx_version"` // as the PBX says it
	LastByteAt call.Moment       `json:"last_byte_at"`
	Error      string            `json:"error"`                                                                    // why it is not up
	Why        string            `json:"why" enum:",unreachable,login refused,protocol error,line dead,link lost"` // the same in a word
	NextTry    call.Moment       `json:"next_try"`                                                                 // null while it is up
	OpenCalls  int               `json:"open_calls"`
	Bytes      uint64            `json:"bytes"`
	Messages   uint64            `json:"messages"`
	Thinned    uint64            `json:"thinned"` // messages that no rule needs
	Events     uint64            `json:"events"`  // facts
	Dropped    uint64            `json:"dropped"` // messages lost because memory was full: each is in a gap
	QueueBytes uint64            `json:"queue_bytes"`
	Malformed  map[string]uint64 `json:"malformed"`
	Anomalies  uint64            `json:"anomalies"` // facts that fit nothing that is known
	Warnings   []string          `json:"warnings"`
	Healing    *Healing          `json:"healing"` // null without cdr_file
}

// Healing is how gaps are filled from the PBX's own records.
type Healing struct {
	File       string            `json:"file"`
	Error      string            `json:"error"`      // why it cannot be read, and what to do
	Waiting    int               `json:"waiting"`    // gaps that are not healed yet
	Rows       uint64            `json:"rows"`       // read in this run
	Unreadable map[string]uint64 `json:"unreadable"` // rows that could not be read: why, and how many
	ReadAt     call.Moment       `json:"read_at"`    // to its end, last; null if there was no need to
}

// LastCall is the newest record.
type LastCall struct {
	ID string      `json:"id"`
	At call.Moment `json:"at"` // when it was recorded; of a run before, when it ended
}

// Journal is the file and the feed in it.
type Journal struct {
	ID         string      `json:"id"`
	Path       string      `json:"path"`
	Calls      uint64      `json:"calls"`
	Head       uint64      `json:"head"`
	Oldest     uint64      `json:"oldest"`
	FileBytes  int64       `json:"file_bytes"`
	FreeBytes  int64       `json:"free_bytes"` // inside the file, to be used again
	DiskFree   int64       `json:"disk_free"`
	LastCommit call.Moment `json:"last_commit"`
	Stuck      *Stuck      `json:"stuck"`    // null while writing works
	Salvaged   string      `json:"salvaged"` // if the journal was made out of a damaged one: how
}

// Review is how far the daemon is with settling every call by the settings in
// force: [rules], employees, lines, tariffs, spammers. It begins anew when they
// change.
type Review struct {
	Settings uint32      `json:"settings"` // their number, which grows with each change
	Since    call.Moment `json:"since"`    // when they came into force
	Done     uint64      `json:"done"`     // calls
	Total    uint64      `json:"total"`
	Changed  uint64      `json:"changed"` // of them, those that got a new revision
	BeganAt  call.Moment `json:"began_at"`
	EndedAt  call.Moment `json:"ended_at"` // null while it goes on
}

// SpamNumber is a number that people named as a spammer's.
type SpamNumber struct {
	Number string      `json:"number"` // as it was written
	At     call.Moment `json:"at"`
	By     string      `json:"by"` // who: the token's name
}

// Stuck says since when, and why, nothing can be written.
type Stuck struct {
	Since   call.Moment `json:"since"`
	Error   string      `json:"error"`
	Waiting int         `json:"waiting"` // changes held in memory
	NextTry call.Moment `json:"next_try"`
}

// Consumer is a follower of the feed.
type Consumer struct {
	Name string      `json:"name"`
	Seq  uint64      `json:"seq"` // what it says it has safely stored
	At   call.Moment `json:"at"`  // when it said so
	Lag  uint64      `json:"lag"` // entries it has not
	// LagMs is how old the oldest of them is.
	LagMs int64 `json:"lag_ms"`
	// Missed are entries that it had not stored and that are no longer kept: the
	// retention did not wait any longer.
	Missed uint64 `json:"missed"`
}

// Uplink is the connection to a centre that asks over it.
type Uplink struct {
	URL      string      `json:"url"`
	State    string      `json:"state" enum:"connecting,up,lost,refused"`
	Since    call.Moment `json:"since"`
	Error    string      `json:"error"`    // why it is not up
	NextTry  call.Moment `json:"next_try"` // null while it is up
	Sessions uint64      `json:"sessions"` // connections so far
	Requests uint64      `json:"requests"` // of the centre
	AskedAt  call.Moment `json:"asked_at"` // when the last of them came
}

// Retention is what is kept and what was dropped.
type Retention struct {
	CallsDays            int    `json:"calls_days"` // 0: for ever
	MaxBytes             int64  `json:"max_bytes"`  // 0: no limit
	WaitForConsumersDays int    `json:"wait_for_consumers_days"`
	UsedBytes            int64  `json:"used_bytes"` // what max_bytes is about
	Dropped              uint64 `json:"dropped"`    // entries of the feed, since the start
	HeldBy               string `json:"held_by"`    // the consumer that still needs what need not be kept
	Error                string `json:"error"`      // why nothing can be dropped

	// Of the PBXs' own files; 0 days: they are never touched.
	RecordingsDays    int    `json:"recordings_days"`
	VoicemailDays     int    `json:"voicemail_days"`
	RecordingsDeleted uint64 `json:"recordings_deleted"` // files, since the start
	MessagesDeleted   uint64 `json:"messages_deleted"`
	BytesDeleted      int64  `json:"bytes_deleted"`
}

// States of a forwarder.
const (
	ForwarderWell     = "well"
	ForwarderRetrying = "retrying" // the last try failed
	ForwarderStuck    = "stuck"    // it has been failing for a while: somebody should look
)

// Forwarder sends calls on.
type Forwarder struct {
	Name         string      `json:"name"`
	Kind         string      `json:"kind"`
	Address      string      `json:"address"` // without what may be secret in it
	State        string      `json:"state" enum:"well,retrying,stuck"`
	Seq          uint64      `json:"seq"`           // everything up to here was taken, set aside, or not wanted
	Lag          uint64      `json:"lag"`           // entries after it
	WaitingSince call.Moment `json:"waiting_since"` // when the oldest of them was committed; null: none waits
	Since        call.Moment `json:"since"`         // not well since; null while it is
	Error        string      `json:"error"`         // why
	NextTry      call.Moment `json:"next_try"`
	Dead         int         `json:"dead"`   // entries that the far side refused, set aside
	Missed       uint64      `json:"missed"` // entries that retention dropped before they were sent
	Sent         uint64      `json:"sent"`   // entries, in this run
	Failed       uint64      `json:"failed"` // tries, in this run
	LiveSent     uint64      `json:"live_sent"`
	LiveLost     uint64      `json:"live_lost"` // live events that could not be told
}

// Mailing is a report or an alert to one address.
type Mailing struct {
	Kind    string      `json:"kind" enum:"report,alert"`
	Name    string      `json:"name"`
	To      string      `json:"to"`
	State   string      `json:"state" enum:"well,retrying,stuck"`
	NextAt  call.Moment `json:"next_at"`  // when the next mail is due; null: an alert about which there is nothing to mail
	Waiting int         `json:"waiting"`  // missed calls that it will be about
	SentAt  call.Moment `json:"sent_at"`  // when the mail server last took one
	Since   call.Moment `json:"since"`    // not well since; null while it is
	Error   string      `json:"error"`    // why
	NextTry call.Moment `json:"next_try"` // of the mail that failed
	Tries   int         `json:"tries"`    // of it
	Aside   []MailAside `json:"aside"`    // mails that were refused or given up since one last got through
	Missed  uint64      `json:"missed"`   // entries of the feed that retention dropped before the alert looked at them
	Sent    uint64      `json:"sent"`     // mails, in this run
	Failed  uint64      `json:"failed"`   // tries, in this run
}

// MailAside is a mail that is not tried any more.
type MailAside struct {
	What  string      `json:"what"`
	At    call.Moment `json:"at"`
	Tries int         `json:"tries"`
	Error string      `json:"error"`
}
