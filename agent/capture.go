package agent

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/connectors"
	"calljournal/connectors/capture"
	"calljournal/connectors/wire"
)

// CaptureHeader is what a capture says of the link to a [[pbx]].
func CaptureHeader(p config.PBX, version string) capture.Header {
	return capture.Header{Kind: p.Kind, PBX: p.Name, Trunks: p.Trunks, Extensions: p.Extensions, Version: version}
}

const (
	captureWaiting = 64 << 20               // bytes that wait for a slow disk
	captureFlush   = 500 * time.Millisecond // so much is lost if the machine stops
	captureFirst   = time.Second            // waits between two tries
	captureMost    = 30 * time.Second
)

// Capture records a link of its own to a PBX until ctx ends, over as many
// sessions as it takes. up is called when one begins, down when it ends and the
// next is tried for. It fails if no session comes to be at all, if the PBX
// refuses us, or if the file cannot be written.
func Capture(ctx context.Context, p config.PBX, w *capture.Writer, log *slog.Logger, up func(version string), down func(err error, wait time.Duration)) error {
	tap := wire.NewTap(captureWaiting)
	conn, err := connectRecorded(p, log, tap)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	heard, noMore := context.WithCancel(context.Background())
	written := make(chan error, 1)
	go func() {
		err := writeDown(heard, tap, w)
		if err != nil {
			cancel(err)
		}
		written <- err
	}()
	err = captureSessions(ctx, conn, up, down)
	noMore()
	return errors.Join(<-written, err)
}

func captureSessions(ctx context.Context, conn connectors.Connector, up func(string), down func(error, time.Duration)) error {
	retry := newBackOff(captureFirst, captureMost, 2)
	for session, ever := uint64(1), false; ; session++ {
		err := conn.Run(ctx, session, func(e call.Event) {
			if e.Kind == call.LinkUp {
				ever = true
				retry.Reset()
				up(conn.Stats().PBXVersion)
			}
		})
		if ctx.Err() != nil {
			return nil
		}
		if !ever || errors.Is(err, connectors.ErrLoginRefused) {
			return err
		}
		wait := retry.NextBackOff()
		down(err, wait)
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

// writeDown writes what the tap has until ctx ends and it is empty.
func writeDown(ctx context.Context, tap *wire.Tap, w *capture.Writer) error {
	for {
		wait, cancel := context.WithTimeout(ctx, captureFlush)
		c, err := tap.Next(wait)
		cancel()
		switch {
		case err == nil:
			if err := w.Write(c); err != nil {
				return err
			}
		case ctx.Err() != nil:
			return w.Flush()
		default:
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
}
