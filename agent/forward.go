package agent

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/forward"
	"calljournal/storage"
)

// forwardsEndWithin is what they get at the end, besides what the links take.
const forwardsEndWithin = 2 * time.Second

func (a *Agent) newForwarders() *forward.Forwarders {
	return forward.New(forward.Options{
		Agent: a.o.Config.Agent.Name, Journal: a.store, Encode: api.EncodeEntry, Logger: a.log, Now: a.now,
		Recording: func(ctx context.Context, r *call.Record, n int) (*forward.SoundFile, error) {
			f, err := a.media.Recording(ctx, r, n)
			if err != nil {
				return nil, err
			}
			name := path.Base(f.Path)
			return &forward.SoundFile{ReadCloser: f, Name: strings.TrimSuffix(name, path.Ext(name)) + f.Ending(), Size: f.Size()}, nil
		},
	})
}

// forwards is what the configuration says of forwarders.
func forwards(c *config.Config) []forward.Settings {
	out := make([]forward.Settings, 0, len(c.Forward))
	for _, f := range c.Forward {
		users := make(map[string]string, len(f.Users))
		for extension, id := range f.Users {
			users[extension] = strconv.FormatInt(id, 10)
		}
		out = append(out, forward.Settings{
			Name: f.Name, Kind: f.Kind, URL: f.URL, Secret: forward.NewSecret(f.Secret.Reveal()),
			Batch: f.Batch, Tries: f.Tries, Timeout: f.Timeout.Duration, Newest: f.Start == config.StartNewest,
			Direction: f.Direction, Status: f.Status, Department: f.Department, Final: f.Final, Live: f.Live,
			Gzip: f.Gzip, Proxy: f.Proxy, TLSCA: f.TLSCA, TLSCert: f.TLSCert, TLSKey: f.TLSKey, Credentials: f.Credentials,
			RotateBytes: int64(f.RotateMB) << 20, Users: users,
		})
	}
	return out
}

// forwardStatus adds the forwarders, and what is wrong with them.
func (a *Agent) forwardStatus(st *api.Status) {
	for _, f := range a.forwards.Status() {
		st.Forwarders = append(st.Forwarders, api.Forwarder{
			Name: f.Name, Kind: f.Kind, Address: f.Address, State: f.State, Seq: f.Seq, Lag: f.Lag, WaitingSince: f.Waiting,
			Since: f.Since, Error: f.Error, NextTry: f.NextTry, Dead: f.Dead, Missed: f.Missed, Sent: f.Sent, Failed: f.Failed,
			LiveSent: f.LiveSent, LiveLost: f.LiveLost,
		})
		if f.State == forward.StateStuck {
			since := f.Since.Time().Format(time.RFC3339)
			st.AddProblem("forward_stuck", fmt.Sprintf("forward %s: stuck since %s with %d entries waiting: %s", f.Name, since, f.Lag, f.Error),
				"name", f.Name, "since", since, "count", fmt.Sprint(f.Lag), "error", f.Error)
		}
		if f.Dead > 0 {
			st.AddWarning("forward_dead", fmt.Sprintf("forward %s: %d entries were refused and are set aside: see calljournal forward dead %[1]s, then resend or drop them", f.Name, f.Dead),
				"name", f.Name, "count", fmt.Sprint(f.Dead))
		}
		if f.Missed > 0 {
			st.AddWarning("forward_missed", fmt.Sprintf("forward %s: %d entries were dropped from the journal before they were sent", f.Name, f.Missed),
				"name", f.Name, "count", fmt.Sprint(f.Missed))
		}
	}
}

// deadLetters is what the interface may do with what was set aside.
type deadLetters struct{ *forward.Forwarders }

// notFound words an error as the interface knows it.
func notFound(err error) error {
	if errors.Is(err, forward.ErrUnknown) {
		return fmt.Errorf("%w: %w", api.ErrNotFound, err)
	}
	return err
}

// Dead implements api.DeadLetters.
func (d deadLetters) Dead(name string) ([]storage.DeadLetter, error) {
	dead, err := d.Forwarders.Dead(name)
	return dead, notFound(err)
}

// Resend implements api.DeadLetters.
func (d deadLetters) Resend(name string, seqs []uint64) (int, error) {
	n, err := d.Forwarders.Resend(name, seqs)
	return n, notFound(err)
}

// Drop implements api.DeadLetters.
func (d deadLetters) Drop(name string, seqs []uint64) (int, error) {
	n, err := d.Forwarders.Drop(name, seqs)
	return n, notFound(err)
}
