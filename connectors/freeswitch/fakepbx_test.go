package freeswitch

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// fakePBX is an event socket that says what a test wants. Every connection is
// served; the one that subscribes is the line of events.
type fakePBX struct {
	greeting string            // "": auth/request
	secret   string            // of auth; "" takes "s"
	users    map[string]string // of userauth: "user@domain" to password
	allowed  string            // Allowed-Events of a userauth
	cut      int               // the answer to it is cut after so many bytes
	chop     int               // write in pieces of so many bytes
	rows     []row
	dumps    map[string]string // by uuid: the JSON that uuid_dump gives
	answers  map[string]string // by question, in the place of the usual answer
	deaf     bool              // takes no questions on the line of events
	mute     bool              // channels exist, but tell nothing of themselves
	events   func(p *peer)     // the line of events, from the answer to the subscription on

	mu   sync.Mutex
	said []string // commands, in order, without secrets
}

func (f *fakePBX) listen(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	var mu sync.Mutex
	open := make(map[net.Conn]bool)
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			conns.Go(func() {
				f.serve(conn)
				conn.Close()
			})
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-accepting
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		conns.Wait()
	})
	return l.Addr().String()
}

// peer is one connection to the fakePBX.
type peer struct {
	f    *fakePBX
	conn net.Conn
	in   *bufio.Reader
	gone bool
}

func (f *fakePBX) serve(conn net.Conn) {
	p := &peer{f: f, conn: conn, in: bufio.NewReader(conn)}
	if f.greeting != "" {
		p.say(f.greeting)
		return
	}
	p.say("Content-Type: auth/request\n\n")
	for !p.gone {
		line := p.command()
		word, rest, _ := strings.Cut(line, " ")
		f.note(word, rest)
		switch word {
		case "auth", "userauth":
			if !f.admits(word, rest) {
				p.reply("-ERR invalid")
				p.say("Content-Type: text/disconnect-notice\nContent-Length: 10\n\nGoodbye.\n\n")
				return
			}
			if answer := "Content-Type: command/reply\nReply-Text: +OK accepted\nAllowed-Events: " + f.allowed + "\nAllowed-API: all\n\n"; word == "userauth" && f.cut > 0 {
				p.say(answer[:f.cut])
			} else if word == "userauth" {
				p.say(answer)
			} else {
				p.reply("+OK accepted")
			}
		case "event":
			if answer, ok := f.answers["event"]; ok {
				p.reply(answer)
				continue
			}
			p.reply("+OK event listener enabled json")
			if f.events != nil {
				f.events(p)
			} else {
				p.stay()
			}
			return
		case "nolog":
			p.reply("+OK no longer logging")
		case "api":
			p.api(rest)
		}
	}
}

func (f *fakePBX) note(word, rest string) {
	if word == "auth" || word == "userauth" {
		rest = ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, strings.TrimSpace(word+" "+rest))
}

// commands are what was said to the PBX so far.
func (f *fakePBX) commands() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.said...)
}

func (f *fakePBX) admits(word, rest string) bool {
	if word == "userauth" {
		user, password, _ := strings.Cut(rest, ":")
		want, ok := f.users[user]
		return ok && password == want
	}
	secret := f.secret
	if secret == "" {
		secret = "s"
	}
	return rest == secret
}

// command reads one command; "" at the end of the connection.
func (p *peer) command() string {
	first := ""
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			p.gone = true
			return ""
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" && first != "" {
			return first
		}
		if first == "" {
			first = line
		}
	}
}

func (p *peer) say(text string) {
	b := []byte(text)
	for len(b) > 0 && !p.gone {
		n := len(b)
		if p.f.chop > 0 {
			n = min(n, p.f.chop)
		}
		if _, err := p.conn.Write(b[:n]); err != nil {
			p.gone = true
		}
		b = b[n:]
	}
}

func (p *peer) reply(text string, more ...string) {
	p.say("Content-Type: command/reply\nReply-Text: " + text + "\n" + strings.Join(append(more, ""), "\n") + "\n")
}

// event says an event of the given name and headers, name and value in turn.
func (p *peer) event(name string, headers ...string) { p.say(eventFrame(name, headers...)) }

func eventFrame(name string, headers ...string) string {
	m := map[string]string{"Event-Name": name}
	for i := 0; i+1 < len(headers); i += 2 {
		m[headers[i]] = headers[i+1]
	}
	body, _ := json.Marshal(m)
	return fmt.Sprintf("Content-Length: %d\nContent-Type: text/event-json\n\n%s", len(body), body)
}

// stay answers questions until the other side has gone.
func (p *peer) stay() {
	if p.f.deaf {
		io.Copy(io.Discard, p.in)
		return
	}
	for {
		word, rest, _ := strings.Cut(p.command(), " ")
		if p.gone {
			return
		}
		p.f.note(word, rest)
		if word == "api" {
			p.api(rest)
		}
	}
}

func (p *peer) api(question string) {
	body, ok := p.f.answers[question]
	if body == "denied" {
		p.reply("-ERR permission denied")
		return
	}
	switch {
	case ok:
	case question == "status":
		body = "UP 0 years, 0 days, 1 hour, 0 minutes, 5 seconds, 0 milliseconds, 0 microseconds\nFreeSWITCH (Version 1.10.12-release  64bit) is ready\n"
	case question == "global_getvar core_uuid":
		body = "11111111-2222-3333-4444-555555555555"
	case question == "show channels as json":
		data, _ := json.Marshal(map[string]any{"row_count": len(p.f.rows), "rows": p.f.rows})
		body = string(data)
	case strings.HasPrefix(question, "uuid_dump "):
		if body, ok = p.f.dumps[strings.Fields(question)[1]]; !ok {
			body = "-ERR No such channel!\n"
		}
	case strings.HasPrefix(question, "uuid_exists "):
		_, ok = p.f.dumps[strings.Fields(question)[1]]
		body = fmt.Sprint(ok || p.f.mute)
	default:
		body = "-ERR " + question + " Command not found!\n"
	}
	p.say(fmt.Sprintf("Content-Type: api/response\nContent-Length: %d\n\n%s", len(body), body))
}
