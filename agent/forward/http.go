package forward

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// far is a far side that is asked over HTTP.
type far struct {
	client  *http.Client
	secrets []string // never to be shown
	now     func() time.Time
}

const (
	maxAnswer   = 256 << 10 // of it that is read
	maxReason   = 300       // of it that is shown
	connectTime = 10 * time.Second
)

// newFar makes the client for one [[forward]]. It follows no redirect: an answer
// from elsewhere is not the answer of whom the calls are for, and the signature
// and the calls are not for others.
func newFar(s *Settings, now func() time.Time, secrets ...string) (*far, error) {
	secure, err := secureConfig(s)
	if err != nil {
		return nil, err
	}
	proxy := http.ProxyFromEnvironment
	if s.Proxy != "" {
		u, err := url.Parse(s.Proxy)
		if err != nil {
			return nil, errors.New("proxy is no address")
		}
		if password, ok := u.User.Password(); ok {
			secrets = append(secrets, password)
		}
		proxy = http.ProxyURL(u)
	}
	if u, err := url.Parse(s.URL); err == nil {
		secrets = append(secrets, u.RequestURI())
	}
	f := &far{now: now, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: proxy, TLSClientConfig: secure, ForceAttemptHTTP2: true,
			DialContext:         (&net.Dialer{Timeout: connectTime, KeepAlive: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout: connectTime, MaxIdleConnsPerHost: 2, IdleConnTimeout: 90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}}
	for _, secret := range secrets {
		if len(secret) > 3 { // "/", or a word that is in everything
			f.secrets = append(f.secrets, secret)
		}
	}
	return f, nil
}

// secureConfig is what goes for TLS with one far side. The client certificate is
// read when a connection is made, so that a renewed one needs no reload.
func secureConfig(s *Settings) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.TLSCA != "" {
		pem, err := os.ReadFile(s.TLSCA)
		if err != nil {
			return nil, fmt.Errorf("tls_ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls_ca: there is no certificate in %s", s.TLSCA)
		}
	}
	if s.TLSCert != "" {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey)
			if err != nil {
				return nil, fmt.Errorf("tls_cert: %w", err)
			}
			return &pair, nil
		}
		if _, err := c.GetClientCertificate(nil); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// answer is what a far side said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request. Whatever the far side says is no error here.
func (f *far) ask(ctx context.Context, method, address string, header http.Header, body []byte) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("url is no address that can be asked")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "calljournal")
	resp, err := f.client.Do(req)
	if err != nil {
		var in *url.Error
		if errors.As(err, &in) {
			err = in.Err // without the address
		}
		return nil, f.hide(err)
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil && a.good() {
		return nil, f.hide(fmt.Errorf("the answer breaks off: %w", err))
	}
	return a, nil
}

// hide makes an error that can be shown: what the far side says may hold what we
// said to it.
func (f *far) hide(err error) error {
	text := err.Error()
	if hidden := f.hidden(text); hidden != text {
		return errors.New(hidden)
	}
	return err
}

func (f *far) hidden(text string) string {
	for _, secret := range f.secrets {
		text = strings.ReplaceAll(text, secret, "(hidden)")
	}
	return text
}

func (a *answer) good() bool { return a.status >= 200 && a.status < 300 }

// verdict is what an answer's status means for what was sent.
func (f *far) verdict(a *answer) error {
	if a.good() {
		return nil
	}
	err := f.reason(a)
	switch s := a.status; {
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly:
		return err
	case s == http.StatusUnauthorized, s == http.StatusProxyAuthRequired:
		return err // it is we who are refused, not what we sent
	case s == http.StatusTooManyRequests, s >= 500:
		return &Busy{f.retryAfter(a), err}
	case s >= 400:
		return &Refused{err}
	case s >= 300:
		return fmt.Errorf("%w: redirects are not followed: set url to where it leads", err)
	}
	return err
}

// reason is what the far side said, fit to be shown.
func (f *far) reason(a *answer) error {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(a.body[:min(len(a.body), 4*maxReason)]), " "))
	text = f.hidden(strings.Join(strings.Fields(text), " "))
	if runes := []rune(text); len(runes) > maxReason {
		text = string(runes[:maxReason]) + "…"
	}
	said := strings.TrimSpace(fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)))
	if text == "" {
		return fmt.Errorf("answered %s", said)
	}
	return fmt.Errorf("answered %s: %s", said, text)
}

// retryAfter reads the header of that name, in either of its forms.
func (f *far) retryAfter(a *answer) time.Duration {
	text := a.header.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(f.now()))
	}
	return 0
}

// askJSON sends a document and reads one. into is filled from a bad answer too,
// if that is JSON.
func (f *far) askJSON(ctx context.Context, address string, header http.Header, document, into any) (*answer, error) {
	body, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	for name, values := range header {
		h[name] = values
	}
	a, err := f.ask(ctx, http.MethodPost, address, h, body)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(a.body, into); err != nil && a.good() && len(bytes.TrimSpace(a.body)) > 0 {
		return nil, f.hide(fmt.Errorf("the answer is not what was expected: %w", err))
	}
	return a, nil
}

func (f *far) close() { f.client.CloseIdleConnections() }
