package media_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"calljournal/agent/call"
	"calljournal/agent/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ptr[T any](v T) *T { return &v }

// began is when the calls of these tests began; they last a minute.
const began = call.Moment(1_780_000_000_000_000)

// wav is a RIFF file of n bytes of 8 kHz linear sound.
func wav(n int) []byte {
	b := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(36+n))
	b = append(b, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"...)
	b = binary.LittleEndian.AppendUint32(b, 8000)
	b = binary.LittleEndian.AppendUint32(b, 16000)
	b = append(b, "\x02\x00\x10\x00data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(n))
	return append(b, bytes.Repeat([]byte{7}, n)...)
}

// spool is the folders of one PBX.
type spool struct {
	t   testing.TB
	dir string
	lib *media.Library
}

func newSpool(t testing.TB) *spool {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"monitor", "voicemail", "fax"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return &spool{t, dir, media.New(media.Options{
		Folders: []media.Folders{{PBX: "main", Recordings: filepath.Join(dir, "monitor"), Voicemail: filepath.Join(dir, "voicemail"), Fax: filepath.Join(dir, "fax")}},
		Logger:  slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now, Zone: time.UTC,
	})}
}

func (s *spool) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

func (s *spool) write(name string, content []byte) {
	s.t.Helper()
	p := s.path(name)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(p, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// message leaves an Asterisk message; what its sound holds tells which it is.
func (s *spool) message(stem string, at int64, channel, callerid, sound string) {
	s.write("voicemail/"+stem+".txt", fmt.Appendf(nil, ";\n; Message Information file\n;\n[message]\norigmailbox=102\ncontext=in\nmacrocontext=\nexten=102\nrdnis=unknown\npriority=1\ncallerchan=%s\ncallerid=%s\norigdate=x\norigtime=%d\ncategory=\nmsg_id=%d-00000001\nflag=\nduration=12\n", channel, callerid, at, at))
	s.write("voicemail/"+stem+".wav", []byte(sound))
}

func record() *call.Record {
	return &call.Record{ID: "main:1780000000.7", PBX: "main", PBXKind: "asterisk", PBXIDs: []string{"1780000000.7"}, StartedAt: began, AnsweredAt: began.Add(time.Second), EndedAt: began.Add(time.Minute),
		From: call.Party{Number: ptr("79161234567")}, Legs: []call.Leg{{Channel: "PJSIP/trunk-00000001"}}, Recordings: []call.Recording{}}
}

func (s *spool) look(rec *call.Record) *call.Record {
	s.t.Helper()
	s.lib.Look(s.t.Context(), []*call.Record{rec})
	return rec
}

func content(t testing.TB, f *media.File, err error) string {
	t.Helper()
	if err != nil {
		return "error: " + err.Error()
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRecording_Places(t *testing.T) {
	for name, tt := range map[string]struct {
		named string // %s is the folder
		at    string // where the file is
		want  bool
	}{
		"as named":                   {"%s/a.wav", "monitor/a.wav", true},
		"in a folder by date":        {"%s/2026/05/28/a.wav", "monitor/2026/05/28/a.wav", true},
		"relative":                   {"sub/a.wav", "monitor/sub/a.wav", true},
		"seen under another path":    {"/var/spool/asterisk/monitor/2026/05/28/a.wav", "monitor/2026/05/28/a.wav", true},
		"on Windows":                 {`C:\FreeSWITCH\recordings\x\a.wav`, "monitor/x/a.wav", true},
		"turned into another format": {"%s/a.wav", "monitor/a.mp3", true},
		"named without its ending":   {"%s/a", "monitor/a.wav", true},
		"gone":                       {"%s/a.wav", "monitor/b.wav", false},
		"no sound":                   {"%s/.htpasswd", "monitor/.htpasswd", false},
		"the way up":                 {"%s/../secret.wav", "secret.wav", false},
		"all the way up":             {"../../../../../../secret.wav", "secret.wav", false},
		"outside":                    {"/../../etc/secret.wav", "etc/secret.wav", false},
		"a zero byte":                {"%s/a.wav\x00.txt", "monitor/a.wav", false},
		"an address":                 {"http_cache://host/a.wav", "monitor/a.wav", false},
		"nothing":                    {"", "monitor/.wav", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSpool(t)
			s.write(tt.at, wav(16000))
			rec := record()
			rec.Recordings = []call.Recording{{File: ptr(strings.ReplaceAll(tt.named, "%s", s.path("monitor"))), DurationMs: ptr(int64(990))}}
			s.look(rec)
			r := rec.Recordings[0]
			f, err := s.lib.Recording(t.Context(), rec, 0)
			if err == nil {
				defer f.Close()
			}
			if r.Available != tt.want || (err == nil) != tt.want {
				t.Fatalf("available %v, %v", r.Available, err)
			}
			if !tt.want {
				if !errors.Is(err, media.ErrGone) || r.Size != nil || *r.DurationMs != 990 {
					t.Errorf("%+v, %v", r, err)
				}
				return
			}
			if *r.Size != 16044 || strings.HasSuffix(tt.at, ".wav") && *r.DurationMs != 1000 || strings.HasSuffix(tt.at, ".mp3") && f.ContentType() != "audio/mpeg" {
				t.Errorf("%d bytes, %d ms, %s", *r.Size, *r.DurationMs, f.ContentType())
			}
		})
	}
}

// What could lead outside or hang is not opened.
func TestRecording_Links(t *testing.T) {
	s := newSpool(t)
	s.write("secret.wav", wav(10))
	s.write("monitor/real/a.wav", wav(10))
	for link, to := range map[string]string{"out.wav": "../secret.wav", "abs.wav": s.path("secret.wav"), "in.wav": "real/a.wav", "updir": "..", "loop.wav": "loop.wav", "dev.wav": "/dev/zero"} {
		if err := os.Symlink(to, s.path("monitor/"+link)); err != nil {
			t.Skipf("no symbolic links here: %v", err)
		}
	}
	if err := os.Mkdir(s.path("monitor/folder.wav"), 0o700); err != nil {
		t.Fatal(err)
	}
	pipe(t, s.path("monitor/pipe.wav"))
	for name, want := range map[string]bool{"in.wav": true, "out.wav": false, "abs.wav": false, "updir/secret.wav": false, "loop.wav": false, "dev.wav": false, "pipe.wav": false, "folder.wav": false} {
		rec := record()
		rec.Recordings = []call.Recording{{File: ptr(s.path("monitor") + "/" + name)}}
		if s.look(rec); rec.Recordings[0].Available != want {
			t.Errorf("%s: available %v", name, !want)
		}
		if f, err := s.lib.Recording(t.Context(), rec, 0); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		} else if err == nil {
			f.Close()
		}
	}
}

// A name that is used again: what was finished before the call is not the call's.
func TestRecording_OfAnEarlierCall(t *testing.T) {
	s := newSpool(t)
	s.write("monitor/101.wav", wav(10))
	if err := os.Chtimes(s.path("monitor/101.wav"), time.Time{}, began.Add(-2*time.Minute).Time()); err != nil {
		t.Fatal(err)
	}
	rec := record()
	rec.Recordings = []call.Recording{{File: ptr(s.path("monitor/101.wav"))}}
	if s.look(rec); rec.Recordings[0].Available {
		t.Error("the recording of an earlier call is taken for this one's")
	}
}

// Recordings that no event named are found by the call's id in their names.
func TestRecording_ByID(t *testing.T) {
	s := newSpool(t)
	s.write("monitor/2026/05/28/in-101-79161234567-20260528-202640-1780000000.7.wav", wav(16000))
	s.write("monitor/2026/05/28/in-101-79161234567-20260528-202640-1780000000.70.wav", wav(16000))
	s.write("monitor/1780000000.7.txt", []byte("no sound"))
	s.write("monitor/office-1780000000.7-b.ulaw", make([]byte, 4000))
	rec := s.look(record())
	if len(rec.Recordings) != 2 {
		t.Fatalf("%d recordings", len(rec.Recordings))
	}
	if r := rec.Recordings[0]; *r.File != "office-1780000000.7-b.ulaw" || *r.DurationMs != 500 || !r.Available {
		t.Errorf("%s %d", *r.File, *r.DurationMs)
	}
	if f, err := s.lib.Recording(t.Context(), record(), 1); err != nil {
		t.Error(err)
	} else {
		if f.Size() != 16044 {
			t.Error("another file than Look counts")
		}
		f.Close()
	}
	// the event came without a name
	rec = record()
	rec.Recordings = []call.Recording{{StartedAt: began}}
	if s.look(rec); len(rec.Recordings) != 2 || !rec.Recordings[0].Available || rec.Recordings[0].StartedAt != began {
		t.Errorf("%+v", rec.Recordings)
	}
	// moved into the folder of its day after the event named it
	rec = record()
	rec.Recordings = []call.Recording{{File: ptr(s.path("monitor/in-101-79161234567-20260528-202640-1780000000.7.wav"))}}
	if s.look(rec); len(rec.Recordings) != 2 || !rec.Recordings[0].Available {
		t.Errorf("%+v", rec.Recordings)
	}
}

// Asterisk gives the numbers of deleted messages to others: a call is given its
// own message wherever it is now, and never one of another call.
func TestVoicemail_NumberedAnew(t *testing.T) {
	s := newSpool(t)
	rec := record()
	rec.Voicemail = &call.VoicemailEntry{Mailbox: "102", File: ptr("/var/spool/asterisk/voicemail/default/102/INBOX/msg0001")}
	get := func() string {
		f, err := s.lib.Voicemail(t.Context(), rec)
		return content(t, f, err)
	}
	const gone = "error: the file is not there"
	s.message("default/102/INBOX/msg0000", 1_779_999_000, "PJSIP/trunk-00000000", `"B" <79160000000>`, "earlier")
	if got := get(); got != gone {
		t.Errorf("before it is there: %s", got)
	}
	s.message("default/102/INBOX/msg0001", 1_780_000_020, "PJSIP/trunk-00000001", `"A" <79161234567>`, "mine")
	if got := get(); got != "mine" {
		t.Errorf("as it was left: %s", got)
	}
	// the first is deleted, a third one comes
	s.message("default/102/INBOX/msg0000", 1_780_000_020, "PJSIP/trunk-00000001", `"A" <79161234567>`, "mine")
	s.message("default/102/INBOX/msg0001", 1_780_000_050, "PJSIP/trunk-00000002", `"C" <79169999999>`, "another's")
	if got := get(); got != "mine" {
		t.Errorf("numbered anew: %s", got)
	}
	if s.look(rec); !rec.Voicemail.Available || *rec.Voicemail.File != "default/102/INBOX/msg0000.wav" || *rec.Voicemail.Size != 4 || *rec.Voicemail.DurationMs != 12000 {
		t.Errorf("%+v", rec.Voicemail)
	}
	// heard, and moved to Old
	for _, ending := range []string{".txt", ".wav"} {
		s.write("voicemail/default/102/Old/x", nil)
		if err := os.Rename(s.path("voicemail/default/102/INBOX/msg0000"+ending), s.path("voicemail/default/102/Old/msg0000"+ending)); err != nil {
			t.Fatal(err)
		}
	}
	if got := get(); got != "mine" {
		t.Errorf("in Old: %s", got)
	}
	// deleted: the other one has its first name now
	if err := os.RemoveAll(s.path("voicemail/default/102/Old")); err != nil {
		t.Fatal(err)
	}
	if got := get(); got != gone {
		t.Errorf("deleted: %s", got)
	}
	if s.look(rec); rec.Voicemail.Available {
		t.Error("deleted, and available")
	}
}

func TestVoicemail_WhoseItIs(t *testing.T) {
	for name, tt := range map[string]struct {
		at                int64
		channel, callerid string
		want              bool
	}{
		"the channel":                         {1_780_000_020, "PJSIP/trunk-00000001", `"x" <1>`, true},
		"the channel, the clock a little off": {1_780_000_300, "PJSIP/trunk-00000001", `"x" <1>`, true},
		"the channel's name a day later":      {1_780_086_400, "PJSIP/trunk-00000001", `"x" <79161234567>`, false},
		"a half of a Local channel":           {1_780_000_020, "Local/102@x-00000001;2", `"x" <+79161234567>`, true},
		"of another caller":                   {1_780_000_020, "Local/102@x-00000001;2", `"79161234567" <79160000000>`, false},
		"of another channel":                  {1_780_000_020, "PJSIP/trunk-00000002", `79161234567`, false},
		"the number, at another time":         {1_780_000_120, "", `79161234567`, false},
		"an old Asterisk":                     {1_780_000_020, "", `79161234567`, true},
		"no time":                             {0, "PJSIP/trunk-00000001", `79161234567`, false},
	} {
		s := newSpool(t)
		s.message("default/102/INBOX/msg0000", tt.at, tt.channel, tt.callerid, "x")
		rec := record()
		rec.Voicemail = &call.VoicemailEntry{Mailbox: "102"}
		if s.look(rec); rec.Voicemail.Available != tt.want {
			t.Errorf("%s: available %v", name, rec.Voicemail.Available)
		}
	}
}

// A mailbox is a name, whatever the PBX calls it.
func TestVoicemail_HostileMailbox(t *testing.T) {
	s := newSpool(t)
	s.message("default/102/INBOX/msg0000", 1_780_000_020, "PJSIP/trunk-00000001", "1", "x")
	for _, box := range []string{"", ".", "..", "../default/102", "102/INBOX", "102\x00", strings.Repeat("9", 70_000)} {
		rec := record()
		rec.Voicemail = &call.VoicemailEntry{Mailbox: box}
		if s.look(rec); rec.Voicemail.Available {
			t.Errorf("%.20q: available", box)
		}
	}
}

func TestVoicemail_FreeSWITCH(t *testing.T) {
	s := newSpool(t)
	const uuid = "0f4b6f5e-1b1c-4b4e-9d51-0a1b2c3d4e5f"
	s.write("voicemail/default/office.example/1002/msg_"+uuid+".wav", wav(32000))
	s.write("voicemail/default/office.example/1003/msg_"+uuid+".wav", []byte("of another box"))
	rec := record()
	rec.PBXKind, rec.ID, rec.PBXIDs = "freeswitch", "main:"+uuid, []string{uuid}
	for name, file := range map[string]*string{
		"by the event": ptr("/var/lib/freeswitch/storage/voicemail/default/office.example/1002/msg_" + uuid + ".wav"),
		"by the call":  nil,
		"another box":  ptr("/var/lib/freeswitch/storage/voicemail/default/office.example/1003/msg_" + uuid + ".wav"),
	} {
		rec.Voicemail = &call.VoicemailEntry{Mailbox: "1002", File: file}
		if s.look(rec); !rec.Voicemail.Available || *rec.Voicemail.DurationMs != 2000 || !strings.Contains(*rec.Voicemail.File, "/1002/") {
			t.Errorf("%s: %+v", name, rec.Voicemail)
		}
	}
}

func tiff(order binary.AppendByteOrder, pages int) []byte {
	b := []byte("II*\x00")
	if order.String() == "BigEndian" {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	for i := range pages {
		b = order.AppendUint16(b, 1)
		b = append(b, make([]byte, 12)...)
		next := uint32(len(b) + 4)
		if i == pages-1 {
			next = 0
		}
		b = order.AppendUint32(b, next)
	}
	return b
}

func TestFax_Pages(t *testing.T) {
	ring := tiff(binary.LittleEndian, 1)
	binary.LittleEndian.PutUint32(ring[len(ring)-4:], 8)
	for name, tt := range map[string]struct {
		file string
		b    []byte
		want *int64
	}{
		"one page":     {"a.tif", tiff(binary.LittleEndian, 1), ptr(int64(1))},
		"three":        {"a.tiff", tiff(binary.BigEndian, 3), ptr(int64(3))},
		"a ring":       {"a.tif", ring, nil},
		"broken off":   {"a.tif", tiff(binary.LittleEndian, 3)[:30], nil},
		"empty":        {"a.tif", nil, nil},
		"another file": {"a.tif", []byte("%PDF-1.7 and so on"), nil},
	} {
		s := newSpool(t)
		s.write("fax/"+tt.file, tt.b)
		rec := record()
		rec.Fax = &call.FaxEntry{Direction: "received", File: ptr(s.path("fax/" + tt.file))}
		s.look(rec)
		if got := rec.Fax.Pages; !rec.Fax.Available || (got == nil) != (tt.want == nil) || got != nil && *got != *tt.want {
			t.Errorf("%s: %v, available %v", name, got, rec.Fax.Available)
		}
	}
}

func TestWAV(t *testing.T) {
	unfinished := wav(8000)
	binary.LittleEndian.PutUint32(unfinished[40:], 0xffffffff)
	listed := append(append(append([]byte{}, wav(0)[:36]...), "LIST\x03\x00\x00\x00abc\x00"...), wav(16000)[36:]...)
	for name, tt := range map[string]struct {
		b    []byte
		want *int64
	}{
		"whole":           {wav(16000), ptr(int64(1000))},
		"unfinished":      {unfinished, ptr(int64(500))},
		"with a comment":  {listed, ptr(int64(1000))},
		"cut":             {wav(16000)[:20], nil},
		"empty":           {nil, nil},
		"no bytes/second": {bytes.Replace(wav(8), binary.LittleEndian.AppendUint32(nil, 16000), make([]byte, 4), 1), nil},
		"no wav":          {bytes.Repeat([]byte("RIFF"), 1000), nil},
	} {
		s := newSpool(t)
		s.write("monitor/a.wav", tt.b)
		rec := record()
		rec.Recordings = []call.Recording{{File: ptr("a.wav")}}
		s.look(rec)
		if got := rec.Recordings[0].DurationMs; (got == nil) != (tt.want == nil) || got != nil && *got != *tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Of a PBX without folders nothing is said, and nothing changed.
func TestLook_NotConfigured(t *testing.T) {
	lib := media.New(media.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now})
	rec := record()
	rec.Recordings = []call.Recording{{File: ptr("/etc/passwd.wav")}}
	rec.Voicemail, rec.Fax = &call.VoicemailEntry{Mailbox: "1"}, &call.FaxEntry{File: ptr("/etc/passwd.tif")}
	lib.Look(t.Context(), []*call.Record{rec})
	if rec.Recordings[0].Available || rec.Voicemail.Available || rec.Fax.Available {
		t.Errorf("%+v", rec)
	}
	for _, open := range []func(context.Context, *call.Record) (*media.File, error){lib.Voicemail, lib.Fax} {
		if _, err := open(t.Context(), rec); !errors.Is(err, media.ErrGone) {
			t.Error(err)
		}
	}
	if _, err := lib.Recording(t.Context(), rec, 0); !errors.Is(err, media.ErrGone) {
		t.Error(err)
	}
}

func TestTrouble(t *testing.T) {
	s := newSpool(t)
	if got := s.lib.Trouble(t.Context()); len(got) != 0 {
		t.Errorf("%q", got)
	}
	if err := os.Remove(s.path("fax")); err != nil {
		t.Fatal(err)
	}
	if got := s.lib.Trouble(t.Context()); len(got) != 1 || !strings.Contains(got[0].String(), "pbx main: fax_dir cannot be read") {
		t.Errorf("%q", got)
	}
}

// Whatever the header says, reading it ends and gives a length that can be.
func FuzzHeaders(f *testing.F) {
	f.Add(wav(100))
	f.Add(tiff(binary.LittleEndian, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := newSpool(t)
		s.write("monitor/a.wav", b)
		s.write("fax/a.tif", b)
		rec := record()
		rec.Recordings = []call.Recording{{File: ptr("a.wav")}}
		rec.Fax = &call.FaxEntry{File: ptr("a.tif")}
		s.look(rec)
		if d := rec.Recordings[0].DurationMs; d != nil && (*d < 0 || *d > int64(len(b))*1000) {
			t.Errorf("%d ms in %d bytes", *d, len(b))
		}
		if p := rec.Fax.Pages; p != nil && (*p < 0 || *p > int64(len(b))) {
			t.Errorf("%d pages in %d bytes", *p, len(b))
		}
	})
}
