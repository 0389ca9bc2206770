package asterisk

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"calljournal/agent/call"
	"calljournal/connectors"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upChannel is a caller in a talk, as CoreShowChannels has him.
const upChannel = "Channel: PJSIP/trunk-a-00000007\nChannelState: 6\nChannelStateDesc: Up\nCallerIDNum: 79160000001\nCallerIDName: <unknown>\n" +
	"ConnectedLineNum: 101\nContext: from-trunk\nExten: s\nUniqueid: 1795376013.4\nLinkedid: 1795376013.4\n" +
	"Application: Dial\nApplicationData: PJSIP/101,20\nDuration: 00:00:09\nBridgeId: b-1"

func TestRun(t *testing.T) {
	script := func(p *peer) {
		p.started = "2026-11-22 10:00:00"
		p.channels = []string{upChannel}
		p.statuses = []string{"Channel: PJSIP/trunk-a-00000007\nChannelState: 6\nCallerIDNum: 79160000001\nUniqueid: 1795376013.4\nLinkedid: 1795376013.4\n" +
			"DNID: 74951230101\nBridgeID: b-1\nApplication: Dial\nData: PJSIP/101,20\nSeconds: 9"}
		p.extra = map[string]string{
			"BridgeList": "Response: Success\nActionID: $ID\nEventList: start\n\n" +
				"Event: BridgeListItem\nActionID: $ID\nBridgeUniqueid: b-1\nBridgeType: base\nBridgeTechnology: softmix\nBridgeCreator: ConfBridge\n\n" +
				"Event: BridgeListComplete\nActionID: $ID\nEventList: Complete\nListItems: 1\n\n",
			"QueueStatus": "Response: Success\nActionID: $ID\nEventList: start\n\n" +
				"Event: QueueParams\nActionID: $ID\nQueue: support\n\n" +
				"Event: QueueEntry\nActionID: $ID\nQueue: support\nUniqueid: 1795376013.4\n\n" +
				"Event: QueueStatusComplete\nActionID: $ID\nEventList: Complete\nListItems: 2\n\n",
		}
		if !p.login("Event: FullyBooted\nPrivilege: system,all\nUptime: 40\nStatus: Fully Booted\n\n" + hangup(1)) {
			return
		}
		if !p.survey() {
			return
		}
		p.say("%s", hangup(2))
		p.stay()
	}
	for _, chop := range []int{0, 1, 2, 3, 5, 7, 64} {
		t.Run(fmt.Sprintf("pieces of %d", chop), func(t *testing.T) {
			l := connect(t, Config{Address: serve(t, func(p *peer) { p.chop = chop; script(p) })})
			facts := []call.Event{l.next(t), l.next(t), l.next(t), l.next(t)}
			if got, want := kinds(facts), []call.Kind{call.LinkUp, call.Snapshot, call.LegEnded, call.LegEnded}; !cmp.Equal(got, want) {
				t.Fatalf("facts %v, want %v", got, want)
			}
			for i, e := range facts {
				if e.Session != 1 || e.Seq != uint64(i+1) {
					t.Errorf("fact %d is %d of session %d", i+1, e.Seq, e.Session)
				}
				if e.Seen == 0 || e.At == 0 {
					t.Errorf("fact %d has no time: at %d, seen %d", i+1, e.At, e.Seen)
				}
			}
			if facts[0].Data != "Asterisk 22.10.1" || facts[0].From == 0 {
				t.Errorf("LinkUp says %q, started %v", facts[0].Data, facts[0].From.Time())
			}
			want := []call.LiveLeg{{
				Leg: "1795376013.4", Link: "1795376013.4", Channel: "PJSIP/trunk-a-00000007", Endpoint: "trunk-a", State: call.StateUp,
				Number: "79160000001", Connected: "101", Dialled: "74951230101", Context: "from-trunk",
				Bridge: "b-1", BridgeKind: call.BridgeConference, App: call.AppDial, Data: "PJSIP/101", Queue: "support",
			}}
			got := slices.Clone(facts[1].Live)
			if len(got) == 1 {
				// The Uniqueid's epoch is long ago, so the age decides.
				if age := facts[1].Seen.Sub(got[0].Created); age < 8*time.Second || age > time.Minute {
					t.Errorf("created %v before the snapshot, want 9 s", age)
				}
				got[0].Created = 0
				got[0].Context, want[0].Context = "", "" // of whichever list came first
				got[0].Connected, want[0].Connected = "", ""
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("live legs (-want +got):\n%s", diff)
			}
			if facts[2].Leg != "1795376013.1" || facts[3].Leg != "1795376013.2" {
				t.Errorf("legs %s, %s ended", facts[2].Leg, facts[3].Leg)
			}
			if want := call.Moment(1795376013_000001); facts[2].At != want {
				t.Errorf("at %d, want the PBX's stamp %d", facts[2].At, want)
			}
			l.stop()
			if err := l.wait(t); err != nil {
				t.Errorf("stopped: %v", err)
			}
			if last := l.until(t, call.LinkDown); len(last) != 1 || last[0].Seq != 5 {
				t.Errorf("at the end %v", last)
			}
			if w := l.Stats().Warnings; len(w) > 0 {
				t.Errorf("warnings: %q", w)
			}
		})
	}
}

func TestRun_TellsWhatIsWrong(t *testing.T) {
	says := func(text string) func(*peer) { return func(p *peer) { p.raw([]byte(text)); p.action() } }
	const patience = 500 * time.Millisecond // for those who say nothing
	tests := []struct {
		name   string
		script func(*peer)
		kind   error
		words  []string
	}{
		{"wrong secret", func(p *peer) { p.login("") }, connectors.ErrLoginRefused, []string{"sign in", `"calljournal"`, "Authentication failed", "manager.conf"}},
		{"closed at once", func(p *peer) {}, connectors.ErrUnreachable, []string{"greet", "before a greeting", "enabled = yes"}},
		{"closed in the login", func(p *peer) { p.say("Asterisk Call Manager/1.3\n"); p.action() }, connectors.ErrUnreachable, []string{"sign in", "Challenge", "EOF"}},
		{"silent", func(p *peer) { p.action() }, connectors.ErrNotAPBX, []string{"says nothing", "tls = true"}},
		{"event socket", says("Content-Type: auth/request\n\n"), connectors.ErrNotAPBX, []string{`kind = "freeswitch"`}},
		{"web server", says("HTTP/1.1 400 Bad Request\r\n\r\n"), connectors.ErrNotAPBX, []string{"web server", "HTTP/1.1 400 Bad Request"}},
		{"ssh", says("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), connectors.ErrNotAPBX, []string{"SSH server", "5038"}},
		{"tls alert", says("\x15\x03\x01\x00\x02\x02\x16\n"), connectors.ErrNotAPBX, []string{"tls = true"}},
		{"bytes", says("\x00\xff\x1b[2J\n"), connectors.ErrNotAPBX, []string{`\x00\xff\x1b[2J`}},
		{"bytes without a line", says("\x15\x03\x01\x00\x02\x02\x16"), connectors.ErrNotAPBX, []string{"tls = true"}},
		{"a line without end", says(strings.Repeat("a", 100_000)), connectors.ErrNotAPBX, []string{"aaa"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			l := connect(t, Config{Address: serve(t, test.script), Secret: "not-the-secret", SignInWithin: patience,
				Logger: slog.New(slog.NewTextHandler(&log, nil))})
			err := l.wait(t)
			if !errors.Is(err, test.kind) {
				t.Errorf("got %v, want %v", err, test.kind)
			}
			for _, w := range append(test.words, l.link.Address) {
				if !strings.Contains(fmt.Sprint(err), w) {
					t.Errorf("the error does not say %q: %v", w, err)
				}
			}
			if len(fmt.Sprint(err)) > 400 {
				t.Errorf("%d characters of error", len(err.Error()))
			}
			if strings.Contains(fmt.Sprint(err)+log.String(), "not-the-secret") {
				t.Error("the secret is told")
			}
			if len(l.facts) > 0 {
				t.Errorf("facts of no session: %v", <-l.facts)
			}
		})
	}
}

func TestRun_Unreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for address, hint := range map[string]string{l.Addr().String(): "is the PBX running", "no-such-host.invalid:5038": ""} {
		err := connect(t, Config{Address: address}).wait(t)
		if !errors.Is(err, connectors.ErrUnreachable) || !strings.Contains(err.Error(), hint) || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestRun_LineBreakInSecret(t *testing.T) {
	address := serve(t, func(p *peer) { p.action() })
	err := connect(t, Config{Address: address, Secret: "a\r\nAction: Originate"}).wait(t)
	if err == nil || !strings.Contains(err.Error(), "line break") || strings.Contains(err.Error(), "Originate") {
		t.Error(err)
	}
}

// certificate gives a server's TLS configuration for 127.0.0.1 and the pool that
// trusts it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pbx"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

func TestRun_TLS(t *testing.T) {
	server, pool := certificate(t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, listener, func(p *peer) {
		if p.login("") {
			p.stay()
		}
	})
	address := listener.Addr().String()
	t.Run("well", func(t *testing.T) {
		l := connect(t, Config{Address: address, TLS: &tls.Config{RootCAs: pool}})
		l.until(t, call.Snapshot)
		l.stop()
		if err := l.wait(t); err != nil {
			t.Error(err)
		}
	})
	t.Run("unknown authority", func(t *testing.T) {
		err := connect(t, Config{Address: address, TLS: &tls.Config{}}).wait(t)
		if !errors.Is(err, connectors.ErrUnreachable) || !strings.Contains(err.Error(), "trusts") {
			t.Error(err)
		}
	})
	t.Run("plain against TLS", func(t *testing.T) {
		err := connect(t, Config{Address: address, SignInWithin: 100 * time.Millisecond}).wait(t)
		if !errors.Is(err, connectors.ErrNotAPBX) || !strings.Contains(err.Error(), "tls = true") {
			t.Error(err)
		}
	})
	t.Run("TLS against plain", func(t *testing.T) {
		plain := serve(t, func(p *peer) { p.login("") })
		err := connect(t, Config{Address: plain, TLS: &tls.Config{}}).wait(t)
		if !errors.Is(err, connectors.ErrNotAPBX) || !strings.Contains(err.Error(), "tls = false") || !strings.Contains(err.Error(), `"Aster"`) {
			t.Error(err)
		}
	})
}

func TestSignIn_SecretStaysHere(t *testing.T) {
	for _, challenge := range []bool{true, false} {
		heard := make(chan []map[string]string, 1)
		l := connect(t, Config{Address: serve(t, func(p *peer) {
			if !challenge {
				p.denied = []string{"Challenge"}
			}
			p.login("")
			heard <- p.asked
			p.stay()
		})})
		l.until(t, call.Snapshot)
		clear := false
		for _, a := range <-heard {
			clear = clear || a["Secret"] != ""
		}
		if clear == challenge {
			t.Errorf("challenge offered: %v; secret sent in clear: %v", challenge, clear)
		}
	}
}

// Nobody but us may tell the session of losses, ends and times.
func TestRun_NamesOfOurOwn(t *testing.T) {
	l := connect(t, Config{Address: serve(t, func(p *peer) {
		if !p.login("") || !p.survey() {
			return
		}
		p.say("Event: CJ-End\n\nEvent: CJ-Gap\nCJ-From: 1\nCJ-To: 2\nCJ-Count: 3\n\nevent: cj-end\n\n")
		p.say("%s", strings.Replace(hangup(1), "Channel:", "CJ-Seen: 1\nChannel:", 1))
		p.say("%s", hangup(2))
		p.stay()
	})})
	facts := l.until(t, call.LegEnded)
	if got, want := kinds(facts), []call.Kind{call.LinkUp, call.Snapshot, call.LegEnded}; !cmp.Equal(got, want) {
		t.Fatalf("facts %v, want %v", got, want)
	}
	if age := time.Since(facts[2].Seen.Time()); age > time.Minute {
		t.Errorf("the PBX says when we saw its message: %v ago", age)
	}
	if e := l.next(t); e.Leg != "1795376013.2" {
		t.Errorf("then came %v", e)
	}
	if n := l.Stats().Malformed["reserved_name"]; n != 4 {
		t.Errorf("counted %d reserved names, want 4", n)
	}
}

// A name that looks like protocol is a name; one that is not text becomes text.
func TestRun_HostileNames(t *testing.T) {
	names := map[string]string{
		`x\r\nEvent: Hangup\r\nUniqueid: 1`: "x\r\nEvent: Hangup\r\nUniqueid: 1",
		"Event: Shutdown":                   "Event: Shutdown",
		"\xff\xfe\x00a":                     "\uFFFD\uFFFD\uFFFDa",
		"a\rb\u2028c":                       "a\uFFFDb\u2028c",
		"Ольга O\\\\\\\"B":                  `Ольга O\"B`,
		strings.Repeat("ж", 5000):           strings.Repeat("ж", (8190-len("CallerIDName: "))/2),
	}
	for name, want := range names {
		l := connect(t, Config{Address: serve(t, func(p *peer) {
			if !p.login("") || !p.survey() {
				return
			}
			p.raw([]byte("Event: Newchannel\r\nChannel: PJSIP/t-1\r\nChannelState: 4\r\nCallerIDName: " + name + "\r\nUniqueid: 7.7\r\nLinkedid: 7.7\r\nTimestamp: 1795376013.5\r\n\r\n"))
			p.say("%s", hangup(1))
			p.stay()
		})})
		facts := l.until(t, call.LegEnded)
		if got := kinds(facts); len(got) != 4 || got[2] != call.LegCreated {
			t.Errorf("%.40q: facts %v", name, got)
		} else if facts[2].CallerName != want {
			t.Errorf("%.40q became %.80q (%d bytes)", name, facts[2].CallerName, len(facts[2].CallerName))
		}
	}
}

func TestRun_LineWithoutEnd(t *testing.T) {
	l := connect(t, Config{Address: serve(t, func(p *peer) {
		if !p.login("") || !p.survey() {
			return
		}
		p.say("Event: Newchannel\nUniqueid: 5.5\nCallerIDName: ")
		for range 200 {
			p.raw(bytes.Repeat([]byte("x"), 10_000))
		}
		p.say("\nLinkedid: 5.5\n\n")
		p.say("%s", hangup(1))
		p.stay()
	})})
	facts := l.until(t, call.LegEnded)
	if len(facts) != 4 || facts[2].Leg != "5.5" || facts[2].Link != "5.5" || len(facts[2].CallerName) > 8192 {
		t.Errorf("facts %v", kinds(facts))
	}
	if n := l.Stats().Malformed["line_too_long"]; n != 1 {
		t.Errorf("counted %d long lines, want 1", n)
	}
}

func TestRun_SilentLine(t *testing.T) {
	pings := make(chan int, 1)
	l := connect(t, Config{IdleAfter: 20 * time.Millisecond, DeadAfter: 70 * time.Millisecond, Address: serve(t, func(p *peer) {
		n := 0
		defer func() { pings <- n }()
		if !p.login("") || !p.survey() {
			return
		}
		for a := p.action(); a != nil; a = p.action() {
			n++
		}
	})})
	err := l.wait(t)
	if !errors.Is(err, connectors.ErrLineDead) {
		t.Errorf("got %v", err)
	}
	if n := <-pings; n > 3 { // how many exactly is wire's to test, by a clock of its own
		t.Errorf("%d Pings were sent", n)
	}
	facts := l.until(t, call.LinkDown)
	if got, want := kinds(facts), []call.Kind{call.LinkUp, call.Snapshot, call.LinkDown}; !cmp.Equal(got, want) {
		t.Errorf("facts %v, want %v", got, want)
	}
}

func TestRun_PingKeepsTheLine(t *testing.T) {
	l := connect(t, Config{IdleAfter: 10 * time.Millisecond, DeadAfter: 10 * time.Second, Address: serve(t, func(p *peer) {
		if !p.login("") || !p.survey() {
			return
		}
		for n := 0; n < 5; n++ {
			a := p.action()
			if a == nil {
				return
			}
			p.answer(a)
		}
		p.say("%s", hangup(1))
		p.stay()
	})})
	if facts := l.until(t, call.LegEnded); len(facts) != 3 {
		t.Errorf("facts %v", kinds(facts))
	}
}

func TestRun_PermissionDenied(t *testing.T) {
	l := connect(t, Config{Address: serve(t, func(p *peer) {
		p.denied = []string{"CoreSettings", "CoreStatus", "CoreShowChannels", "Status", "ParkedCalls", "ListCommands"}
		if !p.login("") || !p.survey() {
			return
		}
		p.say("%s", hangup(1))
		p.stay()
	})})
	facts := l.until(t, call.LegEnded)
	if got, want := kinds(facts), []call.Kind{call.LinkUp, call.LegEnded}; !cmp.Equal(got, want) {
		t.Errorf("facts %v, want %v: an empty snapshot would end every call", got, want)
	}
	if facts[0].Data != "Asterisk Call Manager/11.0.0" || facts[0].From != 0 {
		t.Errorf("LinkUp says %q, started %d", facts[0].Data, facts[0].From)
	}
	w := l.Stats().Warnings
	if len(w) != 1 || !strings.Contains(w[0], "CoreSettings, CoreShowChannels, CoreStatus, Status") || strings.Contains(w[0], "ParkedCalls") || !strings.Contains(w[0], "write = reporting") {
		t.Errorf("warnings %q", w)
	}
}

func TestRun_SnapshotFromEitherList(t *testing.T) {
	for _, denied := range []string{"CoreShowChannels", "Status"} {
		l := connect(t, Config{Address: serve(t, func(p *peer) {
			p.denied = []string{denied}
			p.channels, p.statuses = []string{upChannel}, []string{upChannel}
			if p.login("") {
				p.stay()
			}
		})})
		facts := l.until(t, call.Snapshot)
		if live := facts[len(facts)-1].Live; len(live) != 1 || live[0].Leg != "1795376013.4" {
			t.Errorf("without %s: %v", denied, live)
		}
	}
}

func TestRun_NoAnswers(t *testing.T) {
	l := connect(t, Config{AnswerWithin: 50 * time.Millisecond, Address: serve(t, func(p *peer) {
		if !p.login(hangup(1)) {
			return
		}
		for a := p.action(); a != nil; a = p.action() {
		}
	})})
	facts := l.until(t, call.LegEnded)
	if got, want := kinds(facts), []call.Kind{call.LinkUp, call.LegEnded}; !cmp.Equal(got, want) {
		t.Errorf("facts %v, want %v", got, want)
	}
	if w := l.Stats().Warnings; len(w) != 1 || !strings.Contains(w[0], "did not answer BridgeList, CoreSettings, CoreShowChannels") {
		t.Errorf("warnings %q", w)
	}
}

// A PBX that was too busy to answer is asked again, until it does.
func TestRun_AnswersLater(t *testing.T) {
	l := connect(t, Config{AnswerWithin: 20 * time.Millisecond, Address: serve(t, func(p *peer) {
		p.channels = []string{upChannel}
		if !p.login("") {
			return
		}
		for a := p.action(); a != nil && a["Action"] != "CoreShowChannels"; a = p.action() {
		}
		p.stay()
	})})
	facts := l.until(t, call.Snapshot)
	if got, want := kinds(facts), []call.Kind{call.LinkUp, call.Snapshot}; !cmp.Equal(got, want) || len(facts[1].Live) != 1 {
		t.Errorf("facts %v, want %v", got, want)
	}
	eventually(t, "a withdrawn warning", func() bool { return len(l.Stats().Warnings) == 0 })
}

func TestRun_Warnings(t *testing.T) {
	l := connect(t, Config{Address: serve(t, func(p *peer) {
		p.extra = map[string]string{"ListCommands": "Response: Success\nActionID: $ID\nOriginate: Originate Call.  (Priv: originate,all)\nPing: Keepalive command.  (Priv: <none>)\nHangup: Hangup channel.  (Priv: system,call,all)\n\n"}
		if !p.login("") || !p.survey() {
			return
		}
		p.say("Event: Hangup\nChannel: PJSIP/101-1\nUniqueid: 1.1\nCause: 16\n\n")
		p.action()
	})})
	facts := l.until(t, call.LegEnded)
	if e := facts[len(facts)-1]; e.At != e.Seen {
		t.Errorf("without a stamp at %d, seen %d", e.At, e.Seen)
	}
	w := l.Stats().Warnings
	if len(w) != 2 || !strings.Contains(w[0], "may also Originate, Hangup") || !strings.Contains(w[1], "timestampevents = yes") {
		t.Errorf("warnings %q", w)
	}
}

// A queue that is full loses the newest, says how many, and has the state of
// things asked again.
func TestRun_QueueFull(t *testing.T) {
	full, sent, written, last := make(chan struct{}), make(chan int, 1), make(chan int, 1), make(chan struct{})
	l := newLink(t, Config{QueueBytes: 200_000, Address: serve(t, func(p *peer) {
		if !p.login("") || !p.survey() {
			return
		}
		n := 0
		for more := true; more; {
			var b strings.Builder
			for range 100 {
				n++
				b.WriteString(hangup(n))
			}
			p.say("%s", b.String())
			select {
			case <-full:
				more = false
			default:
			}
		}
		sent <- n
		written <- p.written
		<-last
		p.say("%s", hangup(n+1))
		p.stay()
	})})
	goOn := make(chan struct{})
	l.facts = make(chan call.Event, 1<<20)
	l.run(t, func(e call.Event) {
		if e.Kind == call.LegEnded {
			<-goOn
		}
		l.facts <- e
	})
	eventually(t, "a full queue", func() bool { return l.Stats().DroppedByQueue > 1000 })
	close(full)
	n, all := <-sent, uint64(<-written)
	eventually(t, "all read", func() bool { return l.Stats().Bytes >= all })
	close(goOn)
	eventually(t, "an empty queue", func() bool { return l.Stats().QueueBytes == 0 })
	close(last)

	ended, lost, healed := 0, 0, false
	for seq, before := uint64(1), 0; before <= n; seq++ {
		e := l.next(t)
		if e.Seq != seq {
			t.Fatalf("fact %d has the number %d", seq, e.Seq)
		}
		switch e.Kind {
		case call.LegEnded:
			var leg int
			if _, err := fmt.Sscanf(string(e.Leg), "1795376013.%d", &leg); err != nil || leg <= before {
				t.Fatalf("leg %s after leg %d", e.Leg, before)
			}
			before = leg
			ended++
		case call.LinkGap:
			var count int
			if _, err := fmt.Sscanf(e.Data, "%d messages lost: queue full", &count); err != nil || e.From == 0 || e.At < e.From {
				t.Fatalf("the gap is %+v", e)
			}
			lost += count
			healed = false
		case call.Snapshot:
			healed = true
		}
	}
	if counted := l.Stats().DroppedByQueue; int(counted) != lost || ended+lost != n+1 {
		t.Errorf("%d sent, %d came, gaps of %d, %d counted as lost", n+1, ended, lost, counted)
	}
	if !healed {
		t.Error("no snapshot after the last gap")
	}
}

// What was read before the daemon stops is stated before Run returns.
func TestRun_StopDrains(t *testing.T) {
	const n = 20_000
	written := make(chan int, 1)
	l := newLink(t, Config{Address: serve(t, func(p *peer) {
		if !p.login("") || !p.survey() {
			return
		}
		for i := range n {
			p.say("%s", hangup(i))
		}
		written <- p.written
		p.stay()
	})})
	goOn := make(chan struct{})
	l.run(t, func(e call.Event) {
		<-goOn
		l.facts <- e
	})
	all := uint64(<-written)
	eventually(t, "all read", func() bool { return l.Stats().Bytes >= all })
	l.stop()
	close(goOn)
	if err := l.wait(t); err != nil {
		t.Error(err)
	}
	facts := l.until(t, call.LinkDown)
	if len(facts) != n+3 {
		t.Errorf("%d facts, want %d", len(facts), n+3)
	}
	if len(l.facts) > 0 {
		t.Error("something came after LinkDown")
	}
}

func TestRun_PBXGoes(t *testing.T) {
	for name, last := range map[string]string{"shut down": "Event: Shutdown\nPrivilege: system,all\nShutdown: Cleanly\nRestart: False\n\n", "closed": ""} {
		l := connect(t, Config{Address: serve(t, func(p *peer) {
			if p.login("") && p.survey() {
				p.say("%s%s", hangup(1), last)
			}
		})})
		err := l.wait(t)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		facts := l.until(t, call.LinkDown)
		if got := kinds(facts); len(got) != 4 || got[2] != call.LegEnded || facts[3].Data != err.Error() {
			t.Errorf("%s: facts %v, the last says %q", name, got, facts[len(facts)-1].Data)
		}
	}
}

func TestRun_Restart(t *testing.T) {
	started := []string{"2026-11-22 10:00:00", "2026-11-22 10:00:02", "2026-11-22 11:30:00", "", ""}
	shutdown := []string{"", "", "", "Event: Shutdown\n\n", ""}
	restart := []bool{false, false, true, false, true}
	l := newLink(t, Config{Address: serve(t, func(p *peer) {
		p.started = started[p.n-1]
		if p.login("") && p.survey() {
			p.say("%s%s", hangup(1), shutdown[p.n-1])
		}
	})})
	for i, want := range restart {
		l.run(t, func(e call.Event) { l.facts <- e })
		if err := l.wait(t); err == nil {
			t.Fatal("no error")
		}
		facts := l.until(t, call.LinkDown)
		got := kinds(facts)
		if is := slices.Contains(got, call.PBXStarted); is != want || is && got[1] != call.PBXStarted {
			t.Errorf("session %d: facts %v; restart %v", i+1, got, want)
		}
		if zero := facts[0].From == 0; zero != (started[i] == "") {
			t.Errorf("session %d: started %v", i+1, facts[0].From.Time())
		}
	}
}

// The daemon may stop at any point of a connect, and a PBX may leave at any.
func TestRun_EndsAnywhere(t *testing.T) {
	for _, stop := range []bool{true, false} {
		for n := range 14 {
			var l *watched
			ready := make(chan struct{})
			l = newLink(t, Config{IdleAfter: 5 * time.Millisecond, Address: serve(t, func(p *peer) {
				<-ready
				end := func() bool {
					n--
					if n >= 0 {
						return false
					}
					if stop {
						l.stop()
						p.action()
					}
					return true
				}
				if end() || !p.login("") || end() {
					return
				}
				for a := p.action(); a != nil && !end(); a = p.action() {
					p.answer(a)
				}
			})})
			l.run(t, func(e call.Event) { l.facts <- e })
			close(ready)
			err := l.wait(t)
			if (err == nil) != stop {
				t.Errorf("stopped: %v, ended with %v", stop, err)
			}
			var got []call.Kind
			for len(l.facts) > 0 {
				got = append(got, (<-l.facts).Kind)
			}
			if len(got) > 0 && (got[0] != call.LinkUp || got[len(got)-1] != call.LinkDown) {
				t.Errorf("facts %v", got)
			}
		}
	}
}

// A PBX that comes up anew behind a connection that stays.
func TestRun_RestartBehindAProxy(t *testing.T) {
	l := connect(t, Config{Address: serve(t, func(p *peer) {
		if !p.login("Event: FullyBooted\nUptime: 5000\n\n") || !p.survey() {
			return
		}
		p.say("Event: FullyBooted\nUptime: 2\n\n")
		p.stay()
	})})
	facts := append(l.until(t, call.PBXStarted), l.next(t))
	if got, want := kinds(facts), []call.Kind{call.LinkUp, call.Snapshot, call.PBXStarted, call.Snapshot}; !cmp.Equal(got, want) {
		t.Errorf("facts %v, want %v", got, want)
	}
}

func TestRun_HundredSessionsLeaveNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("sessions", func(t *testing.T) {
		l := newLink(t, Config{Address: serve(t, func(p *peer) {
			if !p.login("") {
				return
			}
			if p.n%3 == 0 && !p.survey() { // else in the middle of it
				return
			}
			for i := range 50 {
				p.say("%s", hangup(i))
			}
			if p.n%2 == 0 {
				p.stay()
			}
		})})
		for i := range 100 {
			l.run(t, func(e call.Event) { l.facts <- e })
			if (i+1)%2 == 0 {
				for l.next(t).Kind != call.LinkUp {
				}
				l.stop()
			}
			l.wait(t)
			for len(l.facts) > 0 {
				<-l.facts
			}
		}
	})
	goleak.VerifyNone(t, before)
}
