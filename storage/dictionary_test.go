package storage

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"os"
	"testing"
)

var (
	rewrite         = flag.Bool("update", false, "write the fixture anew; never that of a released schema")
	newDictionaries = flag.Bool("newdictionaries", false, "write the dictionaries anew; never released ones")
)

// The dictionaries are made of calls as offices have them, with names and
// numbers that belong to nobody.
func makeDictionaries(t *testing.T) (records, facts []byte) {
	t.Helper()
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	marshal := func(v any) []byte {
		var b bytes.Buffer
		if err := c.enc.MarshalToBuffer(v, &b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	o := newOffice(42)
	for range 8 {
		r, f := o.call()
		records = append(records, marshal(&storedEntry{At: r.EndedAt, Op: opCall, Num: 1, Call: r})...)
		if len(facts) < 6000 {
			facts = append(facts, marshal(whySteps(Why{Reasons: reasons(), Facts: f}))...)
		}
	}
	return records, facts
}

// Whatever was compressed with a dictionary needs it for ever.
func TestReleasedDictionariesNeverChange(t *testing.T) {
	if *newDictionaries {
		records, facts := makeDictionaries(t)
		for name, b := range map[string][]byte{"dictionary/record.1": records, "dictionary/facts.1": facts} {
			if err := os.WriteFile(name, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, want := range map[string]string{
		"dictionary/record.1": "1e8f17bcfc3bc40f5934e07e340dca4fc721efab4bd6779d108a3f5dd4ccdd22",
		"dictionary/facts.1":  "9774be8833b7372638355daf098a22ae7d45962b15ae7ba0684d280b6bee0275",
	} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.Sum256(b)
		if got := hex.EncodeToString(h[:]); got != want {
			t.Errorf("%s is %s, was released as %s", name, got, want)
		}
	}
}
