package agent

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/connectors"
	"calljournal/connectors/asterisk"
	"calljournal/connectors/freeswitch"
	"calljournal/connectors/wire"
)

// This file is the one place of the daemon that knows which kinds of PBX are
// built in.

// Connect makes the connector of a [[pbx]].
func Connect(p config.PBX, log *slog.Logger) (connectors.Connector, error) {
	return connectRecorded(p, log, nil)
}

// recorded is a connector that can also take in what another one has heard.
type recorded interface {
	connectors.Connector
	Reread(c wire.Chunk, emit func(call.Event))
}

// connectRecorded has what the link hears recorded, if there is a recorder.
func connectRecorded(p config.PBX, log *slog.Logger, r wire.Recorder) (recorded, error) {
	switch p.Kind {
	case config.KindAsterisk:
		return asterisk.New(asterisk.Config{
			Name: p.Name, Address: p.Address, Username: p.Username, Secret: p.Secret.Reveal(), TLS: secure(p), Logger: log, Recorder: r,
		}), nil
	case config.KindFreeSWITCH:
		return freeswitch.New(freeswitch.Config{
			Name: p.Name, Address: p.Address, Username: p.Username, Secret: p.Secret.Reveal(), TLS: secure(p), Logger: log, Recorder: r,
		}), nil
	}
	return nil, notBuiltIn(p)
}

// recordsOf makes what reads the records that a PBX itself writes of its calls.
// zone is taken for its own where they do not say.
func recordsOf(p config.PBX, zone *time.Location) (connectors.Records, error) {
	switch p.Kind {
	case config.KindAsterisk:
		return asterisk.NewRecords(p.CDRColumns, zone), nil
	case config.KindFreeSWITCH:
		return freeswitch.NewRecords(p.CDRColumns, zone), nil
	}
	return nil, notBuiltIn(p)
}

func notBuiltIn(p config.PBX) error {
	return fmt.Errorf("kind %q is not built into this version", p.Kind)
}

// secure is the TLS of a [[pbx]], nil without. The PBX's certificate must be one
// that this machine trusts, for the name or number in address.
func secure(p config.PBX) *tls.Config {
	if !p.TLS {
		return nil
	}
	host, _, err := net.SplitHostPort(p.Address)
	if err != nil {
		host = p.Address
	}
	return &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
}
