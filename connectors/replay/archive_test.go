package replay_test

import (
	"bytes"
	"testing"

	"calljournal/connectors/replay"
)

func TestArchive(t *testing.T) {
	packed := []replay.Packed{
		{Name: "b", Meta: []byte(`{"kind": "freeswitch", "t0_epoch_ms": 1500.5, "parts": [{"start_ms": 0, "bytes": 28}, {"start_ms": 9, "bytes": 40}],
			"cuts": [{"at_ms": 3.5, "down_ms": 2}]}`), Times: []byte("# a note\n0 20\n1.5 40\n"),
			Stream: []byte("Content-Type: auth/request\n\nContent-Length: 2\n\nab")},
		{Name: "a", Meta: []byte(`{"kind": "asterisk"}`), Expect: []byte(`{}`), Times: []byte("2 8\n4 100\n"),
			Stream: []byte("Asterisk Call Manager/5\r\nEvent: A\r\n\r\nEvent: B\r\n\r\nEvent: cut o")},
	}
	var one, two bytes.Buffer
	if err := replay.WriteArchive(&one, packed); err != nil {
		t.Fatal(err)
	}
	packed[0], packed[1] = packed[1], packed[0]
	if err := replay.WriteArchive(&two, packed); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the same recordings in another order give another archive")
	}
	all, err := replay.ReadArchive(&one)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Name != "a" || all[1].Name != "b" {
		t.Fatalf("got %v", all)
	}
	a, b := all[0].Messages(), all[1].Messages()
	if len(a) != 2 || string(a[1].Raw) != "Event: B\r\n\r\n" || a[0].At.Milliseconds() != 4 {
		t.Errorf("Asterisk's messages: %v", a)
	}
	if len(b) != 2 || string(b[1].Body) != "ab" || b[1].Part != 1 || all[1].T0.UnixMicro() != 1_500_500 || all[1].Cuts[0].Down.Milliseconds() != 2 {
		t.Errorf("FreeSWITCH's messages: %v", b)
	}
}

func TestReadArchive_bad(t *testing.T) {
	for name, p := range map[string]replay.Packed{
		"kind":  {Name: "x", Meta: []byte(`{"kind": "pots"}`)},
		"meta":  {Name: "x", Meta: []byte(`{`)},
		"times": {Name: "x", Times: []byte("1.5\n")},
		"chunk": {Name: "x", Times: []byte("a b\n")},
	} {
		var b bytes.Buffer
		if err := replay.WriteArchive(&b, []replay.Packed{p}); err != nil {
			t.Fatal(err)
		}
		if _, err := replay.ReadArchive(&b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := replay.ReadArchive(bytes.NewReader([]byte("no archive"))); err == nil {
		t.Error("no archive, and no error")
	}
}
