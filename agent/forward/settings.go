package forward

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"calljournal/agent/call"
	"calljournal/storage"
)

// Kinds of sink.
const (
	KindWebhook  = "webhook"
	KindNATS     = "nats"
	KindFile     = "file"
	KindBitrix24 = "bitrix24"
	KindAmoCRM   = "amocrm"
)

// Settings is one [[forward]], checked and with every default filled in.
type Settings struct {
	Name, Kind string
	URL        string // may have a token in its path: only address() is ever shown
	Secret     Secret
	Batch      int           // entries in one request, at most
	Tries      int           // of an entry that the far side refuses, before it is set aside
	Timeout    time.Duration // of one request
	Newest     bool          // a new forwarder begins at the end of the journal, not at its beginning

	Direction, Status, Department []string // empty: all
	// Final sends each call once, as it is known a while after its end.
	Final bool
	Live  bool

	Gzip                   bool
	Proxy                  string // "": as the environment says
	TLSCA, TLSCert, TLSKey string // paths; "": the system's authorities, no client certificate
	Credentials            string // path of a NATS credentials file
	RotateBytes            int64  // of a file
	Users                  map[string]string
}

// Secret is a text that no print shows.
type Secret struct{ text string }

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{text} }

// Format implements fmt.Formatter.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(hidden)") }

// address is where the far side is, without what may be secret in it.
func (s *Settings) address() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return ""
	}
	if s.Kind == KindFile {
		return u.Path
	}
	return u.Scheme + "://" + u.Host
}

// once says that a call is sent once only: what these kinds make of it cannot be
// replaced by a later revision.
func (s *Settings) once() bool { return s.Final || s.Kind == KindBitrix24 || s.Kind == KindAmoCRM }

// filtered says that not every entry goes out.
func (s *Settings) filtered() bool {
	return s.once() || len(s.Direction)+len(s.Status)+len(s.Department) > 0
}

// wants applies the filters to a call. Gaps and deletes always pass: they say
// that something that was sent, or was not, is not the whole truth.
func (s *Settings) wants(e *storage.Entry) bool { return e.Call == nil || s.wantsRecord(e.Call) }

func (s *Settings) wantsRecord(r *call.Record) bool {
	in := func(list []string, word string) bool { return len(list) == 0 || slices.Contains(list, word) }
	return in(s.Direction, r.Direction) && in(s.Status, r.Status) && (len(s.Department) == 0 || s.inDepartment(r))
}

func (s *Settings) inDepartment(r *call.Record) bool {
	has := func(name *string) bool { return name != nil && slices.Contains(s.Department, *name) }
	if has(r.From.Department) || has(r.To.Department) {
		return true
	}
	return slices.ContainsFunc(r.Legs, func(l call.Leg) bool { return has(l.Department) })
}
