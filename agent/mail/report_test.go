package mail

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"calljournal/agent/config"
)

const boss = "boss@company.example: daily: calls "

// A report is mailed at its time, once each time, with what it is about.
func TestReport_OnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.at("2026-11-20 09:00:00")
		r.start([]config.Report{reportOf(t, "at = \"daily 08:00\"\nformat = \"xlsx\"\nfilter = { department = [\"Sales\"] }")}, nil)
		r.at("2026-11-21 07:59:59")
		r.want()
		if s := r.status("daily"); s.Next.Time().UTC().Format(time.DateTime) != "2026-11-21 08:00:00" || s.State != StateWell || s.SentAt != 0 {
			t.Errorf("%+v", s)
		}
		r.at("2026-11-21 08:00:00")
		r.want(boss + "2026-11-20")
		r.at("2026-11-23 07:00:00")
		r.want(boss+"2026-11-20", boss+"2026-11-21")
		mails := r.post.mails()
		if mails[0].ID == mails[1].ID || mails[0].Attached.Name != "report.pdf" || !strings.Contains(mails[0].Text, "Inbound calls: 7") || !strings.Contains(mails[0].Text, "Attached: report.pdf") || !strings.Contains(mails[0].HTML, "2026-11-20") {
			t.Errorf("%+v", mails[0])
		}
		if a := r.asked[0]; a.Format != "xlsx" || a.Period != "yesterday" || a.Filter.Encode() != "department=Sales" || !a.At.Equal(time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)) {
			t.Errorf("%+v", a)
		}
		if s := r.status("daily"); s.Sent != 2 || s.SentAt.Time().UTC().Format(time.DateTime) != "2026-11-22 08:00:00" {
			t.Errorf("%+v", s)
		}
	})
}

// Clocks are set, months end: the time on the wall is what counts.
func TestReport_ByTheWall(t *testing.T) {
	for _, c := range []struct {
		name, schedule, from, to string
		want                     int
	}{
		{"the clocks are set forward", "daily 02:30", "2026-03-27 12:00:00", "2026-03-31 12:00:00", 4},
		{"the clocks are set back", "daily 02:30", "2026-10-23 12:00:00", "2026-10-27 12:00:00", 4},
		{"cron, the clocks are set back", "30 2 * * *", "2026-10-23 12:00:00", "2026-10-27 12:00:00", 4},
		{"the last day of each month", "monthly 31 22:00", "2026-01-30 12:00:00", "2026-05-31 12:00:00", 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				zone, err := time.LoadLocation("Europe/Berlin")
				if err != nil {
					t.Fatal(err)
				}
				r.zone = zone
				r.at(c.from)
				r.start([]config.Report{reportOf(t, "at = \""+c.schedule+"\"")}, nil)
				r.at(c.to)
				if got := r.post.mails(); len(got) != c.want {
					t.Errorf("%d mails: %q", len(got), r.post.subjects())
				}
			})
		})
	}
}

// What came due while the daemon was down is mailed once, late; what was mailed
// before is not mailed again.
func TestReport_MissedWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		daily := []config.Report{reportOf(t, "at = \"daily 08:00\"")}
		r.at("2026-11-19 12:00:00")
		r.start(daily, nil)
		r.at("2026-11-20 08:00:00")
		r.end()
		r.start(daily, nil) // at once again
		r.want(boss + "2026-11-19")
		r.end()
		r.at("2026-11-23 15:00:00") // three were missed
		r.start(daily, nil)
		r.want(boss+"2026-11-19", boss+"2026-11-22")
		r.end()
		r.start(daily, nil)
		r.at("2026-11-24 08:00:00")
		r.want(boss+"2026-11-19", boss+"2026-11-22", boss+"2026-11-23")
		r.end()

		// Another schedule begins with its next time, and one that was taken out and
		// put in again is a new one.
		r.start([]config.Report{reportOf(t, "at = \"daily 07:00\"")}, nil)
		r.m.Apply(config.Mail{}, nil, nil)
		r.end()
		r.at("2026-11-26 12:00:00")
		r.start(daily, nil)
		r.at("2026-11-26 23:00:00")
		if n := len(r.post.mails()); n != 3 {
			t.Errorf("%q", r.post.subjects())
		}
	})
}

// A mail that fails is tried again, less and less often; after some tries somebody
// should look; in the end it arrives under the same Message-ID, once.
func TestReport_TriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.at("2026-11-20 07:00:00")
		r.post.set(func(_ *Message, try int) error {
			switch {
			case try < 8:
				return errDown
			case try == 8:
				return errLost // the server has it, and could not say so
			}
			return nil
		})
		weekly := []config.Report{reportOf(t, "at = \"weekly fri 08:00\"")}
		r.start(weekly, nil)
		r.at("2026-11-20 08:00:00")
		if s := r.status("daily"); s.State != StateRetrying || s.Tries != 1 || s.Error != errDown.Error() || s.NextTry == 0 || s.Since == 0 {
			t.Errorf("%+v", s)
		}
		r.at("2026-11-20 08:05:00")
		if s := r.status("daily"); s.State != StateStuck || s.Tries < stuckTries {
			t.Errorf("%+v", s)
		}
		before := r.post.tries
		r.end() // in between a restart
		r.start(weekly, nil)
		r.at("2026-11-21 08:00:00")
		mails := r.post.mails()
		if len(mails) != 2 || mails[0].ID != mails[1].ID {
			t.Errorf("%q", r.post.subjects())
		}
		if s := r.status("daily"); s.State != StateWell || s.Error != "" || s.Tries != 0 || s.Since != 0 {
			t.Errorf("%+v", s)
		}
		for i := 2; i < before; i++ {
			if was, is := r.post.at[i-1].Sub(r.post.at[i-2]), r.post.at[i].Sub(r.post.at[i-1]); is < was || is > 4*was {
				t.Errorf("after %s it waited %s", was, is)
			}
		}
	})
}

// What the server refuses is set aside and shown, and what fails until the next one
// is due as well: it is not tried for ever, and the next one is mailed.
func TestReport_SetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.at("2026-11-20 07:00:00")
		r.post.set(func(*Message, int) error { return refusal })
		daily := []config.Report{reportOf(t, "at = \"daily 08:00\"")}
		r.start(daily, nil)
		r.at("2026-11-20 23:00:00")
		if s := r.status("daily"); r.post.tries != 1 || s.State != StateWell || len(s.Aside) != 1 || s.Aside[0].Tries != 1 || s.Aside[0].What != "daily 2026-11-20 08:00" || s.Aside[0].Error != refusal.Error() {
			t.Errorf("%d tries: %+v", r.post.tries, s)
		}
		r.post.set(func(*Message, int) error { return errDown })
		r.at("2026-11-22 07:59:59")
		if s := r.status("daily"); len(s.Aside) != 1 || s.State != StateStuck {
			t.Errorf("%+v", s)
		}
		r.at("2026-11-22 08:00:01")
		if s := r.status("daily"); len(s.Aside) != 2 || !strings.Contains(s.Aside[1].Error, "given up after 24h0m") {
			t.Errorf("%+v", s)
		}
		r.end()
		r.start(daily, nil)
		if s := r.status("daily"); len(s.Aside) != 2 {
			t.Errorf("after a restart: %+v", s)
		}
		r.post.set(nil)
		r.at("2026-11-22 09:00:00")
		r.want(boss + "2026-11-21")
		if s := r.status("daily"); len(s.Aside) != 0 {
			t.Errorf("the address takes mail again: %+v", s)
		}
		// A report that comes once a month is given up before the next one.
		r.post.set(func(*Message, int) error { return errDown })
		r.m.Apply(config.Mail{}, []config.Report{reportOf(t, "at = \"monthly 1 08:00\"")}, nil)
		r.at("2026-12-05 08:00:00")
		if s := r.status("daily"); len(s.Aside) != 1 || !strings.Contains(s.Aside[0].Error, "given up after 72h") || s.State != StateWell {
			t.Errorf("%+v", s)
		}
	})
}

// One address that takes nothing does not hold up the others.
func TestReport_EachAddressForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.at("2026-11-20 07:00:00")
		r.post.set(func(m *Message, _ int) error {
			if strings.HasPrefix(m.To, "full") {
				return errDown
			}
			return nil
		})
		r.start([]config.Report{reportOf(t, "at = \"daily 08:00\"\nlang = \"ru\"\n"), configOf(t, `[[report]]
name = "both"
period = "yesterday"
at = "daily 08:00"
to = ["full@company.example", "Anna <anna@company.example>"]`).Report[0]}, nil)
		r.at("2026-11-20 08:10:00")
		got := strings.Join(r.post.subjects(), "\n")
		if len(r.post.mails()) != 2 || !strings.Contains(got, "Anna <anna@company.example>: both: calls 2026-11-19") || !strings.Contains(got, "boss@company.example: daily: звонки 19.11.2026") {
			t.Errorf("%s", got)
		}
		states := map[string]string{}
		for _, s := range r.m.Status() {
			states[s.To] = s.State
		}
		if states["full@company.example"] != StateStuck || states["Anna <anna@company.example>"] != StateWell {
			t.Errorf("%v", states)
		}
		sent, err := r.m.SendNow(t.Context(), "both")
		if err != nil || len(sent) != 2 || sent[0].Error != errDown.Error() || sent[1].Error != "" {
			t.Errorf("%+v, %v", sent, err)
		}
		if _, err := r.m.SendNow(t.Context(), "nosuch"); !errors.Is(err, ErrUnknown) {
			t.Errorf("%v", err)
		}
		about := Report{Name: "office", Lang: "en", At: time.Now()}
		sent, err = r.m.Send(t.Context(), about, &Document{Name: "x.csv", ContentType: "text/csv", Body: []byte("x")}, []string{"once@company.example", "nobody"})
		if err != nil || len(sent) != 2 || sent[0].Error != "" {
			t.Errorf("%+v, %v", sent, err)
		}
		if got := r.post.subjects(); !strings.HasPrefix(got[len(got)-1], "nobody: office: calls") && !strings.HasPrefix(got[len(got)-1], "once@company.example: office: calls") {
			t.Errorf("%q", got)
		}
		r.mu.Lock()
		r.broken = errors.New("the journal is busy")
		r.mu.Unlock()
		if _, err := r.m.SendNow(t.Context(), "both"); err == nil || !strings.Contains(err.Error(), "the journal is busy") {
			t.Errorf("%v", err)
		}
	})
}

// The notes cannot be written: nothing else is mailed to that address until they
// can, so that a restart doubles one mail and no more.
func TestReport_NotesCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.at("2026-11-20 07:00:00")
		r.start([]config.Report{reportOf(t, "at = \"0 * * * *\"")}, nil)
		r.post.set(func(*Message, int) error {
			_ = os.RemoveAll(r.path + "/mail.json")
			_ = os.Mkdir(r.path+"/mail.json", 0o700) // in whose place no file can be put
			return nil
		})
		r.at("2026-11-20 11:30:00")
		if n := len(r.post.mails()); n != 1 {
			t.Errorf("%d mails", n)
		}
		if s := r.status("daily"); s.State != StateStuck || !strings.Contains(s.Error, "note what was mailed") {
			t.Errorf("%+v", s)
		}
		r.post.set(nil)
		_ = os.Remove(r.path + "/mail.json")
		r.at("2026-11-20 12:30:00")
		if s := r.status("daily"); s.State != StateWell || len(r.post.mails()) != 3 {
			t.Errorf("%+v, %q", s, r.post.subjects())
		}
	})
}

func TestNotes_Damaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.json")
	if err := os.WriteFile(path, []byte("{half"), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := openNotes(path)
	if err == nil || n == nil {
		t.Fatal("nobody was told")
	}
	if err := n.put("x", note{Seq: 1}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path + ".damaged"); err != nil || string(b) != "{half" {
		t.Errorf("%q, %v", b, err)
	}
	if n, err := openNotes(path); err != nil || n.all["x"].Seq != 1 {
		t.Errorf("%v", err)
	}
}
