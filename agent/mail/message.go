package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	gomail "github.com/wneessen/go-mail"

	"calljournal/agent/journal"
)

// Message is one mail to one address.
type Message struct {
	To         string // "name@company.example", or with a name before it
	Subject    string
	Text, HTML string
	ID         string // what its Message-ID is made of: the same for every try
	At         time.Time
	Attached   *Document
}

// Document is a file that goes along.
type Document struct {
	Name        string // of the file
	ContentType string
	Body        []byte
	// Of a report: the calls that it is about, those that began at From or later and
	// before To. Zero: there is no such end.
	From, To time.Time
	Total    journal.Figures // of these calls
}

// mostSubject is in characters; a longer one is cut.
const mostSubject = 150

// compose writes the message down as it goes to the server.
func (m *Message) compose(from string) (*gomail.Msg, error) {
	sender, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("sender %q: %w", from, err)
	}
	to, err := netmail.ParseAddress(m.To)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", m.To, err)
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(sender)
	msg.ToMailAddress(to)
	msg.Subject(subjectOf(m.Subject))
	msg.SetMessageIDWithValue(messageID(m.ID, to.Address, sender.Address))
	msg.SetDateWithValue(m.At)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's absence is to answer
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	if d := m.Attached; d != nil {
		msg.AttachReadSeeker(oneLine(d.Name, 100), bytes.NewReader(d.Body), gomail.WithFileContentType(gomail.ContentType(d.ContentType)))
	}
	return msg, nil
}

// subjectOf is a text as a subject: one line, in which nothing looks as if a mail
// program had encoded it (RFC 2047) and would be decoded.
func subjectOf(text string) string {
	return oneLine(strings.ReplaceAll(oneLine(text, mostSubject), "=?", "= ?"), mostSubject)
}

// messageID is the same for the same mail to the same address, and tells nothing
// of either.
func messageID(id, to, from string) string {
	sum := sha256.Sum256([]byte(id + "\x00" + strings.ToLower(to)))
	_, domain, _ := strings.Cut(from, "@")
	return hex.EncodeToString(sum[:16]) + "@" + domain
}

// oneLine is a text without what is not printable, cut to so many characters.
func oneLine(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError || unicode.Is(unicode.Bidi_Control, r):
			return -1
		case unicode.IsPrint(r):
			return r
		}
		return ' '
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return strings.TrimSpace(string([]rune(text)[:most-1])) + "…"
}
