package forward

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/call"
)

// bitrix24 registers each call with somebody outside in a portal, over one of its
// incoming webhooks: telephony.externalCall.register, .finish and, if there is a
// recording, .attachRecord. EXTERNAL_CALL_ID is our id.
//
// The portal cannot be told something twice without doing it twice. So it is
// remembered how far a call got, and before one is registered that may have been
// told of already, in a run before or in a request whose answer was lost, its
// statistics are asked.
//
// https://apidocs.bitrix24.com/api-reference/telephony/
type bitrix24 struct {
	s         Settings
	far       *far
	log       *slog.Logger
	recording Recording
	steps     map[string]*step // by call id
	first     bool             // nothing was sent yet: a run before may have been here
}

// step is how far a call got.
type step struct {
	id       string // the portal's; "": not known
	asked    bool   // to be registered, and no answer came
	finished bool
}

const (
	stepsMost = 1000     // of calls that were refused half way
	soundMost = 32 << 20 // of a recording: it goes as base64 in one request
)

func newBitrix24(s Settings, recording Recording, log *slog.Logger, now func() time.Time) (Sink, error) {
	far, err := newFar(&s, now, s.Secret.text)
	if err != nil {
		return nil, err
	}
	return &bitrix24{s: s, far: far, log: log, recording: recording, steps: map[string]*step{}, first: true}, nil
}

// Send implements Sink.
func (b *bitrix24) Send(ctx context.Context, batch []Entry) error {
	for i := range batch {
		if err := b.sendCall(ctx, &batch[i]); err != nil {
			if len(batch) == 1 {
				return err
			}
			errs := make(Partial, len(batch))
			for n := i; n < len(batch); n++ {
				errs[n] = err
			}
			return errs
		}
	}
	return nil
}

func (b *bitrix24) sendCall(ctx context.Context, e *Entry) error {
	c, ok := clientCallOf(e)
	if !ok {
		return nil
	}
	if len(b.steps) > stepsMost {
		clear(b.steps)
	}
	at := b.steps[c.ID]
	if at == nil {
		at = &step{asked: b.first}
		b.steps[c.ID] = at
	}
	b.first = false
	if at.id == "" && at.asked {
		if err := b.find(ctx, &c, at); err != nil {
			return err
		}
	}
	if at.id == "" {
		if err := b.register(ctx, &c, at); err != nil {
			return err
		}
	}
	if !at.finished {
		if err := b.finish(ctx, &c, at); err != nil {
			return err
		}
	}
	if err := b.attach(ctx, &c, at); err != nil {
		return err
	}
	delete(b.steps, c.ID)
	return nil
}

// find looks whether the portal has the call already.
func (b *bitrix24) find(ctx context.Context, c *clientCall, at *step) error {
	var found []struct {
		CallID string `json:"CALL_ID"`
	}
	err := b.ask(ctx, "voximplant.statistic.get", map[string]any{"FILTER": map[string]any{"EXTERNAL_CALL_ID": c.ID}}, &found)
	var said *portalError
	if errors.As(err, &said) && said.code == "ACCESS_DENIED" {
		b.log.Warn("the portal does not let its statistics be read: a call whose answer was lost may come twice. Give the webhook the right to see them", "err", err)
		return nil
	}
	if err == nil && len(found) > 0 && found[0].CallID != "" {
		at.id, at.finished = found[0].CallID, true
	}
	return err
}

func (b *bitrix24) register(ctx context.Context, c *clientCall, at *step) error {
	kind := 1
	if c.inbound {
		kind = 2
	}
	p := map[string]any{
		"PHONE_NUMBER": c.phone, "TYPE": kind, "CALL_START_DATE": iso(c.StartedAt), "EXTERNAL_CALL_ID": c.ID,
		"CRM_CREATE": 0, "SHOW": 0, "ADD_TO_CHAT": 0,
	}
	if c.Line != nil {
		p["LINE_NUMBER"] = c.Line.Number
	}
	at.asked = true
	var result struct {
		CallID string `json:"CALL_ID"`
	}
	if err := b.askAs(ctx, c, "telephony.externalCall.register", p, &result); err != nil {
		return err
	}
	if result.CallID == "" {
		return errors.New("telephony.externalCall.register: the answer has no CALL_ID")
	}
	at.id = result.CallID
	return nil
}

func (b *bitrix24) finish(ctx context.Context, c *clientCall, at *step) error {
	p := map[string]any{
		"CALL_ID": at.id, "DURATION": c.seconds, "STATUS_CODE": bitrixStatus(c), "ADD_TO_CHAT": 0,
	}
	if c.Cause != nil && c.Status != call.StatusAnswered {
		p["FAILED_REASON"] = c.Cause.Text
	}
	if c.Cost != nil {
		p["COST"], p["COST_CURRENCY"] = json.Number(c.Cost.Amount), c.Cost.Currency
	}
	err := b.askAs(ctx, c, "telephony.externalCall.finish", p, nil)
	var said *portalError
	if errors.As(err, &said) && strings.Contains(said.text, "Call is not found") {
		// Registered too long ago, or finished by a request whose answer was lost.
		*at = step{asked: true}
		return fmt.Errorf("the portal does not know the call any more; it is looked for, and registered again: %v", said.error)
	}
	if err == nil {
		at.finished = true
	}
	return err
}

// bitrixStatus is the portal's code for how a call went.
func bitrixStatus(c *clientCall) string {
	switch c.Status {
	case call.StatusAnswered:
		return "200"
	case call.StatusBusy:
		return "486"
	case call.StatusRejected:
		return "603"
	case call.StatusAbandoned, call.StatusNoAnswer:
		switch {
		case c.inbound:
			return "304"
		case c.Status == call.StatusAbandoned:
			return "603-S"
		}
		return "480"
	case call.StatusVoicemail:
		return "304"
	case call.StatusFailed:
		if c.Cause != nil {
			switch code := strconv.Itoa(c.Cause.SIP); code {
			case "402", "403", "404", "423", "480", "484", "503":
				return code
			}
			if c.Cause.Q850 == 1 { // unallocated number
				return "404"
			}
		}
		return "503"
	}
	return "OTHER" // a fax, or a caller whom the PBX served to the end
}

// attach sends the first recording that can be had. One that the portal does not
// want is no reason to hold the call back.
func (b *bitrix24) attach(ctx context.Context, c *clientCall, at *step) error {
	if b.recording == nil {
		return nil
	}
	for n := range c.Recordings {
		name, content, err := b.sound(ctx, c.Record, n)
		if err != nil {
			b.log.Info("a recording is not attached", "call", c.ID, "err", err)
			continue
		}
		err = b.ask(ctx, "telephony.externalCall.attachRecord", map[string]any{"CALL_ID": at.id, "FILENAME": name, "FILE_CONTENT": content}, nil)
		var refused *Refused
		if errors.As(err, &refused) {
			b.log.Warn("the portal refuses a recording", "call", c.ID, "err", err)
			continue
		}
		return err // a later one would replace it
	}
	return nil
}

func (b *bitrix24) sound(ctx context.Context, r *call.Record, n int) (name, content string, err error) {
	f, err := b.recording(ctx, r, n)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	lower := strings.ToLower(f.Name)
	switch {
	case !strings.HasSuffix(lower, ".wav") && !strings.HasSuffix(lower, ".mp3"):
		return "", "", fmt.Errorf("%s: the portal takes wav and mp3", f.Name)
	case f.Size > soundMost:
		return "", "", fmt.Errorf("%s has %d bytes, more than %d", f.Name, f.Size, soundMost)
	}
	var b64 strings.Builder
	w := base64.NewEncoder(base64.StdEncoding, &b64)
	if _, err := io.Copy(w, io.LimitReader(f, soundMost)); err != nil {
		return "", "", err
	}
	if err := w.Close(); err != nil {
		return "", "", err
	}
	return f.Name, b64.String(), nil
}

// askAs asks on behalf of the employee: by his number in the portal, if it is
// configured, else by his extension, else as who stands for nobody.
func (b *bitrix24) askAs(ctx context.Context, c *clientCall, method string, p map[string]any, into any) error {
	user, nobody := b.s.user(c.extension), b.s.user(userDefault)
	switch {
	case user != "":
		p["USER_ID"] = json.Number(user)
	case c.extension != "":
		p["USER_PHONE_INNER"] = c.extension
	case nobody != "":
		p["USER_ID"] = json.Number(nobody)
	default:
		return &Refused{fmt.Errorf("the call is nobody's: say whose such calls are, as users = { %s = 1 }", userDefault)}
	}
	err := b.ask(ctx, method, p, into)
	var said *portalError
	if errors.As(err, &said) && nobody != "" && user == "" && strings.Contains(said.text, "User is not found") {
		delete(p, "USER_PHONE_INNER")
		p["USER_ID"] = json.Number(nobody)
		return b.ask(ctx, method, p, into)
	}
	return err
}

// portalError is what the portal said instead of an answer.
type portalError struct {
	error
	code, text string
}

func (e *portalError) Unwrap() error { return e.error }

// ask calls a method. The portal may say what is wrong with any status, 200 too.
func (b *bitrix24) ask(ctx context.Context, method string, p map[string]any, into any) error {
	var said struct {
		Result json.RawMessage `json:"result"`
		Error  *string         `json:"error"`
		Text   string          `json:"error_description"`
	}
	address := strings.TrimRight(b.s.URL, "/") + "/" + b.s.Secret.text + "/" + method
	a, err := b.far.askJSON(ctx, address, nil, p, &said)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if a.good() && said.Error == nil {
		if into == nil {
			return nil
		}
		if err := json.Unmarshal(said.Result, into); err != nil {
			return fmt.Errorf("%s: the answer is not what was expected: %w", method, err)
		}
		return nil
	}
	e := &portalError{code: text(said.Error), text: said.Text}
	e.error = b.meaning(a, method, e.code)
	return e
}

// meaning tells what is wrong with us, or now, from what is wrong with a call.
func (b *bitrix24) meaning(a *answer, method, code string) error {
	why := fmt.Errorf("%s: %w", method, b.far.reason(a))
	switch code {
	case "QUERY_LIMIT_EXCEEDED":
		return &Busy{max(time.Second, b.far.retryAfter(a)), why}
	case "OPERATION_TIME_LIMIT", "OVERLOAD_LIMIT":
		return &Busy{max(time.Minute, b.far.retryAfter(a)), why}
	case "WRONG_AUTH_TYPE":
		return fmt.Errorf("%w: the portal lets only applications do this: see its plan, and whether the webhook has the scope telephony", why)
	case "ERROR_CORE", "INVALID_ARGUMENT", "ERROR_ARGUMENT", "":
		if a.status == http.StatusBadRequest || a.good() {
			return &Refused{why}
		}
	}
	if a.status == http.StatusTooManyRequests || a.status >= 500 {
		return &Busy{b.far.retryAfter(a), why}
	}
	return why
}

// Close implements Sink.
func (b *bitrix24) Close() error {
	b.far.close()
	return nil
}
