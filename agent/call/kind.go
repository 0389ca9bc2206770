package call

import "strconv"

// kindNames are the names of the facts, for people.
var kindNames = [...]string{
	LegCreated:   "LegCreated",
	LegNamed:     "LegNamed",
	LegNumbered:  "LegNumbered",
	LegConnected: "LegConnected",
	LegAccount:   "LegAccount",
	LegRinging:   "LegRinging",
	LegProgress:  "LegProgress",
	LegAnswered:  "LegAnswered",
	LegHungUp:    "LegHungUp",
	LegEnded:     "LegEnded",
	LegLink:      "LegLink",
	LegAlias:     "LegAlias",
	LegPaired:    "LegPaired",
	Dialled:      "Dialled",
	DialEnded:    "DialEnded",
	Forwarded:    "Forwarded",
	Joined:       "Joined",
	Parted:       "Parted",
	BridgeMerged: "BridgeMerged",
	Held:         "Held",
	Resumed:      "Resumed",
	Transferred:  "Transferred",
	PickedUp:     "PickedUp",
	Parked:       "Parked",
	Unparked:     "Unparked",
	ParkEnded:    "ParkEnded",
	Queued:       "Queued",
	Unqueued:     "Unqueued",
	QueueOffered: "QueueOffered",
	QueueMember:  "QueueMember",
	Executed:     "Executed",
	RecordBegun:  "RecordBegun",
	RecordEnded:  "RecordEnded",
	MailboxLeft:  "MailboxLeft",
	FaxEnded:     "FaxEnded",
	Originated:   "Originated",
	LegSeen:      "LegSeen",
	LegVanished:  "LegVanished",
	Met:          "Met",
	MetLeft:      "MetLeft",
	LinkUp:       "LinkUp",
	LinkDown:     "LinkDown",
	LinkGap:      "LinkGap",
	PBXStarted:   "PBXStarted",
	Snapshot:     "Snapshot",
	Ticked:       "Ticked",
	Unexplained:  "Unexplained",
	Reported:     "Reported",
	LegGone:      "LegGone",
}

// String is the name of the kind of fact.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "Kind" + strconv.Itoa(int(k))
}
