package agent

import (
	"fmt"
	"net/http"
	"net/url"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/transport"
	"calljournal/agent/uplink"
)

// newUplink makes the line to the centre; nil if [uplink] is not there.
func (a *Agent) newUplink(c *config.Config, h http.Handler) (*uplink.Line, error) {
	u := c.Uplink
	if u.URL == "" {
		return nil, nil
	}
	to, err := url.Parse(u.URL)
	if err != nil {
		return nil, fmt.Errorf("uplink.url: %w", err)
	}
	secure, err := transport.ClientTLS(to.Hostname(), transport.Files{Cert: u.ClientCert, Key: u.ClientKey, CA: u.CA}, a.log)
	if err != nil {
		return nil, fmt.Errorf("[uplink] ca, client_cert: %w", err)
	}
	return uplink.New(uplink.Options{
		URL: u.URL, Agent: c.Agent.Name, TLS: secure, Handler: h, Logger: a.log, Now: a.now,
		Token: func() string { return a.config.Load().Uplink.Token.Reveal() }, // as a reload left it
	}), nil
}

// uplinkStatus is nil without an uplink.
func (a *Agent) uplinkStatus() *api.Uplink {
	if a.uplink == nil {
		return nil
	}
	l := a.uplink.Look()
	return &api.Uplink{
		URL: a.config.Load().Uplink.URL, State: l.State, Since: call.MomentOf(l.Since), Error: l.Error, NextTry: call.MomentOf(l.NextTry),
		Sessions: l.Sessions, Requests: l.Requests, AskedAt: call.MomentOf(l.AskedAt),
	}
}
