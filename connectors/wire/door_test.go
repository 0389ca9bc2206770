package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
)

func knock(t *testing.T, d *Door, secret string) (answer string, conn net.Conn) {
	t.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort(d.Host, d.Port))
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	r.ReadString('\n')
	fmt.Fprintf(conn, "Action: Login\r\nSecret: %s\r\nUsername: x\r\n\r\n", secret)
	answer, _ = r.ReadString('\n')
	return strings.TrimSpace(answer), conn
}

func TestDoor_LetsInOneWhoKnows(t *testing.T) {
	d, err := OpenDoor()
	if err != nil {
		t.Fatal(err)
	}
	admitted := make(chan net.Conn)
	go func() {
		conn, err := d.Admit(t.Context(), AskAMI)
		if err != nil {
			t.Error(err)
		}
		admitted <- conn
	}()
	for _, secret := range []string{"", "guess", strings.Repeat("x", 10_000), d.Secret + "x"} {
		answer, conn := knock(t, d, secret)
		conn.Close()
		if strings.Contains(answer, "Success") {
			t.Errorf("%.20q was let in", secret)
		}
	}
	answer, conn := knock(t, d, d.Secret)
	if answer != "Response: Success" {
		t.Errorf("the answer is %q", answer)
	}
	defer conn.Close()
	ours := <-admitted
	defer ours.Close()
	if c, err := net.Dial("tcp", net.JoinHostPort(d.Host, d.Port)); err == nil {
		c.Close()
		t.Error("the door is still open")
	}
	if other, err := OpenDoor(); err != nil || other.Secret == d.Secret || len(d.Secret) < 20 {
		t.Errorf("secrets %q, %q", d.Secret, other.Secret)
	} else {
		other.Close()
	}
}

func TestDoor_WaitsNoLongerThanItsContext(t *testing.T) {
	d, err := OpenDoor()
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("nobody came")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := d.Admit(ctx, AskAMI); !errors.Is(err, why) {
		t.Error(err)
	}
}

func TestRecognise(t *testing.T) {
	for first, want := range map[string]string{
		"Asterisk Call Manager/11": "an Asterisk manager interface", "HTTP/1.1 400": "a web server", "\x15\x03\x01": "a TLS port",
		"Content-Type: auth/request": "a FreeSWITCH event socket", "SSH-2.0": "an SSH server", "": "", "x": "",
	} {
		if got := Recognise([]byte(first)); got != want {
			t.Errorf("%q is %q, want %q", first, got, want)
		}
	}
}

func TestNeeded_Merge(t *testing.T) {
	a := Needed{"x": {Headers: []string{"A"}, Only: map[string][]string{"K": {"1"}}}, "y": {Only: map[string][]string{"K": {"1"}}}, "z": {}}
	b := Needed{"x": {Headers: []string{"B"}, Only: map[string][]string{"K": {"2"}}}, "y": {Headers: []string{"C"}}}
	m := a.Merge(b)
	if got := fmt.Sprint(m); got != "map[x:{[A B] map[K:[1 2]]} y:{[C] map[]} z:{[] map[]}]" {
		t.Error(got)
	}
	if len(a["x"].Headers) != 1 || len(a["x"].Only["K"]) != 1 {
		t.Error("Merge changed what it was given")
	}
}
