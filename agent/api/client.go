package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"calljournal/agent/call"
	"calljournal/storage"

	"github.com/danielgtaylor/huma/v2"
)

// ErrNoDaemon: nobody listens at the control socket.
var ErrNoDaemon = errors.New("no daemon there")

// ErrNotFound: the daemon does not have what was asked for.
var ErrNotFound = errors.New("not found")

// Client asks the daemon of this machine over its control socket.
type Client struct {
	socket string
	http   *http.Client
}

// askTime is how long an answer may take, but for those about the whole file.
const askTime = 30 * time.Second

// NewClient makes a Client; nothing is opened yet.
func NewClient(socket string) *Client {
	return &Client{socket, &http.Client{
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}},
	}}
}

// Status asks what the daemon says of itself.
func (c *Client) Status(ctx context.Context) (st Status, err error) {
	return st, c.get(ctx, "/v1/status", nil, &st)
}

// Calls asks for a page of calls; filter is the query of GET /v1/calls.
func (c *Client) Calls(ctx context.Context, filter url.Values) (page CallsPage, err error) {
	return page, c.get(ctx, "/v1/calls", filter, &page)
}

// Stats asks for statistics; what is the query of GET /v1/stats.
func (c *Client) Stats(ctx context.Context, what url.Values) (st Statistics, err error) {
	return st, c.getSlow(ctx, "/v1/stats", what, &st)
}

// StatsTables asks for several tables at once; what is the query of GET
// /v1/stats/tables.
func (c *Client) StatsTables(ctx context.Context, what url.Values) (st StatisticsTables, err error) {
	return st, c.getSlow(ctx, "/v1/stats/tables", what, &st)
}

// Call asks for one call.
func (c *Client) Call(ctx context.Context, id string) (r *call.Record, err error) {
	return r, c.get(ctx, "/v1/calls/"+url.PathEscape(id), nil, &r)
}

// Why asks for one call and what the conclusions about it rest on.
func (c *Client) Why(ctx context.Context, id string) (e Explained, err error) {
	return e, c.get(ctx, "/v1/calls/"+url.PathEscape(id)+"/why", nil, &e)
}

// Live asks for the calls in progress.
func (c *Client) Live(ctx context.Context) (now LiveCalls, err error) {
	return now, c.get(ctx, "/v1/live/calls", nil, &now)
}

// Voicemail asks for a page of messages; filter is the query of GET /v1/voicemail.
func (c *Client) Voicemail(ctx context.Context, filter url.Values) (page MessagesPage, err error) {
	return page, c.get(ctx, "/v1/voicemail", filter, &page)
}

// Faxes asks for a page of faxes; filter is the query of GET /v1/faxes.
func (c *Client) Faxes(ctx context.Context, filter url.Values) (page FaxesPage, err error) {
	return page, c.get(ctx, "/v1/faxes", filter, &page)
}

// Config asks for the configuration in force.
func (c *Client) Config(ctx context.Context) (got Configuration, err error) {
	return got, c.get(ctx, "/v1/config", nil, &got)
}

// Log asks for the newest warnings and errors.
func (c *Client) Log(ctx context.Context) (page LogPage, err error) {
	return page, c.get(ctx, "/v1/log", nil, &page)
}

// Missed asks for a page of the worklist; filter is the query of GET /v1/missed.
func (c *Client) Missed(ctx context.Context, filter url.Values) (page MissedPage, err error) {
	return page, c.get(ctx, "/v1/missed", filter, &page)
}

// Tag replaces the tags of a call.
func (c *Client) Tag(ctx context.Context, id string, tags []string) (r *call.Record, err error) {
	return r, c.change(ctx, http.MethodPut, "/v1/calls/"+url.PathEscape(id)+"/tags", map[string]any{"tags": tags}, &r)
}

// Spam asks for the numbers that people named as spammers'.
func (c *Client) Spam(ctx context.Context) (list SpamList, err error) {
	return list, c.get(ctx, "/v1/spam", nil, &list)
}

// MarkSpam names a number as a spammer's.
func (c *Client) MarkSpam(ctx context.Context, number string) (n SpamNumber, err error) {
	path, err := spamPath(number)
	if err != nil {
		return n, err
	}
	return n, c.change(ctx, http.MethodPut, path, nil, &n)
}

// UnmarkSpam takes it off the list.
func (c *Client) UnmarkSpam(ctx context.Context, number string) error {
	path, err := spamPath(number)
	if err != nil {
		return err
	}
	return c.change(ctx, http.MethodDelete, path, nil, nil)
}

// spamPath refuses what would make another address.
func spamPath(number string) (string, error) {
	if strings.Trim(number, ".") == "" {
		return "", fmt.Errorf("%q: %w that a caller could have", number, ErrNumber)
	}
	return "/v1/spam/" + url.PathEscape(number), nil
}

// Erase removes every call of a number, or only counts them. It may take minutes:
// every call is looked at.
func (c *Client) Erase(ctx context.Context, number string, count bool) (e Erased, err error) {
	answer, err := c.send(ctx, http.MethodPost, "/v1/erase", nil, map[string]any{"number": number, "count": count})
	if err != nil {
		return e, err
	}
	defer answer.Close()
	return e, decodeAnswer(answer, &e)
}

// change asks for a change; into may be nil.
func (c *Client) change(ctx context.Context, method, path string, document, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := c.send(ctx, method, path, nil, document)
	if err != nil {
		return err
	}
	defer answer.Close()
	if into == nil {
		return nil
	}
	return decodeAnswer(answer, into)
}

// Reload has the daemon read its configuration again.
func (c *Client) Reload(ctx context.Context) (r Reloaded, err error) {
	return r, c.change(ctx, http.MethodPost, "/v1/reload", nil, &r)
}

// ForgetConsumer makes the daemon keep nothing for a consumer any more.
func (c *Client) ForgetConsumer(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := c.open(ctx, http.MethodDelete, "/v1/consumers/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	return answer.Close()
}

// DeadLetters asks what a forwarder set aside.
func (c *Client) DeadLetters(ctx context.Context, forwarder string) (page DeadPage, err error) {
	return page, c.get(ctx, "/v1/forwarders/"+url.PathEscape(forwarder)+"/dead", nil, &page)
}

// ChangeDeadLetters has dead letters sent again ("resend") or given up ("drop"),
// those with the given numbers, or all.
func (c *Client) ChangeDeadLetters(ctx context.Context, forwarder, what string, seqs []uint64) (changed DeadChanged, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := c.send(ctx, http.MethodPost, "/v1/forwarders/"+url.PathEscape(forwarder)+"/"+what, nil, map[string]any{"seqs": seqs})
	if err != nil {
		return changed, err
	}
	defer answer.Close()
	return changed, decodeAnswer(answer, &changed)
}

// Backup copies the journal as it is now to w. An error means that what w got is
// no journal.
func (c *Client) Backup(ctx context.Context, w io.Writer) (int64, error) {
	answer, err := c.open(ctx, http.MethodGet, "/v1/backup", nil)
	if err != nil {
		return 0, err
	}
	defer answer.Close()
	n, err := io.Copy(w, answer)
	if err != nil {
		return n, fmt.Errorf("copy the journal: %w", err)
	}
	return n, nil
}

// Check has the daemon read its whole journal.
func (c *Client) Check(ctx context.Context) (r storage.Report, err error) {
	return r, c.getSlow(ctx, "/v1/check", nil, &r)
}

// maxAnswer keeps a stranger at the socket from filling our memory.
const maxAnswer = 256 << 20

func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return c.getSlow(ctx, path, query, into)
}

// getSlow is get without a limit but ctx.
func (c *Client) getSlow(ctx context.Context, path string, query url.Values, into any) error {
	answer, err := c.open(ctx, http.MethodGet, path, query)
	if err != nil {
		return err
	}
	defer answer.Close()
	return decodeAnswer(answer, into)
}

func decodeAnswer(answer io.Reader, into any) error {
	if err := json.NewDecoder(io.LimitReader(answer, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

// open asks and gives the body of a good answer.
func (c *Client) open(ctx context.Context, method, path string, query url.Values) (io.ReadCloser, error) {
	return c.send(ctx, method, path, query, nil)
}

// send is open with a document to go along, unless that is nil.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, document any) (io.ReadCloser, error) {
	resp, err := c.ask(ctx, method, path, query, document)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// ask gives a good answer whole, whose body must be closed.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values, document any) (*http.Response, error) {
	var body io.Reader
	if document != nil {
		b, err := json.Marshal(document)
		if err != nil {
			return nil, fmt.Errorf("ask the daemon: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://calljournal"+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	if document != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.URL.RawQuery = query.Encode()
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		defer resp.Body.Close()
		return nil, refusal(resp, io.LimitReader(resp.Body, maxAnswer))
	}
	return resp, nil
}

// unreachable tells an absent daemon from one that we may not ask.
func (c *Client) unreachable(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("open %s: permission denied: try it with sudo, or join the group that owns the file", c.socket)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nobody answers at %s", ErrNoDaemon, c.socket)
	}
	return fmt.Errorf("ask the daemon at %s: %w", c.socket, err)
}

// refusal is what the daemon said instead of an answer.
func refusal(resp *http.Response, answer io.Reader) error {
	var p huma.ErrorModel
	if err := json.NewDecoder(answer).Decode(&p); err != nil || p.Detail == "" {
		return fmt.Errorf("the daemon answered %s", resp.Status)
	}
	details := []string{p.Detail}
	for _, e := range p.Errors {
		details = append(details, strings.TrimSpace(e.Location+": "+e.Message))
	}
	text := strings.Join(details, "; ")
	if resp.StatusCode == http.StatusNotFound {
		text = ErrNotFound.Error() + ": " + text
	}
	return &Refusal{resp.StatusCode, text}
}

// Refusal is an answer of the daemon that says what was wrong with the question.
type Refusal struct {
	Status int // as HTTP has it
	Text   string
}

func (r *Refusal) Error() string { return r.Text }

// Is makes the Refusal of what is not there an ErrNotFound.
func (r *Refusal) Is(err error) bool { return err == ErrNotFound && r.Status == http.StatusNotFound }

// Close gives up connections that are kept for the next question.
func (c *Client) Close() { c.http.CloseIdleConnections() }
