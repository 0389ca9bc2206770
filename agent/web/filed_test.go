package web_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/media"
)

// withFiles is a journal whose calls of id main:there... have their files.
func withFiles(t *testing.T, calls ...*call.Record) *rig {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"default/office.example/101/msg_there.wav", "there.tif"} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte("RIFF....WAVEfmt "), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range calls {
		if v := c.Voicemail; v != nil && v.File != nil {
			v.File = ptr("/var/lib/freeswitch/storage/voicemail/default/office.example/101/" + *v.File)
		}
		if f := c.Fax; f != nil && f.File != nil {
			f.File = ptr(filepath.Join(dir, *f.File))
		}
	}
	return newRigWith(t, func(o *api.Options) {
		o.Media = media.New(media.Options{Folders: []media.Folders{{PBX: "main", Recordings: dir, Voicemail: dir, Fax: dir}}, Logger: o.Logger, Now: time.Now})
	}, calls...)
}

func message(id, mailbox, file string) *call.Record {
	c := someCall(id)
	c.PBXKind, c.PBXIDs = "freeswitch", []string{strings.TrimPrefix(id, "main:")}
	c.Status, c.Voicemail = call.StatusVoicemail, &call.VoicemailEntry{Mailbox: mailbox, DurationMs: ptr(int64(12_000))}
	if file != "" {
		c.Voicemail.File = &file
	}
	return c
}

func fax(id, direction, file string) *call.Record {
	c := someCall(id)
	c.Status, c.Fax = call.StatusFax, &call.FaxEntry{Direction: direction, Station: ptr("+79161234567"), Pages: ptr(int64(3)), Result: ptr("success"), File: &file}
	return c
}

func TestVoicemail(t *testing.T) {
	r := withFiles(t, message("main:there", "101", "msg_there.wav"), message("main:gone", "101", "msg_gone.wav"), message("main:none", "102", ""), someCall("main:other"))
	p := r.signedIn("manager")
	_, _, text := p.get("/voicemail")
	for _, want := range []string{
		`href="/v1/calls/main:there/voicemail" data-play`, `href="/v1/calls/main:there/voicemail?download"`, "the file is gone", "no message",
		`href="/calls/main:gone"`, "101", ">0:12<", `data-follow="/changes"`, `name="number"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %s", want)
		}
	}
	if strings.Contains(text, "main:other") || strings.Contains(text, "main:gone/voicemail") || strings.Contains(text, "<script>alert") {
		t.Errorf("shows what it should not: %s", text)
	}
	if status, head, _ := p.get("/v1/calls/main:there/voicemail"); status != http.StatusOK || !strings.HasPrefix(head.Get("Content-Type"), "audio/") {
		t.Errorf("the message: %d %v", status, head)
	}
	if _, _, text := p.get("/voicemail?mailbox=102"); strings.Contains(text, "main:there") || !strings.Contains(text, "main:none") {
		t.Error("the mailbox does not select")
	}
	if _, _, text := p.get("/voicemail?to=2001-01-01"); !strings.Contains(text, "There are no messages") {
		t.Error("the period does not select")
	}
	if _, _, text := r.signedIn("masked").get("/voicemail"); strings.Contains(text, "79161234567") || strings.Contains(text, `name="number"`) || !strings.Contains(text, "main:there") {
		t.Errorf("with numbers masked: %s", text)
	}
	if _, _, text := r.signedIn("sales").get("/voicemail"); strings.Contains(text, "main:there") {
		t.Error("a department sees another's messages")
	}
}

func TestFaxes(t *testing.T) {
	r := withFiles(t, fax("main:there", "received", "there.tif"), fax("main:gone", "sent", "gone.tif"))
	_, _, text := r.signedIn("manager").get("/faxes")
	for _, want := range []string{`href="/v1/calls/main:there/fax?download"`, "the file is gone", " received", " sent", "success", ">3<"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %s", want)
		}
	}
	if _, _, text := r.signedIn("manager").get("/faxes?direction=sent"); strings.Contains(text, "main:there") || !strings.Contains(text, "main:gone") {
		t.Error("the direction does not select")
	}
	if _, _, text := r.signedIn("masked").get("/faxes"); strings.Contains(text, "79161234567") || strings.Contains(text, "/fax?download") || !strings.Contains(text, "its pages show numbers") {
		t.Errorf("with numbers masked: %s", text)
	}
	if status, _, text := r.signedIn("manager").get("/faxes?direction=lost"); status != http.StatusUnprocessableEntity || !strings.Contains(text, `role="alert"`) {
		t.Errorf("a direction that there is not: %d", status)
	}
}

func TestVoicemail_Pages(t *testing.T) {
	var calls []*call.Record
	for n := range 120 {
		c := message(fmt.Sprint("main:", n), "101", "")
		c.StartedAt -= call.Moment(n) * 1_000_000
		calls = append(calls, c)
	}
	p := newRig(t, calls...).signedIn("manager")
	seen, pages, at := 0, 0, "/voicemail?mailbox=101"
	for ; at != "" && pages < 5; pages++ {
		_, _, text := p.get(at)
		seen += strings.Count(text, `<tr id="call-`)
		_, next, _ := strings.Cut(text, `id="next" rel="next" href="`)
		next, _, _ = strings.Cut(next, `"`)
		at = strings.ReplaceAll(next, "&amp;", "&")
	}
	if seen != 120 || pages != 3 {
		t.Errorf("%d messages on %d pages", seen, pages)
	}
}
