package collect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/config"
	"calljournal/agent/transport"
	"calljournal/agent/uplink"
)

// follower pulls one agent's feed. It belongs to the goroutine of its branch.
type follower struct {
	*branch
	limit int    // entries to ask for: less after a page that did not arrive
	well  func() // called for each page that was stored

	line    *uplink.Branch // of an agent that dials us: in use until it ends, whatever goes wrong on it
	way     *http.Client   // to an agent that we reach; made once
	base    string
	patient bool // the first answer of a way is not waited for: it tells that there is one
	acked   int64
	last    time.Time // of the acknowledgement
}

// reach gives the way to the agent; for one that dials us, it waits for that.
func (f *follower) reach(ctx context.Context) (*http.Client, string, error) {
	if f.c.Via == config.ViaUplink {
		for f.line == nil || over(f.line) || len(f.lines) > 0 {
			select {
			case l := <-f.lines:
				f.hangUp()
				f.line = l
			case <-ctx.Done():
				return nil, "", ctx.Err()
			}
		}
		return &http.Client{Transport: &replaceable{f.line, f.lines}}, "http://branch", nil
	}
	if f.way != nil {
		return f.way, f.base, nil
	}
	to, err := url.Parse(f.c.URL)
	if err != nil {
		return nil, "", &refusedError{err.Error()}
	}
	secure, err := transport.ClientTLS(to.Hostname(), transport.Files{Cert: f.c.ClientCert, Key: f.c.ClientKey, CA: f.c.CA}, f.log)
	if err != nil {
		return nil, "", &refusedError{err.Error()}
	}
	f.way = &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure, MaxIdleConnsPerHost: 1, IdleConnTimeout: 5 * time.Minute,
			ResponseHeaderTimeout: wait + pageWithin, TLSHandshakeTimeout: 20 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it would carry the token
	}
	f.base = to.Scheme + "://" + to.Host + strings.TrimRight(to.Path, "/")
	return f.way, f.base, nil
}

func over(l *uplink.Branch) bool {
	select {
	case <-l.Ended():
		return true
	default:
		return false
	}
}

// hangUp cuts what connects us with the agent.
func (f *follower) hangUp() {
	if f.line != nil {
		f.line.Close()
	}
	if f.way != nil {
		f.way.CloseIdleConnections()
	}
}

// replaceable ends a line as soon as the branch has dialled a new one: it would
// not have done so if this one still worked.
type replaceable struct {
	*uplink.Branch
	newer chan *uplink.Branch
}

// RoundTrip implements http.RoundTripper.
func (r *replaceable) RoundTrip(q *http.Request) (*http.Response, error) {
	if len(r.newer) > 0 {
		r.Close()
		return nil, uplink.ErrLineEnded
	}
	return r.Branch.RoundTrip(q)
}

// follow pulls from the cursor in the database on, until something goes wrong.
func (f *follower) follow(ctx context.Context) error {
	at, err := f.store.position(ctx, f.c.Name)
	if err != nil {
		return &storeError{err}
	}
	f.branch.at(at)
	f.acked, f.patient = -1, false
	way, base, err := f.reach(ctx)
	if err != nil {
		return err
	}
	for {
		more, err := f.step(ctx, way, base, &at)
		if err != nil {
			return err
		}
		if !more && f.self.Pause.Duration > 0 {
			sleep(ctx, f.self.Pause.Duration) // so that entries come in company
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// step pulls and stores one page; more says that there is more already.
func (f *follower) step(ctx context.Context, way *http.Client, base string, at *position) (more bool, err error) {
	held := share{room: f.room}
	defer held.free()
	p, entries, err := f.fetch(ctx, way, base, *at, &held)
	var gone *goneError
	if errors.As(err, &gone) {
		return true, f.restart(ctx, at, gone)
	}
	if err != nil {
		f.limit = max(1, f.limit/2)
		return false, err
	}
	if at.Journal == "" {
		if err := f.store.restart(ctx, f.c.Name, *at, p.Journal, number(p.Oldest)-1, 0); err != nil {
			return false, &storeError{err}
		}
		at.Journal, at.Cursor = p.Journal, number(p.Oldest)-1
	}
	head, oldest := number(p.Head), number(p.Oldest)
	if len(entries) == 0 {
		if err := f.store.seen(ctx, f.c.Name, head, oldest); err != nil {
			return false, &storeError{err}
		}
		f.change(func(l *Look) { l.Journal, l.Cursor, l.Head, l.LastSeen = at.Journal, at.Cursor, head, f.now() })
	} else {
		b := batch{agent: f.c.Name, journal: at.Journal, from: at.Cursor, head: head, oldest: oldest, entries: entries}
		if entries[0].Seq != at.Cursor+1 || b.to() != number(p.Next) || b.to()-at.Cursor != int64(len(entries)) {
			return false, &refusedError{fmt.Sprintf("the agent's answer has a hole: entries %d to %d after %d", entries[0].Seq, b.to(), at.Cursor)}
		}
		refused, err := f.store.put(ctx, b)
		if err != nil {
			return false, &storeError{err}
		}
		at.Cursor = b.to()
		f.stored(&b, refused)
	}
	f.limit = min(f.limit*2, f.self.Page)
	f.patient = true
	f.well()
	f.state(Up, "", 0)
	more = at.Cursor < head
	if f.acked != at.Cursor && f.now().Sub(f.last) >= ackEvery {
		f.acknowledge(ctx, way, base, *at)
	}
	return more, nil
}

// goneError: the agent's feed does not go on where we are.
type goneError struct {
	Journal string `json:"journal"`
	Oldest  uint64 `json:"oldest"`
	Head    uint64 `json:"head"`
}

func (e *goneError) Error() string { return "the agent's feed begins anew" }

// restart begins at the oldest entry that the agent has. What it did not keep
// until it was read is counted.
func (f *follower) restart(ctx context.Context, at *position, g *goneError) error {
	to, lost := number(g.Oldest)-1, int64(0)
	if g.Journal == "" || to < 0 {
		return errors.New("the agent answered 410 without its journal")
	}
	if g.Journal == at.Journal && to > at.Cursor {
		lost = to - at.Cursor
	}
	if err := f.store.restart(ctx, f.c.Name, *at, g.Journal, to, lost); err != nil {
		return &storeError{err}
	}
	f.log.Warn("the agent's feed begins anew", "journal_before", at.Journal, "journal", g.Journal, "cursor_before", at.Cursor, "cursor", to, "lost", lost)
	f.change(func(l *Look) {
		if at.Journal != "" && at.Journal != g.Journal {
			l.Resets++
		}
		l.Journal, l.Cursor, l.Head, l.Lost = g.Journal, to, number(g.Head), l.Lost+lost
	})
	at.Journal, at.Cursor = g.Journal, to
	return nil
}

// fetch asks for one page. What it holds in memory is in held.
func (f *follower) fetch(ctx context.Context, way *http.Client, base string, at position, held *share) (*page, []entry, error) {
	query := url.Values{"after": {strconv.FormatInt(at.Cursor, 10)}, "limit": {strconv.Itoa(f.limit)}}
	if f.patient {
		patience := wait
		if f.acked != at.Cursor {
			patience = ackEvery // then it is told, also if nothing comes
		}
		query.Set("wait", strconv.Itoa(int(patience.Seconds())))
	}
	if at.Journal != "" {
		query.Set("journal", at.Journal)
	}
	ctx, cancel := context.WithTimeout(ctx, wait+pageWithin)
	defer cancel()
	req, err := f.request(ctx, http.MethodGet, base+"/v1/sync?"+query.Encode(), nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := way.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("ask the agent: %w", hideURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, unwelcome(resp)
	}
	text, err := readAll(resp.Body, held)
	if err != nil {
		return nil, nil, fmt.Errorf("read the agent's answer: %w", err)
	}
	var p page
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, nil, fmt.Errorf("the agent's answer is no page of a feed: %w", err)
	}
	switch {
	case p.Journal == "" || p.Oldest == 0:
		return nil, nil, &refusedError{"the answer is no page of a feed: is url the address of a calljournal?"}
	case at.Journal != "" && p.Journal != at.Journal:
		return nil, nil, &refusedError{fmt.Sprintf("asked for journal %s, the answer is from %.40q", at.Journal, p.Journal)}
	case p.Agent != f.c.Name:
		return nil, nil, &refusedError{fmt.Sprintf("the agent there calls itself %.80q: give [[agent]] that name, or correct the url", p.Agent)}
	}
	entries, err := readEntries(p.Entries)
	if err != nil {
		return nil, nil, fmt.Errorf("the agent's answer: %w", err)
	}
	return &p, entries, nil
}

func (f *follower) request(ctx context.Context, method, to string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return nil, err
	}
	if f.c.Via == config.ViaPull {
		req.Header.Set("Authorization", "Bearer "+f.c.Token.Reveal())
	}
	return req, nil
}

// hideURL takes the address out of an error of http.Client: the branch's name is
// in the log already.
func hideURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// unwelcome is an answer other than 200.
func unwelcome(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	switch resp.StatusCode {
	case http.StatusGone:
		var g goneError
		if err := json.Unmarshal(text, &g); err != nil {
			return fmt.Errorf("the agent answered 410: %w", err)
		}
		return &g
	case http.StatusUnauthorized, http.StatusForbidden:
		return &refusedError{fmt.Sprintf("the agent answered %s: its [[http.token]] must hold the token of this [[agent]], with the scope sync", resp.Status)}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusInternalServerError:
		return fmt.Errorf("the agent answered %s", resp.Status)
	}
	return &refusedError{fmt.Sprintf("the agent answered %s: %.200q", resp.Status, text)}
}

// readAll is io.ReadAll within a share of the room. The room is taken before the
// memory is.
func readAll(r io.Reader, held *share) ([]byte, error) {
	b := bytes.NewBuffer(nil)
	for {
		if b.Available() < bytes.MinRead {
			more := max(64<<10, b.Len())
			// The page, and its parts as they are taken out of it.
			if err := held.grow(2 * int64(b.Len()+more)); err != nil {
				return nil, err
			}
			b.Grow(more)
		}
		n, err := r.Read(b.AvailableBuffer()[:b.Available()])
		b.Write(b.AvailableBuffer()[:n])
		if err == io.EOF {
			return b.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// acknowledge tells the agent what is safely stored, so that it need not keep
// it. It matters so little that a failure is tried again with the next page.
func (f *follower) acknowledge(ctx context.Context, way *http.Client, base string, at position) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	f.last = f.now()
	body, err := json.Marshal(map[string]any{"journal": at.Journal, "seq": at.Cursor})
	if err != nil {
		return
	}
	req, err := f.request(ctx, http.MethodPut, base+"/v1/consumers/"+url.PathEscape(f.self.Name), bytes.NewReader(body))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := way.Do(req)
	if err != nil {
		f.log.Debug("the agent was not told how far it is stored", "err", hideURL(err))
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4096))
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		f.log.Debug("the agent was not told how far it is stored", "status", resp.Status)
		return
	}
	f.acked = at.Cursor
}
