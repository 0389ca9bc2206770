package capture

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"calljournal/connectors/wire"
)

const (
	kindAsterisk   = "asterisk"
	kindFreeSWITCH = "freeswitch"
)

// Mask replaces what could tell of people, and keeps what the rules need to come
// to the same calls. It works the other way round than a list of what is secret
// would: everything is replaced but what is known to be the PBX's own.
//
//   - Headers that no rule reads are left out.
//   - A few headers hold states, causes, times and ids that only the PBX writes;
//     they stay. Ids of channels stay everywhere.
//   - Of all else, in whatever header, path or address it stands, every number of
//     two digits or more and every word of two letters or more is replaced, but
//     for the words of vocabulary and those in the patterns of trunks.
//
// The same number or word gives the same mask throughout a capture, two different
// numbers never the same. A number keeps its length; one of up to six digits is
// all replaced, and stays what the pattern of extensions makes of it; of a longer
// one the last seven digits are, so that its forms with and without a prefix stay
// forms of one number. The pattern of extensions itself stays as it is.
//
// The key is random and kept nowhere.
type Mask struct {
	key        []byte
	keep       map[string]bool // words in lower case
	extensions *regexp.Regexp
	esl        bool
}

// NewMask makes the mask for a link. key is for tests; nil is a random one.
func NewMask(h Header, key []byte) (*Mask, error) {
	if key == nil {
		key = make([]byte, 32)
		rand.Read(key)
	}
	m := &Mask{key: key, keep: make(map[string]bool), esl: h.Kind == kindFreeSWITCH}
	for _, words := range append([]string{vocabulary}, h.Trunks...) {
		for _, w := range strings.FieldsFunc(words, func(r rune) bool { return !unicode.IsLetter(r) }) {
			m.keep[strings.ToLower(w)] = true
		}
	}
	if h.Extensions != "" {
		var err error
		if m.extensions, err = regexp.Compile(h.Extensions); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// vocabulary are the words of the PBXs that a rule may look for, or that say
// nothing of anybody and help whoever reads the file.
const vocabulary = `
	pjsip sip sips iax dahdi local sofia internal external loopback gateway user group default public
	from to trunk phone phones provider queue queues conference room voicemail parking park parked parkedcalls ivr menu
	blind att xfer bl uuid br sent recv replace check admin
	unknown null anonymous restricted private unavailable withheld blocked asterisk freeswitch outbound inbound call caller
	success failed failure cancelled answer answered noanswer busy congestion chanunavail
	var usr lib spool log monitor recordings recording voicemail fax tmp wav mp ogg gsm ulaw alaw tiff tif pdf msg inbox
	normal clearing unallocated number no route destination channel unacceptable acceptable user alerting responding
	rejected changed redirection order out invalid format facility unspecified circuit available temporary network
	requested service option not implemented interworking protocol error mandatory recovery timer expire lose race
	originator cancel terminated ok ringing trying forbidden found timeout temporarily terminated decline declined
	mixmonitor filename vm messagefile faxstatus
	receive send test
	permission denied authentication accepted unallocated bearercapability
	appdial appqueue macro stdexten gosub dial exten hangup zombie surrogate bridge asyncgoto message ast
`

var (
	uuidShape   = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}`)
	encoded     = regexp.MustCompile(`(?:%[0-9A-Fa-f]{2}|[0-9A-Za-z])*%[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2}|[0-9A-Za-z])*`)
	channelID   = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9_]{0,20}-)?1[0-9]{9}\.[0-9]{1,10}$`)
	plainShape  = regexp.MustCompile(`^[A-Za-z0-9_ .:,/+<>()~{}|-]{0,96}$`)
	sipRefusal  = regexp.MustCompile(`^(?:SIP )?[3-6][0-9][0-9]\b`)
	transferred = regexp.MustCompile(`^(ARRAY::)?[0-9]{10}:`)
)

// Text masks a text from a PBX: it is what the mask makes of any value that is
// not the PBX's own.
func (m *Mask) Text(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD") // in a coding that nobody knows: no letter of it stays
	}
	if strings.IndexByte(s, '%') >= 0 {
		if parts := encoded.FindAllStringIndex(s, -1); parts != nil {
			var b strings.Builder
			at := 0
			for _, p := range parts {
				b.WriteString(m.words(s[at:p[0]]))
				inside, _ := url.PathUnescape(s[p[0]:p[1]])
				b.WriteString(percent(m.Text(inside)))
				at = p[1]
			}
			b.WriteString(m.words(s[at:]))
			return b.String()
		}
	}
	return m.words(s)
}

// percent encodes everything but letters and digits of ASCII.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; isAlnum(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		}
	}
	return b.String()
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// words masks the words and numbers of a text that is not percent-encoded.
func (m *Mask) words(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); {
		c := s[i]
		begins := i == 0 || !isAlnum(s[i-1])
		switch {
		case !m.esl && c == '\\' && i+1 < len(s) && strings.IndexByte("abfnrtv", s[i+1]) >= 0:
			b.WriteString(s[i : i+2]) // an escape of Asterisk's
			i += 2
		case begins && c < 0x80 && uuidShape.MatchString(s[i:]) && (len(s) == i+36 || !isAlnum(s[i+36])):
			b.WriteString(s[i : i+36])
			i += 36
		case begins && i > 0 && s[i-1] == '-' && isSerial(s[i:]):
			b.WriteString(s[i : i+8])
			i += 8
		case isDigit(c):
			n := i
			for n < len(s) && isDigit(s[n]) {
				n++
			}
			b.WriteString(m.number(s[i:n]))
			i = n
		default:
			n := i
			for n < len(s) {
				r, size := utf8.DecodeRuneInString(s[n:])
				if !(unicode.IsLetter(r) || unicode.IsMark(r) || r >= 0x80 && unicode.IsNumber(r)) {
					break
				}
				n += size
			}
			if n == i {
				_, size := utf8.DecodeRuneInString(s[i:])
				b.WriteString(s[i : i+size])
				i += size
				continue
			}
			b.WriteString(m.word(s[i:n]))
			i = n
		}
	}
	return b.String()
}

// isSerial: the eight hexadecimal digits at the end of a channel's name. With no
// letter among them it could be a number, with no digit a word.
func isSerial(s string) bool {
	if len(s) < 8 || len(s) > 8 && isAlnum(s[8]) {
		return false
	}
	letters, digits := 0, 0
	for i := range 8 {
		switch c := s[i]; {
		case isDigit(c):
			digits++
		case 'a' <= c && c <= 'f':
			letters++
		default:
			return false
		}
	}
	return letters > 0 && digits > 0
}

// word gives a word that can be spoken in the place of another.
func (m *Mask) word(w string) string {
	lower := strings.ToLower(w)
	if len(w) == 1 || m.keep[lower] {
		return w
	}
	sum := m.sum("word", lower)
	n := binary.BigEndian.Uint64(sum)
	b := make([]byte, 0, 10)
	for range 5 {
		const consonants, vowels = "bdfgklmnprstvz", "aeiou"
		b = append(b, consonants[n%14], vowels[n/14%5])
		n /= 70
	}
	first, _ := utf8.DecodeRuneInString(w)
	switch {
	case strings.ToUpper(w) == w && lower != w:
		return string(bytes.ToUpper(b))
	case unicode.IsUpper(first):
		b[0] -= 'a' - 'A'
	}
	return string(b)
}

const (
	shortNumber = 6 // digits: all are replaced
	tail        = 7 // of a longer one: so many
)

// number gives another number of the same length.
func (m *Mask) number(n string) string {
	if len(n) < 2 {
		return n
	}
	head := ""
	if len(n) > shortNumber {
		head, n = n[:len(n)-tail], n[len(n)-tail:]
	}
	// Walking on until the pattern of extensions says the same of it as before
	// keeps the whole a permutation.
	is := m.extension(head + n)
	for range 10_000 {
		if n = m.permute(n); m.extension(head+n) == is {
			break
		}
	}
	return head + n
}

func (m *Mask) extension(n string) bool { return m.extensions != nil && m.extensions.MatchString(n) }

// permute is a keyed permutation of the numbers of one length: a Feistel network
// on their two halves.
func (m *Mask) permute(n string) string {
	half := len(n) / 2
	a, b := digits(n[:half]), digits(n[half:])
	sizeA, sizeB := power(half), power(len(n)-half)
	for round := range byte(5) {
		a = (a + m.mix(len(n), 2*round, b)) % sizeA
		b = (b + m.mix(len(n), 2*round+1, a)) % sizeB
	}
	return pad(a, half) + pad(b, len(n)-half)
}

func (m *Mask) mix(length int, round byte, n uint64) uint64 {
	var in [10]byte
	in[0], in[1] = byte(length), round
	binary.BigEndian.PutUint64(in[2:], n)
	return binary.BigEndian.Uint64(m.sum("digits", string(in[:]))) >> 8
}

func (m *Mask) sum(what, text string) []byte {
	h := hmac.New(sha256.New, m.key)
	h.Write([]byte(what))
	h.Write([]byte{0})
	h.Write([]byte(text))
	return h.Sum(nil)
}

func digits(s string) (n uint64) {
	for i := range len(s) {
		n = n*10 + uint64(s[i]-'0')
	}
	return n
}

func power(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}

func pad(n uint64, width int) string {
	b := make([]byte, width)
	for i := width - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return string(b)
}

// treatment is what becomes of a header that a rule reads. The zero one leaves
// it out.
type treatment uint8

const (
	leaveOut treatment = iota
	asText             // masked
	asID               // of a channel or a bridge: stays if it has the shape of one
	asPlain            // a state, a cause, a time: stays if it has the shape of one
	asStatus           // words of the far side behind a SIP status
	asMoves            // FreeSWITCH's history of transfers: moments and texts
)

// value treats one value.
func (m *Mask) value(t treatment, v string) string {
	switch {
	case t == asPlain && plainShape.MatchString(v):
		return v
	case t == asID && (channelID.MatchString(v) || len(v) == 36 && uuidShape.MatchString(v)):
		return v
	case t == asStatus:
		if n := len(sipRefusal.FindString(v)); n > 0 {
			return v[:n] + m.Text(v[n:])
		}
	case t == asMoves:
		notes := strings.Split(v, "|:")
		for i, note := range notes {
			n := len(transferred.FindString(note))
			notes[i] = note[:n] + m.Text(note[n:])
		}
		return strings.Join(notes, "|:")
	}
	return m.Text(v)
}

// header masks what the configuration says of the link.
func (m *Mask) header(h Header) Header {
	trunks := make([]string, len(h.Trunks))
	for i, t := range h.Trunks {
		trunks[i] = m.Text(t)
	}
	h.Trunks = trunks
	return h
}

// message masks one whole message; nil if nothing of it is needed.
func (m *Mask) message(msg []byte) []byte {
	if m.esl {
		return m.frame(msg)
	}
	return m.ami(msg)
}

// chunk masks what is no message.
func (m *Mask) chunk(c wire.Chunk) []byte {
	switch c.Kind {
	case wire.Answered:
		return m.answer(c.Data)
	case wire.Surveyed, wire.Ended:
		return []byte(m.Text(string(c.Data)))
	}
	return c.Data // marks of our own
}
