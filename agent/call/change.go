package call

// ChangeOp says what a Change asks of the store.
type ChangeOp uint8

// What the Tracker concludes from a fact.
const (
	// FactKept: Event (with its N) belongs to an open call and must be stored
	// with the changes of the same Apply, so that a restart goes on from there.
	FactKept ChangeOp = 1 + iota
	// FactsDropped: the facts with the numbers in Facts are needed no more.
	FactsDropped
	// CallRecorded: Record is the call as it is known now, with its Rev; it
	// replaces every smaller one. Reasons says why each field is what it is.
	CallRecorded
	// CallDeleted: the call ID, published before, is part of Into.
	CallDeleted
	// GapFound: Gap is a time in which facts were lost.
	GapFound
	// Anomaly: Event fits nothing that is known; Why says what is odd.
	Anomaly
)

// Change is one conclusion. The changes of one Apply belong into one commit.
type Change struct {
	Op       ChangeOp
	Event    *Event
	Facts    []uint64
	Record   *Record
	Reasons  []Reason
	Evidence []Event // of CallRecorded: everything that the record rests on, in order
	ID       string
	Into     string
	Gap      *Gap
	Why      string
}

// Reason is why one field of a record is what it is: the rule's name and the
// facts it rests on, by their N.
type Reason struct {
	Field string   `json:"field" cbor:"1,keyasint"`
	Rule  string   `json:"rule" cbor:"2,keyasint"`
	Facts []uint64 `json:"facts" cbor:"3,keyasint,omitempty"`
}
