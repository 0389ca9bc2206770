package forward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"calljournal/storage"
)

// bus publishes each entry to a stream of JetStream, as JSON like GET /v1/sync has
// it, under calls.<agent>.<pbx>. Nats-Msg-Id is made of journal and number, so that
// a stream's duplicate window removes resends. Live events go to live.<agent>.<pbx>,
// to whoever listens at that moment, and into no stream that takes calls.>.
type bus struct {
	s       Settings
	options []nats.Option
	journal string
	agent   string

	mu   sync.Mutex // SendLive comes from another goroutine
	conn *nats.Conn
	js   jetstream.JetStream
}

// Headers beside Nats-Msg-Id.
const (
	headerJournal = "Calljournal-Journal"
	headerAgent   = "Calljournal-Agent"
)

func newBus(s Settings, agent, journal string, log *slog.Logger) (Sink, error) {
	b := &bus{s: s, journal: journal, agent: agent, options: []nats.Option{
		nats.Name("calljournal " + agent),
		nats.MaxReconnects(-1), nats.ReconnectWait(time.Second), nats.ReconnectJitter(time.Second, time.Second), nats.Timeout(connectTime),
		// What was not sent is tried again from the journal, not from memory.
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Debug("the bus says", "err", err) }),
	}}
	if strings.HasPrefix(s.URL, "tls://") || s.TLSCA != "" || s.TLSCert != "" {
		secure, err := secureConfig(&s)
		if err != nil {
			return nil, err
		}
		b.options = append(b.options, nats.Secure(secure))
	}
	if s.Credentials != "" {
		b.options = append(b.options, nats.UserCredentials(s.Credentials))
	}
	if user, password, ok := strings.Cut(s.Secret.text, ":"); ok {
		b.options = append(b.options, nats.UserInfo(user, password))
	} else if s.Secret.text != "" {
		b.options = append(b.options, nats.Token(s.Secret.text))
	}
	return b, nil
}

// dialer is a connection that ends with ctx, for as long as that is set: the
// library's own Connect cannot be told to stop.
type dialer struct {
	mu  sync.Mutex
	ctx context.Context
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	d.mu.Lock()
	ctx := d.ctx
	d.mu.Unlock()
	if ctx == nil {
		ctx = context.Background()
	}
	c, err := (&net.Dialer{Timeout: connectTime, KeepAlive: 15 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &dialled{Conn: c, stop: context.AfterFunc(ctx, func() {
		d.mu.Lock()
		waits := d.ctx != nil
		d.mu.Unlock()
		if waits {
			c.Close()
		}
	})}, nil
}

type dialled struct {
	net.Conn
	stop func() bool
}

func (c *dialled) Close() error {
	c.stop()
	return c.Conn.Close()
}

// connect gives the connection and makes it if there is none. After that the
// library connects again by itself.
func (b *bus) connect(ctx context.Context) (jetstream.JetStream, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil && !b.conn.IsClosed() {
		if !b.conn.IsConnected() {
			return nil, fmt.Errorf("not connected: %w", b.lastError())
		}
		return b.js, nil
	}
	d := &dialer{ctx: ctx}
	conn, err := nats.Connect(b.s.URL, append(b.options, nats.SetCustomDialer(d))...)
	d.mu.Lock()
	d.ctx = nil
	d.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(b.s.Batch), jetstream.WithPublishAsyncTimeout(b.s.Timeout))
	if err != nil {
		conn.Close()
		return nil, err
	}
	b.conn, b.js = conn, js
	return js, nil
}

func (b *bus) lastError() error {
	if err := b.conn.LastError(); err != nil {
		return err
	}
	return errors.New("the server is gone")
}

// Send implements Sink: all of the batch is under way at once, and each entry
// counts when the server has acknowledged it.
func (b *bus) Send(ctx context.Context, batch []Entry) error {
	js, err := b.connect(ctx)
	if err != nil {
		return err
	}
	errs, futures, failed := make(Partial, len(batch)), make([]jetstream.PubAckFuture, len(batch)), false
	for i := range batch {
		e := &batch[i]
		msg := nats.NewMsg(b.subject("calls", e.pbx()))
		msg.Data = e.JSON
		msg.Header.Set(headerJournal, b.journal)
		msg.Header.Set(headerAgent, b.agent)
		// No tries of its own: they would come after entries that are later.
		futures[i], errs[i] = js.PublishMsgAsync(msg, jetstream.WithMsgID(b.journal+"-"+strconv.FormatUint(e.Seq, 10)), jetstream.WithRetryAttempts(0))
		if errors.Is(errs[i], nats.ErrMaxPayload) {
			errs[i] = &Refused{errs[i]}
		}
		failed = failed || errs[i] != nil
	}
	for i, future := range futures {
		if errs[i] != nil {
			continue
		}
		select {
		case <-future.Ok():
		case err := <-future.Err():
			errs[i], failed = b.meaning(&batch[i], err), true
		case <-ctx.Done():
			errs[i], failed = context.Cause(ctx), true
		}
	}
	if failed {
		return errs
	}
	return nil
}

// tooLarge is JetStream's code for a message larger than its stream takes.
const tooLarge jetstream.ErrorCode = 10054

// meaning tells a refusal of one entry from a fault of the bus.
func (b *bus) meaning(e *Entry, err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		subject := b.subject("calls", e.pbx())
		return fmt.Errorf("no stream takes %s, or JetStream is off: make one, as nats stream add CALLS --subjects 'calls.>'", subject)
	case errors.As(err, &api) && api.ErrorCode == tooLarge:
		return &Refused{err}
	}
	return err
}

// SendLive implements LiveSink.
func (b *bus) SendLive(_ context.Context, e *Event) error {
	b.mu.Lock()
	conn := b.conn
	b.mu.Unlock()
	if conn == nil || !conn.IsConnected() {
		return errors.New("not connected")
	}
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return conn.Publish(b.subject("live", e.Call.PBX), body)
}

// Close implements Sink.
func (b *bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil {
		b.conn.Close()
	}
	return nil
}

// pbx is what an entry is about.
func (e *Entry) pbx() string {
	switch {
	case e.Op == storage.OpCall:
		return e.Call.PBX
	case e.Op == storage.OpGap:
		return e.Gap.PBX
	}
	name, _, _ := strings.Cut(e.ID, ":")
	return name
}

func (b *bus) subject(first, pbx string) string {
	return first + "." + token(b.agent) + "." + token(pbx)
}

// token makes one token of a subject out of a name: a dot would make it two, and
// a star or an angle would make it match what others are called.
func token(name string) string {
	safe := strings.Map(func(r rune) rune {
		if r == '.' || r == '*' || r == '>' || r == '$' || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
	if safe == "" {
		return "_"
	}
	return safe
}
