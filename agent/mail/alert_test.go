package mail

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"calljournal/agent/call"
	"calljournal/agent/config"
	"calljournal/storage"
)

const toBoss = "boss@company.example: "

func alerts(t *testing.T, lines string) []config.Alert {
	t.Helper()
	return []config.Alert{alertOf(t, lines)}
}

// A missed call is mailed once it is settled; what is not a missed call, or was
// spoken with meanwhile, is not.
func TestAlert_AtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.missed("+74950000000") // before the alert was there
		r.start(nil, alerts(t, ""))
		pass(time.Minute)
		r.missed("+74950000001")
		pass(settle - time.Second)
		r.want()
		pass(3 * time.Second)
		r.want(toBoss + "Missed call: +74950000001")
		r.healed(r.missed("+74950000002")) // he called again at once
		r.missed("+74950000003", func(c *call.Record) { c.Missed, c.Types = false, []string{"short"} })
		r.missed("+74950000004", func(c *call.Record) { c.Status, c.Missed = call.StatusAnswered, false })
		pass(time.Hour)
		r.want(toBoss + "Missed call: +74950000001")
		old := r.missed("+74950000005", func(c *call.Record) { c.From = call.Party{Number: ptr("Anonymous")} })
		pass(time.Minute)
		r.want(toBoss+"Missed call: +74950000001", toBoss+"Missed call: number withheld")
		r.healed(old) // later facts are no news
		pass(time.Hour)
		m := r.post.mails()[0]
		for _, want := range []string{"+74950000001", "Иван", "hung up in the queue, waited 30 s", "line: Сайт", "queue: sales", "rang: Анна"} {
			if !strings.Contains(m.Text, want) || !strings.Contains(shown(m.HTML), want) {
				t.Errorf("no %q in\n%s\n%s", want, m.Text, m.HTML)
			}
		}
		if s := r.status("missed"); s.Sent != 2 || s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// What a call is in the end counts, whichever of its revisions says so; and one call
// is mailed about once.
func TestAlert_LaterRevisions(t *testing.T) {
	missed := func(c *call.Record) { c.Missed, c.HealedBy = true, nil }
	not := func(c *call.Record) { c.Missed, c.HealedBy = false, nil }
	healed := func(c *call.Record) { c.Missed, c.HealedBy = true, ptr("main:9") }
	type step struct {
		after  time.Duration
		become func(*call.Record)
	}
	const soon, late = 5 * time.Second, time.Hour
	for name, c := range map[string]struct {
		steps []step
		want  int // mails
	}{
		"missed":                           {[]step{{0, missed}}, 1},
		"not":                              {[]step{{0, not}}, 0},
		"missed after all, soon":           {[]step{{0, not}, {soon, missed}}, 1},
		"missed after all, late":           {[]step{{0, not}, {late, missed}}, 1},
		"missed after all, after days":     {[]step{{0, not}, {48 * time.Hour, missed}}, 0},
		"not after all":                    {[]step{{0, missed}, {soon, not}}, 0},
		"not, too late to know":            {[]step{{0, missed}, {late, not}}, 1},
		"to and fro, soon":                 {[]step{{0, missed}, {soon, not}, {soon, missed}}, 1},
		"to and fro, late":                 {[]step{{0, missed}, {late, not}, {late, missed}}, 1},
		"to and fro, missed late":          {[]step{{0, missed}, {soon, not}, {late, missed}, {late, missed}}, 1},
		"healed, and not after all":        {[]step{{0, missed}, {soon, healed}, {late, missed}}, 1},
		"other facts of it":                {[]step{{0, missed}, {soon, missed}, {late, missed}, {48 * time.Hour, missed}}, 1},
		"never missed, whatever is learnt": {[]step{{0, not}, {soon, not}, {late, not}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				all := alerts(t, "")
				r.start(nil, all)
				var now *call.Record
				for i, s := range c.steps {
					if i == 0 {
						now = r.missed("+74950000001", s.become)
						continue
					}
					pass(s.after)
					next := *now
					next.Rev++
					s.become(&next)
					r.commit(&next)
					now = &next
				}
				pass(time.Minute)
				r.end() // after a restart it is the same
				r.start(nil, all)
				pass(time.Hour)
				if got := len(r.post.mails()); got != c.want {
					t.Errorf("%d mails, want %d: %q", got, c.want, r.post.subjects())
				}
			})
		})
	}
}

// With after, a call is mailed only if nobody has called back by then.
func TestAlert_NotCalledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(nil, alerts(t, "after = \"30m\""))
		one, two := r.missed("+74950000001"), r.missed("+74950000002")
		_ = two
		pass(29 * time.Minute)
		r.want()
		r.healed(one)
		pass(2 * time.Minute)
		r.want(toBoss + "Missed call: +74950000002")
	})
}

// A digest is one mail for what was missed within a time, without those who were
// called back before it went out.
func TestAlert_Digest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(nil, alerts(t, "every = \"15m\"\nlang = \"ru\""))
		pass(time.Hour)
		r.missed("+74950000001")
		pass(10 * time.Minute)
		back := r.missed("+74950000002")
		r.missed("+74950000003")
		pass(2 * time.Minute)
		r.want()
		if s := r.status("missed"); s.Waiting != 3 || s.Next == 0 {
			t.Errorf("%+v", s)
		}
		r.healed(back)
		pass(4 * time.Minute)
		r.want(toBoss + "2 пропущенных звонка")
		if text := r.post.mails()[0].Text; strings.Contains(text, "+74950000002") || !strings.Contains(text, "+74950000003") {
			t.Errorf("%s", text)
		}
		r.healed(r.missed("+74950000004"))
		pass(time.Hour)
		r.want(toBoss + "2 пропущенных звонка")
		r.missed("+74950000005")
		pass(16 * time.Minute)
		r.want(toBoss+"2 пропущенных звонка", toBoss+"Пропущенный звонок: +74950000005")
	})
}

func TestAlert_QuietHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.at("2026-11-20 19:00:00")
		r.start(nil, alerts(t, "quiet = \"20:00-08:00\""))
		r.at("2026-11-20 21:00:00")
		r.missed("+74950000001")
		r.at("2026-11-21 03:00:00")
		r.missed("+74950000002")
		r.at("2026-11-21 07:59:59")
		r.want()
		r.at("2026-11-21 08:00:01")
		r.want(toBoss + "2 missed calls")
	})
}

func TestAlert_Filter(t *testing.T) {
	for lines, want := range map[string]string{
		`department = ["Продажи"]`: "2 missed calls",
		`department = ["Склад"]`:   "Missed call: +3",
		`queue = ["service"]`:      "Missed call: +2",
		`line = ["Сайт"]`:          "2 missed calls",
		`line = ["74951230102"]`:   "Missed call: +2",
		`line = ["нет такой"]`:     "",
	} {
		t.Run(lines, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.start(nil, alerts(t, lines+"\nevery = \"1m\""))
				r.missed("+1")
				r.missed("+2", func(c *call.Record) { c.Queues, c.Line = []string{"service"}, &call.Line{Number: "74951230102"} })
				r.missed("+3", func(c *call.Record) { c.Legs[0].Department = ptr("Склад") })
				pass(time.Hour)
				if want == "" {
					r.want()
				} else {
					r.want(toBoss + want)
				}
			})
		})
	}
}

// While the mail server is down missed calls gather, and a restart neither loses
// nor doubles any; what may have arrived comes again under the same Message-ID.
func TestAlert_OutageAndRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		all := alerts(t, "")
		r.start(nil, all)
		r.missed("+1")
		pass(time.Minute)
		r.post.set(func(*Message, int) error { return errDown })
		for i := range 70 {
			r.missed(fmt.Sprintf("+2%02d", i))
			pass(10 * time.Second)
		}
		r.end()
		pass(time.Hour)
		r.post.set(func(_ *Message, try int) error {
			r.post.answer = nil
			return errLost
		})
		r.start(nil, all) // it is mailed at once, and the answer lost
		r.end()
		r.missed("+300")
		pass(time.Minute) // another call could be in it now, and must not be
		r.start(nil, all)
		pass(time.Hour)
		mails := r.post.mails()
		if len(mails) < 4 || mails[1].ID != mails[2].ID || mails[1].Subject != mails[2].Subject {
			t.Fatalf("%q", r.post.subjects())
		}
		seen := map[string]int{}
		for i, m := range mails {
			if i == 2 {
				continue // the double
			}
			for line := range strings.Lines(m.Text) {
				if fields := strings.Fields(line); len(fields) > 3 && strings.HasPrefix(fields[2], "+") {
					seen[fields[2]]++
				}
			}
		}
		left := 72 - len(seen)
		for number, n := range seen {
			if n != 1 {
				t.Errorf("%s %d times", number, n)
			}
		}
		if last := mails[len(mails)-1]; left != 0 && !strings.Contains(last.Text, fmt.Sprintf("%d more missed calls do not fit", left)) {
			t.Errorf("%d numbers are nowhere: %q\n%s", left, r.post.subjects(), last.Text)
		}
	})
}

// A journal that is another one, or that has dropped what was not looked at yet,
// stops no alert.
func TestAlert_AnotherJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		all := alerts(t, "")
		r.start(nil, all)
		r.end()
		r.m = nil
		n, err := openNotes(r.path + "/mail.json")
		if err != nil {
			t.Fatal(err)
		}
		for key, v := range n.all {
			v.Journal, v.Seq = "another", 1000
			if err := n.put(key, v); err != nil {
				t.Fatal(err)
			}
		}
		r.missed("+1")
		r.start(nil, all)
		r.missed("+2")
		pass(time.Minute)
		r.want(toBoss + "Missed call: +2")
		r.end()
		for range 3 {
			r.missed("+3")
			pass(time.Hour)
		}
		for {
			done, err := r.db.Retain(storage.Retention{MaxAge: 90 * time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if !done.More {
				break
			}
		}
		r.start(nil, all)
		pass(time.Minute)
		if s := r.status("missed"); s.Missed == 0 || len(r.post.mails()) != 2 {
			t.Errorf("%+v: %q", s, r.post.subjects())
		}
	})
}

// Names are hostile: they are text in the HTML part and one line everywhere.
func TestAlert_HostileNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start(nil, alerts(t, ""))
		r.missed("+1<script>alert(1)</script>", func(c *call.Record) {
			c.From.Name = ptr("\"><img src=x onerror=alert(1)>\r\nBcc: everybody@company.example\u202e")
			c.Legs[0].Employee, c.Queues = ptr("</td><a href='javascript:x'>"), []string{"{{.}}&lt;"}
		})
		pass(time.Minute)
		m := r.post.mails()[0]
		for _, bad := range []string{"<script", "<img", "<a ", "\u202e"} {
			if strings.Contains(m.HTML, bad) {
				t.Errorf("%q in %s", bad, m.HTML)
			}
		}
		if strings.ContainsAny(m.Subject, "\r\n") || strings.Contains(m.Text, "\nBcc:") {
			t.Errorf("%q\n%s", m.Subject, m.Text)
		}
	})
}

// shown is a page without its tags.
func shown(page string) string {
	return html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, ""))
}

func TestPlural(t *testing.T) {
	for n, want := range map[int]string{1: "звонок", 2: "звонка", 4: "звонка", 5: "звонков", 11: "звонков", 12: "звонков", 21: "звонок", 22: "звонка", 111: "звонков", 114: "звонков", 101: "звонок"} {
		if got := plural(n, "звонок", "звонка", "звонков"); got != want {
			t.Errorf("%d %s, want %s", n, got, want)
		}
	}
}

// A daemon that is killed between the server's yes and the note of it mails the
// same once more, under the same Message-ID, and then goes on.
func TestMailings_Killed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.at("2026-11-20 07:59:00")
		all, daily := alerts(t, ""), []config.Report{reportOf(t, "at = \"daily 08:00\"")}
		r.start(daily, all)
		path := filepath.Join(r.path, "mail.json")
		var atSend []byte
		r.post.set(func(*Message, int) (err error) {
			atSend, err = os.ReadFile(path)
			return err
		})
		kill := func() {
			t.Helper()
			r.end()
			if err := os.WriteFile(path, atSend, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r.missed("+1")
		pass(30 * time.Second)
		kill()
		r.missed("+2") // must not get into the mail that is sent again
		pass(25 * time.Second)
		r.start(daily, all)
		synctest.Wait()
		r.want(toBoss+"Missed call: +1", toBoss+"Missed call: +1", toBoss+"Missed call: +2")
		r.at("2026-11-20 08:00:00")
		kill()
		r.at("2026-11-20 09:00:00")
		r.start(daily, all)
		r.want(toBoss+"Missed call: +1", toBoss+"Missed call: +1", toBoss+"Missed call: +2", boss+"2026-11-19", boss+"2026-11-19")
		mails := r.post.mails()
		if mails[0].ID != mails[1].ID || mails[1].ID == mails[2].ID || mails[3].ID != mails[4].ID {
			t.Error("a double cannot be recognised")
		}
	})
}
