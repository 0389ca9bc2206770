package mail

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.uber.org/goleak"

	"calljournal/agent/config"
	"calljournal/agent/mail/mailtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	user     = "journal@company.example"
	password = "пароль, 16 byte \\ long"
)

// to is the [mail] that reaches a server.
func to(s *mailtest.Server, tls string) config.Mail {
	m := config.Mail{
		Server: s.Addr, TLS: tls, CA: s.CA, Username: user, Password: config.NewSecret(password),
		From: "Журнал звонков <journal@company.example>", Timeout: config.Duration{Duration: 30 * time.Second},
	}
	if tls == config.MailNone {
		m.Username, m.Password = "", config.Secret{}
	}
	return m
}

func signingIn(tls string, mechanisms ...string) mailtest.Options {
	return mailtest.Options{TLS: tls, Username: user, Password: password, Mechanisms: mechanisms}
}

func letterTo(address string) *Message {
	return &Message{
		To: address, Subject: "Пропущенный звонок", Text: "Текст\n.\n..\nline\n", HTML: "<p>Текст</p>", ID: "alert 1",
		At: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), Attached: &Document{Name: "calls.pdf", ContentType: "application/pdf", Body: bytes.Repeat([]byte("%PDF\x00\xff\r\n.\r\n"), 5000)},
	}
}

func send(t *testing.T, m config.Mail, msg *Message) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return NewServer(m, slog.New(slog.DiscardHandler)).Send(ctx, msg)
}

// parsed is a mail as its reader gets it.
type parsed struct {
	netmail.Header
	subject, text, html, name string
	attached                  []byte
}

func parse(t *testing.T, body []byte) parsed {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	p := parsed{Header: m.Header}
	var words mime.WordDecoder
	if p.subject, err = words.DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	var walk func(contentType, encoding, disposition string, r io.Reader)
	walk = func(contentType, encoding, disposition string, r io.Reader) {
		kind, params, err := mime.ParseMediaType(contentType)
		if err != nil {
			t.Fatalf("%v: %q", err, contentType)
		}
		if strings.HasPrefix(kind, "multipart/") {
			parts := multipart.NewReader(r, params["boundary"])
			for {
				part, err := parts.NextRawPart()
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				walk(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part.Header.Get("Content-Disposition"), part)
			}
		}
		switch encoding {
		case "quoted-printable":
			r = quotedprintable.NewReader(r)
		case "base64":
			r = base64.NewDecoder(base64.StdEncoding, r)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasPrefix(disposition, "attachment"):
			_, params, err := mime.ParseMediaType(disposition)
			if err != nil {
				t.Fatal(err)
			}
			p.name, p.attached = params["filename"], b
		case kind == "text/plain":
			p.text = strings.ReplaceAll(string(b), "\r\n", "\n")
		case kind == "text/html":
			p.html = string(b)
		}
	}
	walk(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), "", m.Body)
	return p
}

// However a server is reached, the mail arrives whole, encrypted wherever it can
// be, and the password only there.
func TestServer_Send(t *testing.T) {
	for _, c := range []struct {
		name, tls string
		o         mailtest.Options
		signedIn  string
	}{
		{"STARTTLS", config.MailStartTLS, signingIn("starttls"), "PLAIN"},
		{"TLS", config.MailTLS, signingIn("tls"), "PLAIN"},
		{"LOGIN", config.MailStartTLS, signingIn("starttls", "LOGIN"), "LOGIN"},
		{"LOGIN over TLS", config.MailTLS, signingIn("tls", "LOGIN"), "LOGIN"},
		{"the best that is offered", config.MailStartTLS, signingIn("starttls", "LOGIN", "PLAIN", "SCRAM-SHA-256"), "SCRAM-SHA-256"},
		{"no sign-in", config.MailNone, mailtest.Options{TLS: "none"}, ""},
		{"slow", config.MailStartTLS, mailtest.Options{TLS: "starttls", Username: user, Password: password, Slow: true}, "PLAIN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mailtest.Start(t, c.o)
			m := to(s, c.tls)
			want := letterTo("boss@company.example")
			if err := send(t, m, want); err != nil {
				t.Fatal(err)
			}
			mails := s.Mails()
			if len(mails) != 1 {
				t.Fatalf("%d mails", len(mails))
			}
			got := mails[0]
			if got.From != "journal@company.example" || got.To != "boss@company.example" || got.User != m.Username || got.Encrypted != (c.tls != config.MailNone) {
				t.Errorf("%+v", got)
			}
			if used := strings.Join(s.SignedIn(), " "); used != c.signedIn {
				t.Errorf("signed in with %q, want %q", used, c.signedIn)
			}
			p := parse(t, got.Body)
			if p.subject != want.Subject || p.text != want.Text || p.html != want.HTML || p.name != "calls.pdf" || !bytes.Equal(p.attached, want.Attached.Body) {
				t.Errorf("%q, %q, %q, %q, %d bytes", p.subject, p.text, p.html, p.name, len(p.attached))
			}
			if from, err := p.AddressList("From"); err != nil || from[0].Name != "Журнал звонков" || from[0].Address != "journal@company.example" {
				t.Errorf("from %v, %v", from, err)
			}
			if p.Get("To") != "<boss@company.example>" || p.Get("Auto-Submitted") != "auto-generated" || p.Get("Date") != "Sun, 22 Nov 2026 08:00:00 +0000" ||
				!strings.HasSuffix(p.Get("Message-ID"), "@company.example>") || p.Get("User-Agent") != "" {
				t.Errorf("%v", p.Header)
			}
		})
	}
}

// What a server does wrong is said, and whether there is any use in trying again.
func TestServer_SendFails(t *testing.T) {
	for _, c := range []struct {
		name    string
		tls     string
		o       mailtest.Options
		fate    mailtest.Fate
		change  func(*config.Mail)
		want    string
		refused bool
		taken   int
	}{
		{name: "wrong password", change: func(m *config.Mail) { m.Password = config.NewSecret("another one") }, want: "sign in to 127.0.0.1"},
		{name: "wrong password, SCRAM", o: signingIn("starttls", "SCRAM-SHA-256"), change: func(m *config.Mail) { m.Password = config.NewSecret("another one") }, want: "sign in to 127.0.0.1"},
		{name: "no sign-in offered", o: mailtest.Options{TLS: "starttls"}, want: "does not support SMTP AUTH"},
		{name: "STARTTLS not offered", o: mailtest.Options{TLS: "none", Username: user, Password: password, InClear: true}, want: "does not offer STARTTLS"},
		{name: "unknown certificate", change: func(m *config.Mail) { m.CA = "" }, want: "certificate"},
		{name: "TLS where there is none", tls: config.MailTLS, o: mailtest.Options{TLS: "starttls"}, want: "tls"},
		{name: "address refused", fate: mailtest.RefusedAddress, want: `550 "5.1.1 no such user here"`, refused: true},
		{name: "sender refused", fate: mailtest.RefusedSender, want: `550 "5.7.1 not your address"`},
		{name: "content refused", fate: mailtest.RefusedContent, want: `554 "5.6.0 looks like spam"`, refused: true},
		{name: "put off", fate: mailtest.PutOff, want: `451 "4.7.1 greylisted`},
		{name: "put off at the end", fate: mailtest.PutOffContent, want: `451 "4.3.0 out of room`},
		{name: "dies in the middle", fate: mailtest.DiesInData, want: ""},
		{name: "dies after the dot", fate: mailtest.DiesAfterDot, want: "EOF", taken: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := c.o
			if o.TLS == "" {
				o = signingIn("starttls")
			}
			s := mailtest.Start(t, o)
			s.Always(c.fate)
			m := to(s, config.MailStartTLS)
			if c.tls != "" {
				m.TLS = c.tls
			}
			if c.change != nil {
				c.change(&m)
			}
			err := send(t, m, letterTo("boss@company.example"))
			var refused *Refused
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &refused) != c.refused {
				t.Fatalf("refused %v: %v", errors.As(err, &refused), err)
			}
			if strings.Contains(err.Error(), password) || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("%q", err)
			}
			if got := len(s.Mails()); got != c.taken {
				t.Errorf("%d mails were taken", got)
			}
			if o.InClear && len(s.SignedIn()) > 0 {
				t.Error("it signed in without TLS")
			}
		})
	}
}

// Who never comes to an end does not hold a mail for ever, nor fill the memory.
func TestServer_SendEnds(t *testing.T) {
	m := config.Mail{TLS: config.MailNone, From: user, Timeout: config.Duration{Duration: 200 * time.Millisecond}}
	for name, address := range map[string]string{
		"mute": mailtest.Mute(t), "endless": mailtest.Endless(t), "nobody": "127.0.0.1:1",
		"half a greeting": mailtest.Says(t, "220-half"), "no greeting of mail": mailtest.Says(t, "HTTP/1.1 400 Bad Request"),
	} {
		m.Server = address
		if err := send(t, m, letterTo("boss@company.example")); err == nil {
			t.Errorf("%s: it was sent", name)
		}
	}
	m.Server, m.Timeout.Duration = mailtest.Mute(t), time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan error)
	go func() {
		sent <- NewServer(m, slog.New(slog.DiscardHandler)).Send(ctx, letterTo("boss@company.example"))
	}()
	cancel()
	if err := <-sent; !errors.Is(err, context.Canceled) {
		t.Errorf("the end does not reach the server: %v", err)
	}
}

// A server that says the password back does not get it into a log.
func TestServer_HidesThePassword(t *testing.T) {
	s := NewServer(config.Mail{Username: user, Password: config.NewSecret(password)}, nil)
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	for _, said := range []string{"535 bad: " + password, "535 AUTH PLAIN " + plain + " no", "535 " + base64.StdEncoding.EncodeToString([]byte(password))} {
		if got := s.clean(said); !strings.Contains(got, "(hidden)") || strings.Contains(got, plain) || strings.Contains(got, password) {
			t.Errorf("%q", got)
		}
	}
}

func TestServer_Probe(t *testing.T) {
	s := mailtest.Start(t, signingIn("starttls"))
	server := NewServer(to(s, config.MailStartTLS), slog.New(slog.DiscardHandler))
	if encrypted, err := server.Probe(t.Context()); err != nil || encrypted != "TLS 1.3" {
		t.Errorf("%q, %v", encrypted, err)
	}
	if len(s.Mails()) != 0 || len(s.SignedIn()) != 1 {
		t.Errorf("%v, %v", s.Mails(), s.SignedIn())
	}
}

// Whatever is in a name, it makes no header of its own.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{"+74951230101", "a\r\nBcc: x@y.example", "\r\n\r\nbody", "=?utf-8?q?=0D=0ABcc:_x?=", "\xff\xfe", "\u202etxet", strings.Repeat("ж", 500), "\x00", "a\u2028b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		m := &Message{To: "boss@company.example", Subject: name, Text: name, HTML: "<p></p>", ID: name, Attached: &Document{Name: name, ContentType: "text/csv", Body: []byte(name)}}
		msg, err := m.compose("Журнал <journal@company.example>")
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := msg.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		p := parse(t, b.Bytes())
		for key := range p.Header {
			switch key {
			case "From", "To", "Subject", "Message-Id", "Date", "Auto-Submitted", "Mime-Version", "Content-Type":
			default:
				t.Errorf("a header %q of %q", key, name)
			}
		}
		if p.subject != subjectOf(name) || strings.ContainsFunc(p.subject, unicode.IsControl) {
			t.Errorf("subject %q of %q", p.subject, name)
		}
		if !bytes.Equal(p.attached, []byte(name)) {
			t.Errorf("attached %q of %q", p.attached, name)
		}
	})
}
