package main

import (
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"calljournal/connectors/replay"
)

func main() {
	from := flag.String("from", "", "folder of scenario folders")
	to := flag.String("to", "", "archive to write")
	skip := flag.String("skip", "load,load_5cps,load_30cps,reconn_load", "names to leave out, separated by commas")
	only := flag.String("only", "", "names to take; empty: all")
	flag.Parse()
	if err := pack(*from, *to, words(*skip), words(*only)); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func words(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) }

func pack(from, to string, skip, only []string) error {
	folders, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	var all []replay.Packed
	for _, d := range folders {
		if slices.Contains(skip, d.Name()) || len(only) > 0 && !slices.Contains(only, d.Name()) {
			continue
		}
		p, err := load(filepath.Join(from, d.Name()))
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	if len(only) > 0 && len(all) != len(only) {
		return fmt.Errorf("%s has %d of the %d scenarios asked for", from, len(all), len(only))
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	return errors.Join(replay.WriteArchive(f, all), f.Close())
}

func load(folder string) (replay.Packed, error) {
	p := replay.Packed{Name: filepath.Base(folder)}
	stream, times := "stream.ami", "times"
	if _, err := os.Stat(filepath.Join(folder, times)); errors.Is(err, fs.ErrNotExist) {
		stream, times = "all.esl", "all.times"
	}
	for _, f := range []struct {
		name string
		into *[]byte
	}{{stream, &p.Stream}, {times, &p.Times}, {"meta.json", &p.Meta}, {"expect.json", &p.Expect}} {
		data, err := read(filepath.Join(folder, f.name))
		if err != nil {
			return p, err
		}
		*f.into = data
	}
	cdr, err := read(filepath.Join(folder, "cdr.csv"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	p.CDR = cdr
	return p, nil
}

// read gives a file's content, unpacking NAME.gz if there is no NAME.
func read(name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	f, err := os.Open(name + ".gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("unpack %s.gz: %w", name, err)
	}
	return io.ReadAll(z)
}
