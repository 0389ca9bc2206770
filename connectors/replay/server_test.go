package replay_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"calljournal/connectors/replay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func recorded(t testing.TB, kind, name string) *replay.Recording {
	t.Helper()
	all, err := replay.OpenArchive(filepath.Join("testdata", kind+".tar.zst"))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(r *replay.Recording) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no recording %s of %s", name, kind)
	}
	return all[i]
}

// play starts a PBX that ends with the test.
func play(t *testing.T, r *replay.Recording, o replay.Options) *replay.Server {
	t.Helper()
	o.User, o.Secret, o.Unpaced = "calljournal", "s3cret", true
	s, err := replay.Listen(r.Kind, replay.Once(r), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the PBX ended with: %v", err)
		}
	})
	return s
}

// client is a hand on the socket: no code of the product reads here.
type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, s *replay.Server) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t, c, bufio.NewReader(c)}
}

func (c *client) say(lines ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

// message reads up to an empty line.
func (c *client) message() (string, error) {
	var b strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		b.WriteString(line)
		if err != nil || strings.TrimRight(line, "\r\n") == "" {
			return b.String(), err
		}
	}
}

func (c *client) expect(part string) string {
	c.t.Helper()
	m, err := c.message()
	if err != nil || !strings.Contains(m, part) {
		c.t.Fatalf("want a message with %q, got %q, %v", part, m, err)
	}
	return m
}

// login signs in to a manager interface by challenge.
func (c *client) login(events string) {
	c.t.Helper()
	if g, err := c.in.ReadString('\n'); err != nil || !strings.HasPrefix(g, "Asterisk Call Manager/") {
		c.t.Fatalf("greeting %q, %v", g, err)
	}
	c.say("Action: Challenge", "AuthType: MD5")
	m := c.expect("Challenge: ")
	_, challenge, _ := strings.Cut(m, "Challenge: ")
	sum := md5.Sum([]byte(strings.TrimSpace(challenge) + "s3cret"))
	c.say("Action: Login", "AuthType: MD5", "Username: calljournal", "Key: "+hex.EncodeToString(sum[:]), "Events: "+events)
	c.expect("Authentication accepted")
	if events == "on" {
		c.expect("Event: FullyBooted")
	}
}

// survey asks for the channels, and with that the programme begins.
func (c *client) survey() {
	c.t.Helper()
	c.say("Action: CoreShowChannels")
	for m := ""; !strings.HasPrefix(m, "Event: CoreShowChannelsComplete"); {
		m = c.expect("")
	}
}

// events is what a subscriber must get of a recording.
func events(r *replay.Recording) []string {
	var out []string
	for _, m := range r.Messages() {
		text := string(m.Raw)
		if strings.HasPrefix(text, "Event: ") && !strings.Contains(text, "\r\nActionID: rec-") && !strings.HasPrefix(text, "Event: FullyBooted\r") &&
			!strings.HasPrefix(text, "Event: Cdr\r") && !strings.HasPrefix(text, "Event: CEL\r") {
			out = append(out, text)
		}
	}
	return out
}

func TestServer_AMI(t *testing.T) {
	for _, o := range []struct {
		name string
		replay.Options
	}{
		{"as recorded", replay.Options{KeepTime: true}},
		{"in pieces", replay.Options{KeepTime: true, Chop: 7}},
		{"login and events in one segment", replay.Options{KeepTime: true, CoalesceLogin: true}},
	} {
		t.Run(o.name, func(t *testing.T) {
			r := recorded(t, replay.Asterisk, "xfer_blind_1")
			c := dial(t, play(t, r, o.Options))
			c.login("on")
			if !o.CoalesceLogin {
				c.survey()
			}
			for i, want := range events(r) {
				if got, err := c.message(); err != nil || got != want {
					t.Fatalf("event %d: want %q, got %q, %v", i, want, got, err)
				}
				if i == 0 && o.CoalesceLogin {
					c.survey()
				}
			}
		})
	}
}

func TestServer_AMIDoors(t *testing.T) {
	r := recorded(t, replay.Asterisk, "in_answered_1")
	s := play(t, r, replay.Options{})
	for _, wrong := range [][]string{
		{"Action: Login", "Username: calljournal", "Secret: wrong"},
		{"Action: Login", "Username: other", "Secret: s3cret"},
		{"Action: Login", "Username: calljournal", "AuthType: MD5", "Key: d41d8cd98f00b204e9800998ecf8427e"},
	} {
		c := dial(t, s)
		if _, err := c.in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		c.say("Action: CoreShowChannels")
		c.expect("Permission denied")
		c.say(wrong...)
		c.expect("Authentication failed")
		if m, err := c.message(); err == nil {
			t.Errorf("after a refused login: %q", m)
		}
	}
	select {
	case <-s.Started():
		t.Error("the programme began though nobody was let in")
	default:
	}
}

// TestServer_AMIState asks for the channels in the middle of a call.
func TestServer_AMIState(t *testing.T) {
	r := recorded(t, replay.Asterisk, "late_connect")
	c := dial(t, play(t, r, replay.Options{}))
	c.login("off")
	c.say("Action: CoreShowChannels", "ActionID: q-1")
	c.expect("Channels will follow")
	n := 0
	for {
		m, err := c.message()
		if err != nil || !strings.Contains(m, "ActionID: q-1\r\n") {
			t.Fatalf("%q, %v", m, err)
		}
		if strings.HasPrefix(m, "Event: CoreShowChannelsComplete") {
			if !strings.Contains(m, "ListItems: "+strconv.Itoa(n)+"\r\n") || n != bytes.Count(r.Stream, []byte("Event: CoreShowChannel\r\n")) {
				t.Errorf("%d channels, then %q", n, m)
			}
			break
		}
		n++
	}
	c.say("Action: Ping")
	c.expect("Ping: Pong")
	c.say("Action: Originate", "Channel: PJSIP/101")
	c.expect("Permission denied")
	c.say("Action: Events", "EventMask: call")
	c.expect("Events: On")
	if m := c.expect("Privilege: call,all"); strings.Contains(m, "VarSet") {
		t.Errorf("not of the class asked for: %q", m)
	}
}

// TestServer_cut breaks the line where the recording's own line broke.
func TestServer_cut(t *testing.T) {
	r := recorded(t, replay.Asterisk, "reconn_talking")
	s := play(t, r, replay.Options{KeepTime: true})
	c := dial(t, s)
	c.login("on")
	c.survey()
	want := events(r)
	got := 0
	for {
		m, err := c.message()
		if err != nil {
			break
		}
		if m != want[got] {
			t.Fatalf("event %d: %q", got, m)
		}
		got++
	}
	if got == 0 || got == len(want) {
		t.Fatalf("%d of %d events before the break", got, len(want))
	}
	var again *client
	for again == nil { // the port is closed for as long as the break lasts
		if nc, err := net.Dial("tcp", s.Addr()); err == nil {
			again = &client{t, nc, bufio.NewReader(nc)}
		}
	}
	defer again.Close()
	again.login("on")
	again.survey()
	for i := got; i < len(want); i++ {
		if m, err := again.message(); err != nil || m != want[i] {
			t.Fatalf("event %d after the break: want %q, got %q, %v", i, want[i], m, err)
		}
	}
}

func TestServer_noStamps(t *testing.T) {
	r := recorded(t, replay.Asterisk, "in_answered_1")
	c := dial(t, play(t, r, replay.Options{NoStamps: true}))
	c.login("on")
	c.survey()
	for range events(r) {
		if m := c.expect("Event: "); strings.Contains(m, "\r\nTimestamp: ") {
			t.Fatalf("a stamp in %q", m)
		}
	}
}

// frame reads one ESL frame.
func (c *client) frame() (head string, body []byte) {
	c.t.Helper()
	head, err := c.message()
	if err != nil {
		c.t.Fatalf("%q, %v", head, err)
	}
	for line := range strings.Lines(head) {
		if n, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			size, err := strconv.Atoi(strings.TrimSpace(n))
			if err != nil {
				c.t.Fatal(err)
			}
			body = make([]byte, size)
			if _, err := io.ReadFull(c.in, body); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	return head, body
}

func (c *client) ask(command, part string) []byte {
	c.t.Helper()
	if _, err := io.WriteString(c, command+"\n\n"); err != nil {
		c.t.Fatal(err)
	}
	head, body := c.frame()
	if !strings.Contains(head+string(body), part) {
		c.t.Fatalf("%s: want %q, got %q %q", command, part, head, body)
	}
	return body
}

func TestServer_ESL(t *testing.T) {
	r := recorded(t, replay.FreeSWITCH, "inbound_answered")
	s := play(t, r, replay.Options{Chop: 5})
	bad := dial(t, s)
	bad.frame()
	bad.ask("api status", "-ERR command not found")
	bad.ask("auth wrong", "-ERR invalid")
	bad.frame()
	if m, err := bad.message(); err == nil {
		t.Errorf("after a refused login: %q", m)
	}

	c := dial(t, s)
	if head, _ := c.frame(); !strings.Contains(head, "auth/request") {
		t.Fatalf("greeting %q", head)
	}
	c.ask("auth s3cret", "+OK accepted")
	if b := c.ask("api show channels as json", "row_count"); string(b) != `{"row_count":0}` {
		t.Errorf("channels before the first call: %s", b)
	}
	before := time.Now()
	c.ask("event json CHANNEL_CREATE CHANNEL_ANSWER CHANNEL_HANGUP_COMPLETE CUSTOM callcenter::info", "+OK event listener enabled json")
	var names []string
	for len(names) < 6 {
		_, body := c.frame()
		var e map[string]any
		if err := json.Unmarshal(body, &e); err != nil {
			t.Fatalf("%v in %q", err, body)
		}
		names = append(names, fmt.Sprint(e["Event-Name"]))
		us, err := strconv.ParseInt(fmt.Sprint(e["Event-Date-Timestamp"]), 10, 64)
		if at := time.UnixMicro(us); err != nil || at.Before(before.Add(-time.Minute)) || at.After(time.Now().Add(time.Minute)) {
			t.Errorf("%s at %v: the stamp was not moved to now", e["Event-Name"], at)
		}
	}
	want := []string{"CHANNEL_CREATE", "CHANNEL_CREATE", "CHANNEL_ANSWER", "CHANNEL_ANSWER", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_HANGUP_COMPLETE"}
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("events %v, want %v", names, want)
	}
}

// TestServer_ESLPlain: what is written again is what was recorded, and a filter
// holds.
func TestServer_ESLPlain(t *testing.T) {
	for _, name := range []string{"pickup_intercept", "hold_unhold", "queue_answered", "voicemail_left"} {
		r := recorded(t, replay.FreeSWITCH, name)
		c := dial(t, play(t, r, replay.Options{KeepTime: true}))
		c.frame()
		c.ask("auth s3cret", "+OK accepted")
		c.ask("api show channels as json", "row_count")
		c.ask("filter Event-Name -RE_SCHEDULE", "+OK filter added")
		c.ask("filter Event-Calling-Function switch_core_session_run", "+OK filter added")
		c.ask("event plain ALL", "+OK event listener enabled plain")
		n := 0
		for _, m := range r.Messages() {
			if !bytes.Contains(m.Raw, []byte("text/event-plain")) || !bytes.Contains(m.Body, []byte("\nEvent-Calling-Function: switch_core_session_run\n")) ||
				bytes.Contains(m.Body, []byte("Event-Name: RE_SCHEDULE\n")) {
				continue
			}
			n++
			if _, body := c.frame(); !bytes.Equal(body, m.Body) {
				t.Fatalf("%s: want\n%q, got\n%q", name, m.Body, body)
			}
		}
		if n == 0 {
			t.Errorf("%s: nothing to compare", name)
		}
	}
}

// TestLoop: rounds of the same recording share no id, and callers have other
// numbers.
func TestLoop(t *testing.T) {
	for _, r := range []*replay.Recording{recorded(t, replay.Asterisk, "xfer_blind_1"), recorded(t, replay.FreeSWITCH, "blind_transfer_answered")} {
		t.Run(r.Kind, func(t *testing.T) {
			programme, err := replay.Loop([]*replay.Recording{r}, 500*time.Millisecond, 1)
			if err != nil {
				t.Fatal(err)
			}
			s, err := replay.Listen(r.Kind, programme, replay.Options{User: "calljournal", Secret: "s3cret", Unpaced: true})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			defer func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			c := dial(t, s)
			ids, channel := map[string]int{}, ""
			if r.Kind == replay.Asterisk {
				c.login("on")
				c.survey()
			} else {
				c.frame()
				c.ask("auth s3cret", "+OK")
				c.ask("api show channels as json", "row_count")
				c.ask("event plain CHANNEL_CREATE", "+OK")
			}
			for created := 0; created < 9; {
				var text string
				if r.Kind == replay.Asterisk {
					text, err = c.message()
					if err != nil {
						t.Fatal(err)
					}
					if !strings.HasPrefix(text, "Event: Newchannel") {
						continue
					}
					channel = "Uniqueid: "
				} else {
					_, body := c.frame()
					text, channel = string(body), "Unique-ID: "
				}
				created++
				if strings.Contains(text, "9161122001") || strings.Contains(text, "9161234567") {
					t.Errorf("a recorded caller's number in %q", text)
				}
				_, rest, _ := strings.Cut(text, "\n"+channel)
				id, _, _ := strings.Cut(rest, "\n")
				if ids[id]++; id == "" || ids[id] > 1 {
					t.Errorf("id %q for the %d. time", id, ids[id])
				}
			}
		})
	}
}
