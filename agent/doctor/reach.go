package doctor

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"time"

	"calljournal/agent/config"
	"calljournal/agent/mail"
)

// expiresSoon is when a certificate should have been renewed.
const expiresSoon = 14 * 24 * time.Hour

// network: who can reach the HTTP interface, and whether tokens go in clear.
func (x *examination) network(context.Context) {
	h := x.Config.HTTP
	switch {
	case h.Listen == "":
		x.add(Well, "http", "", "off", "")
		return
	case h.TLSCert == "" && !loopback(h.Listen):
		x.add(Fault, "http", h.Listen, "tokens and calls cross the network unencrypted", "set tls_cert and tls_key in [http], or listen on 127.0.0.1")
	case h.TLSCert == "":
		x.add(Well, "http", h.Listen, "for this machine only", "")
	}
	if h.TLSCert != "" {
		x.certificate("http", h.TLSCert)
	}
}

func (x *examination) certificate(check, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		x.add(Fault, check, path, "the certificate cannot be read: "+err.Error(), "correct the path, or let the service read it")
		return
	}
	block, _ := pem.Decode(text)
	if block == nil {
		x.add(Fault, check, path, "is no certificate in PEM", "give the file that begins with -----BEGIN CERTIFICATE-----")
		return
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		x.add(Fault, check, path, "the certificate cannot be read: "+err.Error(), "give another one")
		return
	}
	left := c.NotAfter.Sub(x.Now())
	switch {
	case left < 0:
		x.add(Fault, check, path, "the certificate has expired on "+c.NotAfter.Format(time.DateOnly), "renew it; it is reread by itself")
	case x.Now().Before(c.NotBefore):
		x.add(Fault, check, path, "the certificate holds only from "+c.NotBefore.Format(time.DateOnly), "is this machine's clock right?")
	case left < expiresSoon:
		x.add(Advice, check, path, fmt.Sprintf("the certificate expires in %d days", int(left.Hours()/24)), "renew it; it is reread by itself")
	default:
		x.add(Well, check, path, "the certificate holds until "+c.NotAfter.Format(time.DateOnly), "")
	}
}

// farSides: whether what we send to can be reached. Nothing is sent.
func (x *examination) farSides(ctx context.Context) {
	for _, f := range x.Config.Forward {
		if f.Kind == config.ForwardFile || f.Proxy != "" {
			continue
		}
		x.reach(ctx, "forward", f.Name, f.URL)
	}
	if u := x.Config.Uplink.URL; u != "" {
		x.reach(ctx, "uplink", "centre", u)
	}
	x.mail(ctx)
}

// mail signs in to the mail server, as a mail would. Nothing is sent.
func (x *examination) mail(ctx context.Context) {
	m := x.Config.Mail
	if m.Server == "" {
		return
	}
	m.Timeout.Duration = x.Patience
	encrypted, err := mail.NewServer(m, slog.New(slog.DiscardHandler)).Probe(ctx)
	switch {
	case err != nil:
		x.add(Fault, "mail", m.Server, err.Error(), "correct [mail]: server, tls, ca, username, password_file; reports and missed calls are mailed late meanwhile")
	case encrypted == "":
		x.add(Well, "mail", m.Server, "takes mail from this machine, unencrypted", "")
	case m.Username == "":
		x.add(Well, "mail", m.Server, "reached over "+encrypted+"; without a user name: whether it takes our mail shows only when one is sent", "")
	default:
		x.add(Well, "mail", m.Server, "signed in as "+m.Username+" over "+encrypted, "")
	}
}

func (x *examination) reach(ctx context.Context, check, name, address string) {
	u, err := url.Parse(address)
	if err != nil {
		x.add(Fault, check, name, "the url cannot be read", "correct url of "+name) // the url may hold a secret
		return
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "nats": "4222", "tls": "4222"}[u.Scheme]
	}
	target := net.JoinHostPort(u.Hostname(), port)
	d := net.Dialer{Timeout: x.Patience}
	c, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		x.add(Fault, check, name, fmt.Sprintf("%s cannot be reached: %v", target, err), "look at the name, the route and the firewall; calls wait in the journal meanwhile")
		return
	}
	c.Close()
	x.add(Well, check, name, target+" can be reached", "")
}
