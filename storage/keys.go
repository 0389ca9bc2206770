package storage

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
)

// bucket names one kind of thing that the journal keeps. The order is in the
// file (tail.Extents): only append.
type bucket uint8

// Whatever grows without end has keys that grow as well, so that its pages are
// filled one after the other and never split.
const (
	inFeed      bucket = iota // seq -> entry
	inCalls                   // call id -> ref
	inSummaries               // started_at, number -> summary: the index of queries
	inWhy                     // number -> Why
	inWords                   // number -> a word that many summaries share
	inOpen                    // PBX, N -> fact of an open call
	inState                   // name -> value
	inGaps                    // PBX, from -> seq of the newest word on it
	inConsumers               // name -> consumer
	inTouches                 // history, way, started_at, number -> touch: the calls of each number
	inMissed                  // left, number -> place: missed calls that are open
	inCells                   // generation, day, grouping, name -> totals of a group on a day
	bucketCount
)

var bucketNames = [bucketCount][]byte{
	[]byte("feed"), []byte("calls"), []byte("summaries"), []byte("why"), []byte("words"),
	[]byte("open"), []byte("state"), []byte("gaps"), []byte("consumers"),
	[]byte("touches"), []byte("missed"), []byte("cells"),
}

// bucketsOf is how many of them a schema has.
var bucketsOf = [schemaVersion + 1]bucket{1: inTouches, 2: bucketCount}

func (b bucket) String() string { return string(bucketNames[b]) }

// of finds the bucket in a transaction.
func (b bucket) of(tx *bolt.Tx) *bolt.Bucket { return tx.Bucket(bucketNames[b]) }

func bucketNamed(name string) (bucket, bool) {
	for i, n := range bucketNames {
		if string(n) == name {
			return bucket(i), true
		}
	}
	return 0, false
}

// The bucket that says what the journal is, and its keys.
var (
	metaBucket  = []byte("meta")
	keySchema   = []byte("schema")
	keyJournal  = []byte("journal")
	keyAgent    = []byte("agent")
	keyOrigin   = []byte("origin")
	keyTail     = []byte("tail")
	keySalvaged = []byte("salvaged")
)

func numberKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// momentKey makes moments sort as they follow each other, before 1970 as well.
func momentKey(b []byte, m call.Moment) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(m)^(1<<63))
}

func summaryKey(started call.Moment, num uint64) []byte {
	return binary.BigEndian.AppendUint64(momentKey(make([]byte, 0, 16), started), num)
}

// idKey is the key of a call id. An id is made by the PBX, or by whoever can
// tell it which to use, and may be of any length; a key may not.
func idKey(id string) []byte {
	const whole = 200
	switch {
	case id == "":
		return []byte{0}
	case len(id) <= whole:
		return []byte(id)
	}
	h := sha256.Sum256([]byte(id))
	return append([]byte(id[:whole]), h[:]...)
}

// pbxKey begins the key of something that belongs to a PBX.
func pbxKey(pbx string) ([]byte, error) {
	if len(pbx) > math.MaxUint8 {
		return nil, fmt.Errorf("name of PBX %.20q... has %d bytes, the limit is %d", pbx, len(pbx), math.MaxUint8)
	}
	return append([]byte{byte(len(pbx))}, pbx...), nil
}

func factKey(prefix []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, len(prefix)+8), prefix...), n)
}
