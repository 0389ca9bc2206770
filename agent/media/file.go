package media

import (
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"time"
)

// File is one file of a call, open for reading. Whoever gets it closes it.
type File struct {
	*os.File
	Path string // inside the configured folder, with slashes
	kind kind
	info fs.FileInfo

	sizeNow int64 // info.Size(), to be pointed at
}

// ContentType is what the file is, by its ending.
func (f *File) ContentType() string { return f.kind.contentType }

// Ending is the file's ending in small letters, with its dot.
func (f *File) Ending() string {
	if f.kind.ending == ".WAV" {
		return ".wav"
	}
	return f.kind.ending
}

// Size is in bytes, as it was when the file was opened.
func (f *File) Size() int64 { return f.info.Size() }

// Modified is when the file was last written.
func (f *File) Modified() time.Time { return f.info.ModTime() }

// kind is a kind of file that is given out.
type kind struct {
	ending, contentType string
	bytesPerSecond      int64 // of formats without a header
	common              bool  // looked for where the PBX named another kind
}

// The kinds of sound: what Asterisk's and FreeSWITCH's format modules write.
// WAV in capitals is Asterisk's wav49.
func sounds() []kind {
	return []kind{
		{".wav", "audio/wav", 0, true},
		{".WAV", "audio/wav", 0, true},
		{".mp3", "audio/mpeg", 0, true},
		{".ogg", "audio/ogg", 0, true},
		{".opus", "audio/ogg", 0, true},
		{".flac", "audio/flac", 0, false},
		{".m4a", "audio/mp4", 0, false},
		{".gsm", "audio/x-gsm", 1650, true},
		{".ulaw", "audio/basic", 8000, false},
		{".alaw", "audio/x-alaw-basic", 8000, false},
		{".g722", "audio/G722", 8000, false},
		{".sln16", "application/octet-stream", 32000, false},
		{".sln", "application/octet-stream", 16000, false},
		{".raw", "application/octet-stream", 16000, false},
	}
}

func faxes() []kind {
	return []kind{
		{".tif", "image/tiff", 0, true},
		{".tiff", "image/tiff", 0, true},
		{".pdf", "application/pdf", 0, true},
	}
}

// durationMs is how long the sound is, nil if the file does not tell.
func (f *File) durationMs() *int64 {
	perSecond, n := f.kind.bytesPerSecond, f.Size()
	if f.Ending() == ".wav" {
		perSecond, n = readWAV(f, f.Size())
	}
	if perSecond <= 0 || n < 0 {
		return nil
	}
	ms := n/perSecond*1000 + n%perSecond*1000/perSecond
	return &ms
}

const mostChunks = 64

// readWAV gives the bytes per second and the bytes of sound of a RIFF file, or
// zeros. A file that is still written, or whose writer was killed, says 0 or all
// ones for its length: then what is there counts.
func readWAV(r io.ReaderAt, size int64) (perSecond, n int64) {
	var head [12]byte
	if _, err := r.ReadAt(head[:], 0); err != nil || string(head[:4]) != "RIFF" && string(head[:4]) != "RF64" || string(head[8:]) != "WAVE" {
		return 0, 0
	}
	at := int64(12)
	for range mostChunks {
		var chunk [8]byte
		if _, err := r.ReadAt(chunk[:], at); err != nil {
			return 0, 0
		}
		long := int64(binary.LittleEndian.Uint32(chunk[4:]))
		at += 8
		switch string(chunk[:4]) {
		case "fmt ":
			var format [12]byte
			if _, err := r.ReadAt(format[:], at); err != nil {
				return 0, 0
			}
			perSecond = int64(binary.LittleEndian.Uint32(format[8:]))
		case "data":
			if there := size - at; long == 0 || long > there {
				long = max(0, there)
			}
			return perSecond, long
		}
		at += long + long&1
	}
	return 0, 0
}

const mostPages = 10_000

// pages counts the pages of a TIFF file: each is a directory that names the next
// one. Nil if the file is none, or is broken off.
func (f *File) pages() *int64 {
	var head [8]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return nil
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch string(head[:4]) {
	case "II*\x00":
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return nil
	}
	var n int64
	for at := int64(order.Uint32(head[4:])); at != 0; n++ {
		var b [4]byte
		if n == mostPages {
			return nil // a ring
		}
		if _, err := f.ReadAt(b[:2], at); err != nil {
			return nil
		}
		at += 2 + 12*int64(order.Uint16(b[:2]))
		if _, err := f.ReadAt(b[:], at); err != nil {
			return nil
		}
		at = int64(order.Uint32(b[:]))
	}
	return &n
}
