package storage

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"calljournal/agent/call"
)

// The buckets. Whatever grows without end has keys that grow as well, so that
// its pages are filled one after the other and never split.
var (
	bucketMeta      = []byte("meta")      // schema, journal id, tail
	bucketFeed      = []byte("feed")      // seq -> entry
	bucketCalls     = []byte("calls")     // call id -> ref
	bucketSummaries = []byte("summaries") // started_at, number -> summary: the index of queries
	bucketWhy       = []byte("why")       // number -> Why
	bucketWords     = []byte("words")     // number -> a word that many summaries share
	bucketOpen      = []byte("open")      // PBX, N -> fact of an open call
	bucketState     = []byte("state")     // name -> value
	bucketGaps      = []byte("gaps")      // PBX, from -> seq of the newest word on it
	bucketConsumers = []byte("consumers") // name -> consumer
)

var (
	keySchema   = []byte("schema")
	keyJournal  = []byte("journal")
	keyOrigin   = []byte("origin")
	keyTail     = []byte("tail")
	keySalvaged = []byte("salvaged")
)

func buckets() [][]byte {
	return [][]byte{
		bucketMeta, bucketFeed, bucketCalls, bucketSummaries, bucketWhy, bucketWords,
		bucketOpen, bucketState, bucketGaps, bucketConsumers,
	}
}

func numberKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// momentKey makes moments sort as they follow each other, before 1970 as well.
func momentKey(b []byte, m call.Moment) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(m)^(1<<63))
}

func momentOfKey(b []byte) call.Moment {
	return call.Moment(binary.BigEndian.Uint64(b) ^ (1 << 63))
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
