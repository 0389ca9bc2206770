package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"calljournal/agent"
	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/agent/journal"
	"calljournal/connectors/capture"
	"calljournal/connectors/replay"
	"calljournal/connectors/wire"

	"github.com/klauspost/compress/gzip"
)

type replayVerb struct {
	Files      []string `arg:"" name:"file" help:"What capture wrote, all files of it in any order; or a raw stream, or an archive of the project's recordings. Plain or .gz; - is standard input."`
	Recording  string   `help:"Which recording of an archive." placeholder:"NAME"`
	PBXKind    string   `name:"pbx-kind" help:"asterisk or freeswitch; default: as the file says." enum:",asterisk,freeswitch" default:"" placeholder:"KIND"`
	Trunks     []string `help:"Patterns of channel names that lead outside, as PJSIP/trunk-*; default: as the file says, or found out." placeholder:"PATTERN"`
	Extensions string   `help:"What an employee's number looks like; default: as the file says, or ${extensions}." placeholder:"REGEXP"`
	Country    string   `help:"How a national number is read, as RU." placeholder:"CC"`
	JSON       bool     `name:"json" help:"The records as JSON."`
}

func (v replayVerb) Run(sh *shell) error {
	in, err := openRecorded(v.Files, v.Recording)
	if err != nil {
		return err
	}
	defer in.Close()
	h := in.header
	kind := cmp.Or(v.PBXKind, h.Kind)
	extensions, err := regexp.Compile(cmp.Or(v.Extensions, h.Extensions, config.DefaultExtensions))
	if err != nil {
		return &exitError{exitUsage, "--extensions: " + err.Error()}
	}
	if len(v.Trunks) > 0 {
		h.Trunks = v.Trunks
	}
	out, err := agent.Replay(in.next, call.Options{Agent: "replay", PBX: cmp.Or(h.PBX, "replay"), PBXKind: kind, Trunks: h.Trunks, Extensions: extensions},
		journal.NewDirectory(v.Country, nil, nil))
	if out == nil || out.Messages == 0 {
		return fmt.Errorf("replay %s: %w", strings.Join(v.Files, " "), err)
	}
	// What could be read is shown, whatever became of the rest.
	if shown := v.show(sh, out); shown != nil {
		return shown
	}
	if err != nil {
		return fmt.Errorf("replay %s: %w", strings.Join(v.Files, " "), err)
	}
	return in.damage(sh)
}

func (v replayVerb) show(sh *shell, out *agent.Replayed) error {
	if !out.Stamped {
		fmt.Fprintln(sh.errOut, "The stream says no times (no Timestamp headers): the records' times are made up. Set timestampevents = yes in manager.conf, or record with capture.")
	}
	if v.JSON {
		return sh.json(out)
	}
	calls := make([]*call.Record, len(out.Records))
	for i := range out.Records {
		calls[i] = &out.Records[i]
	}
	if err := sh.callsTable(calls); err != nil {
		return err
	}
	fmt.Fprintf(sh.errOut, "%d messages, %d of them needed, %d facts, %d calls, %d still open at the end, %d facts that fit nothing\n",
		out.Messages, out.Messages-out.Thinned, out.Facts, len(out.Records), len(out.Open), out.Anomalies)
	zone := sh.zone()
	for _, g := range out.Gaps {
		fmt.Fprintf(sh.errOut, "blind from %s to %s: %s\n", timeIn(zone, g.From), timeIn(zone, g.To), plain(g.Reason))
	}
	return nil
}

// recorded is what was opened for a replay: one link, in one or several files.
type recorded struct {
	header  capture.Header
	next    agent.Source
	readers []*capture.Reader
	names   []string // of the readers' files
	files   []io.Closer
}

func (r *recorded) Close() {
	for _, f := range r.files {
		f.Close()
	}
}

// damage says what of the files could not be read. An end that was cut off is
// the usual end of a capture whose machine was switched off.
func (r *recorded) damage(sh *shell) error {
	hurt := false
	for i, in := range r.readers {
		d := in.Damage()
		if d.CutOff > 0 {
			fmt.Fprintf(sh.errOut, "%s breaks off inside a message: its last %d bytes were not read\n", r.names[i], d.CutOff)
		}
		if d.Places > 0 {
			fmt.Fprintf(sh.errOut, "%s is damaged in %d places: %d bytes were passed over\n", r.names[i], d.Places, d.Bytes)
		}
		if d.GivenUp {
			fmt.Fprintf(sh.errOut, "%s is damaged all over: the rest of it was not read\n", r.names[i])
		}
		hurt = hurt || d.Places > 0 || d.GivenUp
	}
	if hurt {
		return errors.New("the calls above are what could be read; those at the damaged places are marked")
	}
	return nil
}

// openRecorded opens the files of one link.
func openRecorded(paths []string, recording string) (r *recorded, err error) {
	r = &recorded{}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	for _, path := range paths {
		in, written, err := r.open(path)
		if err != nil {
			return r, err
		}
		first, _ := in.Peek(max(capture.MagicBytes, 16)) // an error comes again
		switch {
		case capture.Is(first):
			c, err := capture.NewReader(in)
			if err != nil {
				return r, fmt.Errorf("%s: %w", path, err)
			}
			r.readers, r.names = append(r.readers, c), append(r.names, path)
		case len(paths) > 1:
			return r, fmt.Errorf("%s: %w: of anything else give one file", path, capture.ErrNotCapture)
		case bytes.HasPrefix(first, []byte{0x28, 0xb5, 0x2f, 0xfd}):
			return r, r.openArchive(in, path, recording)
		default:
			r.header.Kind = replay.Asterisk
			if bytes.HasPrefix(first, []byte("Content-")) || bytes.HasPrefix(first, []byte("Event-Name")) {
				r.header.Kind = replay.FreeSWITCH
			}
			r.next = agent.RawStream(in, written)
			return r, nil
		}
	}
	r.header = r.readers[0].Header()
	r.next, err = capture.Join(r.readers...)
	return r, err
}

// open opens a file, unpacks it if it is packed, and says when it was written.
func (r *recorded) open(path string) (*bufio.Reader, time.Time, error) {
	f, written := os.Stdin, time.Now()
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, written, err
		}
		r.files = append(r.files, f)
		if st, err := f.Stat(); err == nil {
			written = st.ModTime()
		}
	}
	in := bufio.NewReader(f)
	if magic, err := in.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, written, fmt.Errorf("unpack %s: %w", path, err)
		}
		in = bufio.NewReader(z)
	}
	return in, written, nil
}

// openArchive takes one recording of the project's own.
func (r *recorded) openArchive(in io.Reader, path, name string) error {
	all, err := replay.ReadArchive(in)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	names := make([]string, 0, len(all))
	for _, rec := range all {
		if rec.Name == name || name == "" && len(all) == 1 {
			r.header.Kind = rec.Kind
			chunks := rec.Heard()
			r.next = func() (wire.Chunk, error) {
				if len(chunks) == 0 {
					return wire.Chunk{}, io.EOF
				}
				c := chunks[0]
				chunks = chunks[1:]
				return c, nil
			}
			return nil
		}
		names = append(names, rec.Name)
	}
	return &exitError{exitUsage, fmt.Sprintf("replay: which recording of %s? Try --recording NAME, one of: %s", path, strings.Join(names, " "))}
}
