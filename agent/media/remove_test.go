package media_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/media"
)

// old makes a file look as if it had been written at the end of the test's call.
func (s *spool) old(names ...string) {
	s.t.Helper()
	for _, name := range names {
		if err := os.Chtimes(s.path(name), time.Time{}, began.Add(time.Minute).Time()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// files are all files of the spool.
func (s *spool) files() (names []string) {
	s.t.Helper()
	err := filepath.WalkDir(s.dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(s.dir, p)
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return names
}

func TestRemove(t *testing.T) {
	later := began.Add(24 * time.Hour).Time()
	s := newSpool(t)
	for _, name := range []string{
		"monitor/a.wav", "monitor/a.mp3", "monitor/b.wav", "monitor/x-1780000000.7.wav", "monitor/x-1780000001.8.wav", "monitor/new.wav", "monitor/before.wav", "monitor/notes.txt",
		"target.wav", "voicemail/default/102/INBOX/msg0000.gsm",
	} {
		s.write(name, []byte("x"))
		s.old(name)
	}
	s.write("monitor/new.wav", []byte("written of late: another call's"))
	if err := os.Chtimes(s.path("monitor/before.wav"), time.Time{}, began.Add(-time.Hour).Time()); err != nil {
		t.Fatal(err)
	}
	link := os.Symlink("a.wav", s.path("monitor/link.wav")) == nil
	s.message("default/102/INBOX/msg0000", 1_780_000_020, "PJSIP/trunk-00000001", "1", "mine")
	s.message("default/102/INBOX/msg0001", 1_780_000_025, "PJSIP/trunk-00000002", "1", "another's")
	rec := record()
	for _, name := range []string{"a.wav", "new.wav", "before.wav", "link.wav", "../target.wav", "notes.txt", "gone.wav"} {
		rec.Recordings = append(rec.Recordings, call.Recording{File: ptr(s.path("monitor") + "/" + name)})
	}
	rec.Voicemail = &call.VoicemailEntry{Mailbox: "102"}
	before := s.files()

	for name, b := range map[string]media.Before{"not asked for": {}, "a young call": {Recordings: began.Time(), Voicemail: began.Time()}} {
		if done := s.lib.Remove([]*call.Record{rec}, b); done != (media.Removed{}) || !slices.Equal(s.files(), before) {
			t.Errorf("%s: %+v", name, done)
		}
	}
	done := s.lib.Remove([]*call.Record{rec}, media.Before{Recordings: later})
	if done.Recordings != 3 || done.Bytes != 3 || done.Messages != 0 || done.Left != 0 {
		t.Errorf("%+v", done)
	}
	want := slices.DeleteFunc(slices.Clone(before), func(n string) bool {
		return slices.Contains([]string{"monitor/a.wav", "monitor/a.mp3", "monitor/x-1780000000.7.wav"}, n)
	})
	if got := s.files(); !slices.Equal(got, want) {
		t.Errorf("left %q, want %q (link %v)", got, want, link)
	}
	done = s.lib.Remove([]*call.Record{rec}, media.Before{Voicemail: later})
	if done.Messages != 1 || done.Recordings != 0 || done.Left != 0 {
		t.Errorf("%+v", done)
	}
	want = slices.DeleteFunc(want, func(n string) bool {
		return slices.Contains([]string{"voicemail/default/102/INBOX/msg0000.txt", "voicemail/default/102/INBOX/msg0000.wav", "voicemail/default/102/INBOX/msg0000.gsm"}, n)
	})
	if got := s.files(); !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
}

// While Asterisk has the mailbox, nothing in it is touched.
func TestRemove_MailboxInUse(t *testing.T) {
	s := newSpool(t)
	s.message("default/102/INBOX/msg0000", 1_780_000_020, "PJSIP/trunk-00000001", "1", "mine")
	s.write("voicemail/default/102/INBOX/.lock", nil)
	rec := record()
	rec.Voicemail = &call.VoicemailEntry{Mailbox: "102"}
	later := media.Before{Voicemail: began.Add(24 * time.Hour).Time()}
	if done := s.lib.Remove([]*call.Record{rec}, later); done.Left != 1 || done.Err == nil || len(s.files()) != 3 {
		t.Errorf("%+v, %q", done, s.files())
	}
	if err := os.Remove(s.path("voicemail/default/102/INBOX/.lock")); err != nil {
		t.Fatal(err)
	}
	if done := s.lib.Remove([]*call.Record{rec}, later); done.Messages != 1 || len(s.files()) != 0 {
		t.Errorf("%+v, %q", done, s.files())
	}
}

// FreeSWITCH would go on offering a message whose file is gone.
func TestRemove_FreeSWITCHMessagesStay(t *testing.T) {
	s := newSpool(t)
	const uuid = "0f4b6f5e-1b1c-4b4e-9d51-0a1b2c3d4e5f"
	s.write("voicemail/default/office.example/1002/msg_"+uuid+".wav", wav(10))
	rec := record()
	rec.PBXKind, rec.ID = "freeswitch", "main:"+uuid
	rec.Voicemail = &call.VoicemailEntry{Mailbox: "1002"}
	if done := s.lib.Remove([]*call.Record{rec}, media.Before{Voicemail: time.Now()}); done != (media.Removed{}) || len(s.files()) != 1 {
		t.Errorf("%+v", done)
	}
}
