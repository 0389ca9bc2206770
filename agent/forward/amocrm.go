package forward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
)

// amocrm adds calls to the cards of clients: POST /api/v4/calls, several at once,
// each with an answer of its own. uniq is our id. A caller whom the account does
// not know has no card, and nothing is added: that is the end of it, not a fault.
//
// https://www.amocrm.ru/developers/content/crm_platform/calls-api
type amocrm struct {
	s   Settings
	far *far
	log *slog.Logger
}

func newAmoCRM(s Settings, log *slog.Logger, now func() time.Time) (Sink, error) {
	far, err := newFar(&s, now, s.Secret.text)
	if err != nil {
		return nil, err
	}
	return &amocrm{s, far, log}, nil
}

// amoCall is one call of a request.
type amoCall struct {
	RequestID   string      `json:"request_id"` // its place in the batch
	Uniq        string      `json:"uniq"`
	Direction   string      `json:"direction"`
	Phone       string      `json:"phone"`
	Duration    int64       `json:"duration"` // seconds of talk
	Source      string      `json:"source"`
	CallStatus  int         `json:"call_status"`
	CallResult  string      `json:"call_result,omitempty"`
	Responsible string      `json:"call_responsible,omitempty"`    // a name
	UserID      json.Number `json:"responsible_user_id,omitempty"` // the account's number of the user
	CreatedBy   json.Number `json:"created_by,omitempty"`
	CreatedAt   int64       `json:"created_at"` // Unix seconds
}

// amoAnswer is what is said of each.
type amoAnswer struct {
	Errors []struct {
		RequestID json.RawMessage `json:"request_id"` // "0", or 0
		Title     string          `json:"title"`
		Detail    string          `json:"detail"`
		Status    int             `json:"status"`
	} `json:"errors"`
	Embedded struct {
		Calls []struct {
			RequestID json.RawMessage `json:"request_id"`
		} `json:"calls"`
	} `json:"_embedded"`
}

// Send implements Sink.
func (m *amocrm) Send(ctx context.Context, batch []Entry) error {
	var calls []amoCall
	for i := range batch {
		if c, ok := clientCallOf(&batch[i]); ok {
			calls = append(calls, m.call(&c, strconv.Itoa(i)))
		}
	}
	if len(calls) == 0 {
		return nil
	}
	var said amoAnswer
	header := http.Header{"Authorization": {"Bearer " + m.s.Secret.text}}
	a, err := m.far.askJSON(ctx, strings.TrimRight(m.s.URL, "/")+"/api/v4/calls", header, calls, &said)
	if err != nil {
		return err
	}
	if err := m.whole(a, len(said.Errors) > 0); err != nil {
		return err
	}
	return m.each(batch, calls, &said)
}

func (m *amocrm) call(c *clientCall, id string) amoCall {
	x := amoCall{
		RequestID: id, Uniq: c.ID, Direction: "outbound", Phone: c.phone, Duration: c.seconds, Source: "calljournal",
		CallStatus: amoStatus(c.Status), CreatedAt: c.StartedAt.Time().Unix(),
	}
	if c.inbound {
		x.Direction = "inbound"
	}
	if c.Cause != nil && c.Status != call.StatusAnswered {
		x.CallResult = c.Cause.Text
	}
	user := m.s.user(c.extension)
	if user == "" {
		user = m.s.user(userDefault)
	}
	if user != "" {
		x.UserID, x.CreatedBy = json.Number(user), json.Number(user)
	}
	x.Responsible = employeeName(c)
	return x
}

// employeeName is who spoke, or was called, as the card shows it.
func employeeName(c *clientCall) string {
	if !c.inbound && c.From.Employee != nil {
		return *c.From.Employee
	}
	for i := range c.Legs {
		if l := &c.Legs[i]; c.extension != "" && text(l.Extension) == c.extension && l.Employee != nil {
			return *l.Employee
		}
	}
	return c.extension
}

// amoStatus: 1 left a message, 2 call back, 3 not there, 4 talked, 5 wrong number,
// 6 not put through, 7 busy.
func amoStatus(status string) int {
	switch status {
	case call.StatusAnswered:
		return 4
	case call.StatusVoicemail:
		return 1
	case call.StatusBusy:
		return 7
	case call.StatusAbandoned, call.StatusNoAnswer, call.StatusRejected:
		return 3
	}
	return 6
}

// whole is what the status says of all of them. Only 400 and 422 are about what
// was sent: 401 is our token, 402 the account's bill, 403 our being shut out for a
// while, 404 a wrong url.
func (m *amocrm) whole(a *answer, each bool) error {
	if a.good() || each && a.status == http.StatusMultiStatus {
		return nil
	}
	why := m.far.reason(a)
	switch s := a.status; {
	case s == http.StatusBadRequest, s == http.StatusUnprocessableEntity, s == http.StatusRequestEntityTooLarge:
		return &Refused{why}
	case s == http.StatusTooManyRequests, s == http.StatusForbidden, s >= 500:
		return &Busy{m.far.retryAfter(a), why}
	}
	return why
}

// each puts together what was said of each call.
func (m *amocrm) each(batch []Entry, calls []amoCall, said *amoAnswer) error {
	outcome := map[string]error{}
	id := func(raw json.RawMessage) string { return strings.Trim(string(raw), `"`) }
	for _, c := range calls {
		outcome[c.RequestID] = errors.New("the answer does not say what became of the call")
	}
	for _, c := range said.Embedded.Calls {
		outcome[id(c.RequestID)] = nil
	}
	for _, e := range said.Errors {
		why := m.far.hide(fmt.Errorf("%d %s: %s", e.Status, e.Title, e.Detail))
		switch {
		case e.Status == http.StatusNotFound, strings.Contains(strings.ToLower(e.Title+e.Detail), "not found"):
			m.log.Debug("the account has no card for the number of a call", "err", why)
			outcome[id(e.RequestID)] = nil
		case e.Status == http.StatusTooManyRequests, e.Status >= 500:
			outcome[id(e.RequestID)] = why
		default:
			outcome[id(e.RequestID)] = &Refused{why}
		}
	}
	errs := make(Partial, len(batch))
	for i := range errs {
		errs[i] = outcome[strconv.Itoa(i)]
	}
	if errs.first() == nil {
		return nil
	}
	return errs
}

// Close implements Sink.
func (m *amocrm) Close() error {
	m.far.close()
	return nil
}
