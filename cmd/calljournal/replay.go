package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"calljournal/agent"
	"calljournal/agent/call"
	"calljournal/agent/journal"

	"github.com/klauspost/compress/gzip"
)

type replayVerb struct {
	File       string   `arg:"" help:"The raw stream of a manager interface, plain or .gz; - is standard input."`
	PBXKind    string   `name:"pbx-kind" help:"asterisk or freeswitch." enum:"asterisk,freeswitch" default:"asterisk" placeholder:"KIND"`
	Trunks     []string `help:"Patterns of channel names that lead outside, as PJSIP/trunk-*; default: found out." placeholder:"PATTERN"`
	Extensions string   `help:"What an employee's number looks like." default:"${extensions}" placeholder:"REGEXP"`
	Country    string   `help:"How a national number is read, as RU." placeholder:"CC"`
	JSON       bool     `name:"json" help:"The records as JSON."`
}

func (v replayVerb) Run(sh *shell) error {
	extensions, err := regexp.Compile(v.Extensions)
	if err != nil {
		return &exitError{exitUsage, "--extensions: " + err.Error()}
	}
	in, begin, err := openStream(v.File)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := agent.Replay(in, call.Options{Agent: "replay", PBX: "replay", PBXKind: v.PBXKind, Trunks: v.Trunks, Extensions: extensions},
		journal.NewDirectory(v.Country, nil, nil), begin)
	if err != nil {
		return fmt.Errorf("replay %s: %w", v.File, err)
	}
	if !out.Stamped {
		fmt.Fprintln(sh.errOut, "The stream says no times (no Timestamp headers): the records' times are made up. Set timestampevents = yes in manager.conf.")
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
	return nil
}

// openStream opens a file, unpacks it if it is packed, and says when it was
// written.
func openStream(path string) (io.ReadCloser, time.Time, error) {
	f, begin := os.Stdin, time.Time{}
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, begin, err
		}
		if st, err := f.Stat(); err == nil {
			begin = st.ModTime()
		}
	}
	r := bufio.NewReader(f)
	if magic, err := r.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(r)
		if err != nil {
			f.Close()
			return nil, begin, fmt.Errorf("unpack %s: %w", path, err)
		}
		return opened{z, f}, begin, nil
	}
	return opened{r, f}, begin, nil
}

// opened is a reader with the file that it reads from.
type opened struct {
	io.Reader
	io.Closer
}
