package wire

import (
	"bytes"
	"strconv"
)

// MaxBody is the longest body of an event socket frame that is read; the rest
// of a longer one is passed over. FreeSWITCH's largest events have a few hundred
// kilobytes (https://github.com/signalwire/freeswitch/issues/624).
const MaxBody = 4 << 20

// Names that the ESL framer puts into the stream. See the package's text.
const (
	ESLSeen    = "CJ-Seen"
	ESLGap     = "CJ-Gap"
	ESLFrom    = "CJ-From"
	ESLTo      = "CJ-To"
	ESLCount   = "CJ-Count"
	ESLReason  = "CJ-Reason"
	ESLGoodbye = "CJ-Goodbye" // FreeSWITCH says that it will close the connection
	ESLEnd     = "CJ-End"
)

// Kinds of malformed input on an event socket, beside the common ones.
const (
	BadLength    = "bad_length"    // a Content-Length that is no length
	BadJSON      = "bad_json"      // an event whose JSON breaks off or is none
	BadEscape    = "bad_escape"    // a backslash in a value that escapes nothing
	NotText      = "not_text"      // a needed header that is neither text nor a list of texts
	UnknownFrame = "unknown_frame" // a Content-Type that an event socket client never asked for
	Resynced     = "resynced"      // a frame's beginning was found inside what was left of a torn one
)

// ESL is the Framer of FreeSWITCH's event socket: frames of header lines up to
// an empty one, and a body of as many bytes as Content-Length says.
//
// Only events go on, always as JSON: go-eventsocket ends the process, or its
// session, over what else an event socket can say, and over many an answer. The
// answers that come on a line of events are those to its Pings.
//
// An event's JSON is not parsed here but looked through, and only up to its name
// if no rule needs it: the parse, of up to 250 headers into a map, is the
// dearest step of all.
type ESL struct {
	needs needs // CUSTOM events by subclass
	count *Counters
	seen  int64

	part    []byte // the beginning of a header line whose end has not come yet
	long    bool   // that line is longer than MaxLine; only its end is kept
	inBody  bool
	headers int    // lines of the frame in hand
	kind    string // its Content-Type
	length  int    // its Content-Length
	missing int    // bytes of the body that have not come yet
	body    []byte // of a body that comes in several pieces
	over    bool   // the body is longer than MaxBody

	out   []byte // the message in hand as it goes on
	thin  thinning
	clean cleaner
}

// NewESL gives the framer for one session. With nil for needed every event and
// every header goes on.
func NewESL(needed Needed, count *Counters) *ESL {
	return &ESL{needs: newNeeds(needed, eslAlways), count: count, length: -1, clean: cleaner{count: count}}
}

// Feed implements Framer.
func (f *ESL) Feed(p []byte, seen int64, out func(msg []byte)) {
	f.seen = seen
	for len(p) > 0 {
		if f.inBody {
			p = f.take(p, out)
			continue
		}
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			f.hold(p)
			return
		}
		line := p[:i]
		p = p[i+1:]
		if len(f.part) > 0 || f.long {
			f.hold(line)
			line = f.part
		}
		f.line(bytes.TrimSuffix(line, []byte("\r")), out)
		f.part, f.long = f.part[:0], false
	}
}

// resyncTail is how much of the end of an overlong line is looked at: enough
// for the header that may stand there.
const resyncTail = 64

// hold keeps the beginning of a header line; of one that is too long its end,
// and one byte more: the CR.
func (f *ESL) hold(p []byte) {
	f.part = append(f.part, p...)
	f.long = f.long || len(f.part) > MaxLine+1
	if f.long && len(f.part) > resyncTail+1 {
		f.part = append(f.part[:0], f.part[len(f.part)-resyncTail-1:]...)
	}
}

// line takes in one header line, or the empty one that ends the headers.
func (f *ESL) line(b []byte, out func(msg []byte)) {
	if len(b) == 0 {
		f.headersEnd(out)
		return
	}
	f.headers++
	if f.headers > MaxHeaders {
		if f.headers == MaxHeaders+1 {
			f.count.Bad(TooManyHeaders)
		}
		return
	}
	long := f.long || len(b) > MaxLine
	if long {
		f.count.Bad(LineTooLong)
		b = b[max(0, len(b)-resyncTail):]
	}
	// A frame begins with its length. Behind the rest of a torn one that is in
	// the middle of a line, for a body does not end with a line.
	if i := bytes.LastIndex(b, contentLength); i > 0 || i == 0 && long {
		f.count.Bad(Resynced)
		f.kind, f.length = "", -1
		b = b[i:]
	} else if long {
		return
	}
	name, value, ok := bytes.Cut(b, []byte(":"))
	if !ok {
		f.count.Bad(NoColon)
		return
	}
	name, value = bytes.TrimSpace(name), bytes.TrimSpace(value)
	switch {
	case foldEqual(name, "Content-Length"):
		n, err := strconv.Atoi(string(value[:min(len(value), 20)]))
		if err != nil || n < 0 {
			f.count.Bad(BadLength)
			return
		}
		f.length = n
	case foldEqual(name, "Content-Type"):
		f.kind = string(value[:min(len(value), 64)])
	}
}

var contentLength = []byte("Content-Length:")

func (f *ESL) headersEnd(out func(msg []byte)) {
	if f.headers == 0 {
		return // a stray empty line
	}
	if f.length > 0 {
		f.inBody, f.missing, f.over = true, f.length, f.length > MaxBody
		return
	}
	f.frame(nil, out)
}

// take takes its part of the body from p and gives back the rest. A body that
// comes in one piece is looked at where it lies.
func (f *ESL) take(p []byte, out func(msg []byte)) []byte {
	n := min(len(p), f.missing)
	f.missing -= n
	if f.missing == 0 && len(f.body) == 0 && !f.over {
		f.frame(p[:n], out)
		return p[n:]
	}
	if !f.over {
		f.body = append(f.body, p[:n]...)
	}
	if f.missing == 0 {
		f.frame(f.body, out)
	}
	return p[n:]
}

// maxSpare is how much of a body's memory is kept for the next one.
const maxSpare = 64 << 10

// frame takes in a whole frame.
func (f *ESL) frame(body []byte, out func(msg []byte)) {
	f.count.Messages.Add(1)
	switch {
	case f.over:
		f.count.Bad(MessageTooLong)
	case f.kind == "text/event-json":
		f.event(body, f.thin.json, out)
	case f.kind == "text/event-plain":
		f.event(body, f.thin.plain, out)
	case f.kind == "command/reply", f.kind == "api/response":
		f.count.Thinned.Add(1)
	case f.kind == "text/disconnect-notice", f.kind == "text/rude-rejection":
		f.say(out, ESLGoodbye)
	case f.kind == "":
		f.count.Bad(Headless)
	default:
		f.count.Bad(UnknownFrame)
	}
	f.inBody, f.headers, f.kind, f.length, f.over = false, 0, "", -1, false
	if f.body = f.body[:0]; cap(f.body) > maxSpare {
		f.body = nil
	}
}

// event passes on what is needed of one event, read by one of the two readers.
func (f *ESL) event(body []byte, read func(*ESL, []byte) verdict, out func(msg []byte)) {
	f.out = append(f.out[:0], '{')
	f.thin.reset()
	switch read(f, body) {
	case verdictKeep:
		f.out = appendPair(f.out, ESLSeen, strconv.AppendInt(nil, f.seen, 10))
		f.out = append(f.out, '}')
		out(eslFrame(f.out, &f.thin.frame))
	case verdictDrop:
		f.count.Thinned.Add(1)
	}
}

// say passes on a message of wire's own.
func (f *ESL) say(out func(msg []byte), name string) {
	body := append(appendPair([]byte{'{'}, "Event-Name", []byte(name)), '}')
	out(eslFrame(body, &f.thin.frame))
}

// eslFrame puts a body into a frame, in memory that is used again.
func eslFrame(body []byte, dst *[]byte) []byte {
	b := append((*dst)[:0], "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\nContent-Type: text/event-json\n\n"...)
	*dst = append(b, body...)
	return *dst
}

// appendPair appends a header to an object; name and value must need no escape.
func appendPair(dst []byte, name string, value []byte) []byte {
	dst = appendName(dst, name)
	dst = append(dst, '"')
	dst = append(dst, value...)
	return append(dst, '"')
}

func appendName(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, `":`...)
}

// Gap implements Framer.
func (f *ESL) Gap(dst []byte, g Gap) []byte {
	body := appendPair([]byte{'{'}, "Event-Name", []byte(ESLGap))
	body = appendPair(body, ESLFrom, strconv.AppendInt(nil, g.From, 10))
	body = appendPair(body, ESLTo, strconv.AppendInt(nil, g.To, 10))
	body = appendPair(body, ESLCount, strconv.AppendUint(nil, g.Count, 10))
	body = appendPair(body, ESLReason, []byte(g.Reason))
	body = appendPair(body, ESLSeen, strconv.AppendInt(nil, g.To, 10))
	var frame []byte
	return append(dst, eslFrame(append(body, '}'), &frame)...)
}

// End implements Framer.
func (f *ESL) End(dst []byte) []byte {
	if f.inBody || f.headers > 0 || len(f.part) > 0 {
		f.count.Bad(Unfinished)
	}
	var frame []byte
	return append(dst, eslFrame(append(appendPair([]byte{'{'}, "Event-Name", []byte(ESLEnd)), '}'), &frame)...)
}
