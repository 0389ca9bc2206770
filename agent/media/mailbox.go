package media

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
)

// Bounds of a look into mailboxes.
const (
	mostContexts = 256
	mostFolders  = 64
	mostMessages = 20_000 // in one folder of a mailbox
	mostInfo     = 64 << 10
)

// message is one message in an Asterisk mailbox: msgNNNN.txt and sound beside it.
// Asterisk numbers messages anew whenever one is deleted or moved, so the number
// says nothing: what is in the .txt does.
type message struct {
	dir, stem  string // default/102/INBOX, msg0000
	id         string // msg_id
	channel    string // callerchan
	caller     string // digits of callerid
	at         call.Moment
	durationMs *int64
}

func (m *message) name() string { return path.Join(m.dir, m.stem) }

// same says that both are one message, wherever it is now.
func (m *message) same(o *message) bool {
	return m.id == o.id && m.channel == o.channel && m.caller == o.caller && m.at == o.at
}

// readMessage reads msgNNNN.txt; nil if it is none.
func readMessage(f *folder, dir, stem string) *message {
	b, err := f.read(path.Join(dir, stem+".txt"), mostInfo)
	if err != nil {
		return nil
	}
	m := &message{dir: dir, stem: stem}
	for line := range strings.Lines(string(b)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		switch value = strings.TrimSpace(value); key {
		case "msg_id":
			m.id = value
		case "callerchan":
			m.channel = value
		case "callerid":
			m.caller = callerDigits(value)
		case "origtime":
			if n, err := strconv.ParseInt(value, 10, 64); err == nil && n > 0 && n < 1<<40 {
				m.at = call.Moment(n * 1_000_000)
			}
		case "duration":
			if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 && n < 1<<31 {
				ms := n * 1000
				m.durationMs = &ms
			}
		}
	}
	if m.at == 0 {
		return nil
	}
	return m
}

// callerDigits is the number in `"Name" <number>`, or in a bare number.
func callerDigits(s string) string {
	if at := strings.LastIndexByte(s, '<'); at >= 0 {
		s = s[at:]
	}
	return digits(s)
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

const (
	// The channel's name is the call's own: the clocks may differ a little.
	channelSlack = 10 * time.Minute
	// A number may call twice: the message must be of the call's very time.
	callerSlack = 3 * time.Second
)

// of says that a call left this message.
func (m *message) of(rec *call.Record) bool {
	within := func(slack time.Duration) bool {
		end := rec.EndedAt
		if end == 0 {
			end = rec.StartedAt.Add(24 * time.Hour)
		}
		return m.at >= rec.StartedAt.Add(-slack) && m.at <= end.Add(slack)
	}
	if slices.ContainsFunc(rec.Legs, func(l call.Leg) bool { return l.Channel == m.channel && l.Channel != "" }) {
		return within(channelSlack)
	}
	// The halves of Local channels are no legs of a record: then the number and
	// the time must do.
	if m.channel != "" && !strings.HasPrefix(m.channel, "Local/") {
		return false
	}
	number := ""
	if rec.From.Number != nil {
		number = digits(*rec.From.Number)
	}
	return number != "" && number == m.caller && within(callerSlack)
}

// plainName says that a mailbox is a name of a folder and no path.
func plainName(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= 128 && !strings.ContainsAny(s, "/\\\x00")
}

// messages are all messages of a mailbox, in every context and folder of it.
func messages(f *folder, mailbox string) (all []*message) {
	if !plainName(mailbox) {
		return nil
	}
	for _, context := range f.subfolders(".", mostContexts) {
		box := path.Join(context, mailbox)
		for _, sub := range f.subfolders(box, mostFolders) {
			dir := path.Join(box, sub)
			entries := f.list(dir, mostMessages)
			for _, e := range entries {
				if stem, ok := strings.CutSuffix(e.Name(), ".txt"); ok && strings.HasPrefix(stem, "msg") {
					if m := readMessage(f, dir, stem); m != nil {
						all = append(all, m)
					}
				}
			}
		}
	}
	return all
}

// openMessage opens the sound of a message. Asterisk may number anew while we
// look: the .txt must be the same one after the sound was opened.
func openMessage(f *folder, m *message) (*File, error) {
	file, err := f.find([]string{m.name()}, sounds(), nil)
	if err != nil {
		return nil, err
	}
	if now := readMessage(f, m.dir, m.stem); now == nil || !now.same(m) {
		file.Close()
		return nil, ErrGone
	}
	return file, nil
}

// freeSwitchMessage opens msg_<uuid>, by the name that the event gave, else by
// the ids of the call. These names stay as they are.
func freeSwitchMessage(f *folder, rec *call.Record) (*File, error) {
	box := rec.Voicemail.Mailbox
	if rec.Voicemail.File != nil {
		for _, name := range f.places(*rec.Voicemail.File) {
			if strings.HasPrefix(path.Base(name), "msg_") && (box == "" || path.Base(path.Dir(name)) == box) {
				if file, err := f.find([]string{name}, sounds(), nil); err == nil {
					return file, nil
				}
			}
		}
	}
	if !plainName(box) {
		return nil, ErrGone
	}
	for _, profile := range f.subfolders(".", mostContexts) {
		for _, domain := range f.subfolders(profile, mostContexts) {
			for _, id := range idsOf(rec) {
				if file, err := f.find([]string{path.Join(profile, domain, box, "msg_"+id)}, sounds(), nil); err == nil {
					return file, nil
				}
			}
		}
	}
	return nil, ErrGone
}
