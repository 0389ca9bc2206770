package replay

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// What one recording's folder in an archive holds. An archive is a tar file
// packed with zstd, so that the usual programs open it.
const (
	fileStream = "stream"
	fileTimes  = "times"
	fileMeta   = "meta.json"
	fileExpect = "expect.json"
	fileCDR    = "cdr.csv"
)

// maxArchive bounds what an archive may unpack to: it may come from outside.
const maxArchive = 256 << 20

// Packed is one recording as the files of its folder.
type Packed struct {
	Name                        string
	Stream, Times, Meta, Expect []byte
	CDR                         []byte // nil if the PBX wrote none
}

// WriteArchive writes recordings so that the same ones always give the same
// bytes: in the order of their names, with no owner and no time.
func WriteArchive(w io.Writer, recordings []Packed) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(32<<20))
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	recordings = slices.SortedFunc(slices.Values(recordings), func(a, b Packed) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range recordings {
		for _, f := range []struct {
			name string
			data []byte
		}{{fileMeta, p.Meta}, {fileExpect, p.Expect}, {fileCDR, p.CDR}, {fileTimes, p.Times}, {fileStream, p.Stream}} {
			if f.data == nil {
				continue
			}
			h := &tar.Header{Name: p.Name + "/" + f.name, Mode: 0o644, Size: int64(len(f.data)), Format: tar.FormatUSTAR}
			if err := t.WriteHeader(h); err != nil {
				return fmt.Errorf("pack %s: %w", h.Name, err)
			}
			if _, err := t.Write(f.data); err != nil {
				return fmt.Errorf("pack %s: %w", h.Name, err)
			}
		}
	}
	return errors.Join(t.Close(), z.Close())
}

// ReadArchive reads what WriteArchive wrote, in the order of the names.
func ReadArchive(r io.Reader) ([]*Recording, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	var out []*Recording
	t := tar.NewReader(io.LimitReader(z, maxArchive))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read recordings: %w", err)
		}
		data, err := io.ReadAll(t)
		if err != nil {
			return nil, fmt.Errorf("read %s among recordings: %w", h.Name, err)
		}
		name, file := path.Split(h.Name)
		name = strings.TrimSuffix(name, "/")
		if len(out) == 0 || out[len(out)-1].Name != name {
			out = append(out, &Recording{Name: name})
		}
		rec := out[len(out)-1]
		switch file {
		case fileMeta:
			err = rec.setMeta(data)
		case fileTimes:
			err = rec.setTimes(data)
		case fileStream:
			rec.Stream = data
		case fileExpect:
			rec.Expect = data
		case fileCDR:
			rec.CDR = data
		}
		if err != nil {
			return nil, err
		}
	}
}

// OpenArchive is ReadArchive of a file.
func OpenArchive(file string) ([]*Recording, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ReadArchive(bytes.NewReader(data))
}
