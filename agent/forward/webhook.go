package forward

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// webhook posts batches to a URL:
//
//	{"journal": "…", "agent": "…", "entries": [ … ]}
//
// the entries as GET /v1/sync has them, with the headers of Standard Webhooks.
// webhook-id is made of the body, so that a resend, which is the same to the
// byte, has the same one.
type webhook struct {
	s    Settings
	far  *far
	now  func() time.Time
	sign *standardwebhooks.Webhook // nil: no secret
	head []byte                    // of every body
	name string
}

func newWebhook(s Settings, agent, journal string, now func() time.Time) (Sink, error) {
	far, err := newFar(&s, now, s.Secret.text)
	if err != nil {
		return nil, err
	}
	w := &webhook{s: s, far: far, now: now, name: agent}
	if s.Secret.text != "" {
		w.sign, err = standardwebhooks.NewWebhookRaw(webhookKey(s.Secret.text))
		if err != nil {
			return nil, fmt.Errorf("the secret cannot be used: %w", err)
		}
	}
	head := struct {
		Journal string `json:"journal"`
		Agent   string `json:"agent"`
	}{journal, agent}
	if w.head, err = json.Marshal(head); err != nil {
		return nil, err
	}
	w.head = append(bytes.TrimSuffix(w.head, []byte("}")), `,"entries":[`...)
	return w, nil
}

// webhookKey reads a secret as the libraries of Standard Webhooks do, base64 with
// or without the prefix; a text that is not base64 is taken as it is.
func webhookKey(secret string) []byte {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) == 0 {
		return []byte(secret)
	}
	return key
}

// Send implements Sink.
func (w *webhook) Send(ctx context.Context, batch []Entry) error {
	size := len(w.head) + 2
	for i := range batch {
		size += len(batch[i].JSON) + 1
	}
	body := append(make([]byte, 0, size), w.head...)
	for i := range batch {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, batch[i].JSON...)
	}
	return w.post(ctx, append(body, "]}"...))
}

// SendLive implements LiveSink.
func (w *webhook) SendLive(ctx context.Context, e *Event) error {
	body, err := json.Marshal(struct {
		Agent string `json:"agent"`
		*Event
	}{w.name, e})
	if err != nil {
		return err
	}
	return w.post(ctx, body)
}

// post signs the JSON, not what gzip makes of it: a receiver's framework unpacks
// before anyone can look at the body.
func (w *webhook) post(ctx context.Context, body []byte) error {
	sum := sha256.Sum256(body)
	id, at := "msg_"+hex.EncodeToString(sum[:16]), w.now()
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set(standardwebhooks.HeaderWebhookID, id)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	if w.sign != nil {
		signature, err := w.sign.Sign(id, at, body)
		if err != nil {
			return fmt.Errorf("sign: %w", err)
		}
		header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	}
	if w.s.Gzip {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(body); err != nil {
			return fmt.Errorf("compress: %w", err)
		}
		if err := z.Close(); err != nil {
			return fmt.Errorf("compress: %w", err)
		}
		header.Set("Content-Encoding", "gzip")
		body = b.Bytes()
	}
	a, err := w.far.ask(ctx, http.MethodPost, w.s.URL, header, body)
	if err != nil {
		return err
	}
	return w.far.verdict(a)
}

// Close implements Sink.
func (w *webhook) Close() error {
	w.far.close()
	return nil
}
