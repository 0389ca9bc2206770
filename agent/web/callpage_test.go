package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/agent/media"
	"calljournal/storage"
)

// books are as far as a page of a call needs them.
type books struct {
	api.Books
	db   func() *storage.DB
	spam []api.SpamNumber
}

func (b *books) RulesOf(uint32) (journal.Rules, bool) { return journal.DefaultRules(), true }
func (b *books) SpamNumbers() []api.SpamNumber        { return b.spam }

func (b *books) Tag(_ context.Context, id string, tags []string) (*call.Record, error) {
	rec, err := b.db().Call(id)
	if err != nil {
		return nil, err
	}
	rec.Rev, rec.Tags = rec.Rev+1, tags
	return rec, b.db().Commit(&storage.Batch{Entries: []storage.Entry{{Op: storage.OpCall, Call: rec}}})
}

func (b *books) MarkSpam(_ context.Context, number, by string) (api.SpamNumber, error) {
	b.spam = append(b.spam, api.SpamNumber{Number: number, By: by})
	return b.spam[len(b.spam)-1], nil
}

func (b *books) UnmarkSpam(_ context.Context, number string) error {
	b.spam = slices.DeleteFunc(b.spam, func(n api.SpamNumber) bool { return n.Number == number })
	return nil
}

// told is a call in which everything happened, with hostile names throughout.
func told() *call.Record {
	r := someCall("main:17 800?/00#1")
	at := call.MomentOf(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC))
	sec := func(n int) call.Moment { return at.Add(time.Duration(n) * time.Second) }
	r.StartedAt, r.AnsweredAt, r.EndedAt = sec(0), sec(40), sec(100)
	r.Line = &call.Line{Number: "74951230101", Name: ptr(hostile), Source: ptr("radio")}
	r.Queues, r.AnsweredBy, r.LastTalkedBy, r.EndedBy = []string{hostile}, ptr("101"), ptr("102"), ptr("caller")
	r.Cause = &call.Cause{Q850: 16, Text: hostile}
	r.Legs = []call.Leg{
		{Channel: "PJSIP/trunk-1", Number: ptr("+79161234567"), Role: call.RoleCaller, StartedAt: sec(0), EndedAt: sec(100), Result: "answered"},
		{Channel: hostile, Extension: ptr("103"), Number: ptr("103"), Role: call.RolePhone, Queue: ptr("sales"), StartedAt: sec(10), RingingAt: sec(11), EndedAt: sec(30), RingMs: ptr(int64(19_000)), Result: "busy", Cause: &call.Cause{Q850: 17}},
		{Channel: "PJSIP/101-2", Extension: ptr("101"), Number: ptr("101"), Employee: ptr("Анна"), Department: ptr("Продажи"), Role: call.RolePhone, StartedAt: sec(30), RingingAt: sec(31), AnsweredAt: sec(40), EndedAt: sec(70), Result: "answered"},
		{Channel: "PJSIP/102-3", Extension: ptr("102"), Number: ptr("102"), Employee: ptr("Олег"), Role: call.RolePhone, StartedAt: sec(60), RingingAt: sec(61), AnsweredAt: sec(70), EndedAt: sec(100), Result: "answered"},
	}
	r.Timeline = []call.Span{
		{Kind: "ivr", From: sec(0), To: sec(10)}, {Kind: "queue", From: sec(10), To: sec(40), Party: ptr("sales")},
		{Kind: "talk", From: sec(40), To: sec(60), Party: ptr("101")}, {Kind: "hold", From: sec(60), To: sec(70), Party: ptr("101")},
		{Kind: "talk", From: sec(70), To: sec(100), Party: ptr("102")},
	}
	r.Transfers = []call.Transfer{{Type: "attended", By: ptr("101"), To: ptr("102"), At: sec(70), Answered: ptr(true)}, {Type: "park", At: sec(75)}}
	r.Recordings = []call.Recording{{File: ptr("talk.wav"), StartedAt: sec(40)}, {File: ptr("gone.wav")}}
	r.Voicemail = &call.VoicemailEntry{Mailbox: "101"}
	r.Fax = &call.FaxEntry{Direction: "received", Pages: ptr(int64(2)), Station: ptr(hostile)}
	r.Types, r.Tags, r.HealedBy = []string{"repeat", "lost"}, []string{hostile}, ptr("main:2")
	r.Cost = &call.Cost{Amount: "1.80", Currency: "RUB", BilledMs: 60_000, Prefix: "79"}
	r.Quality, r.Doubts = call.QualityPartial, []string{call.DoubtLinkLost, "of_a_later_version"}
	return r
}

func callRig(t *testing.T, b *books, calls ...*call.Record) *rig {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "talk.wav"), []byte("RIFF____WAVEfmt sound"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRigWith(t, func(o *api.Options) {
		o.Books = b
		o.Media = media.New(media.Options{Folders: []media.Folders{{PBX: "main", Recordings: dir}}, Logger: o.Logger, Now: o.Now})
	}, calls...)
	b.db = func() *storage.DB { return r.db }
	return r
}

func TestCall(t *testing.T) {
	rec := told()
	r := callRig(t, &books{}, rec)
	rec.Rev = 2
	rec.Types = []string{"repeat", "lost", "spam"}
	err := r.db.Commit(&storage.Batch{
		Entries: []storage.Entry{{Op: storage.OpCall, Call: rec}},
		Why: map[string]storage.Why{rec.ID: {Facts: []call.Event{}, Reasons: []call.Reason{
			{Field: "talk_ms", Rule: "from here the caller was connected with others than before"}, {Field: "talk_ms", Rule: "from here the caller was connected with others than before"},
			{Field: "status", Rule: "a person spoke with the caller"}, {Field: "status", Rule: "a rule of a later version"},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	at := "/calls/" + url.PathEscape(rec.ID)
	p := r.signedIn("admin")
	_, _, table := p.get("/")
	if to := links(table); !slices.Contains(to, at) {
		t.Errorf("the journal does not lead to %s: %q", at, to)
	}
	status, _, text := p.get(at)
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, text)
	}
	for _, want := range []string{
		"answered", "101 Анна", "102 Олег", "attended transfer", "busy", "in queues", "1.80\u00a0₽", "The connection with the PBX was lost", "of_a_later_version",
		"A person spoke with the caller.", "a rule of a later version", "Q.850 16", "2 pages", `id="healed" href="/calls/main:2"`, `href="/?number=79161234567"`,
		"repeat", "radio", "2 Mar 2026", "09:00:00",
	} {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(text, "<script>alert") || strings.Contains(text, "<img src=x") {
		t.Error("a name is markup")
	}
	if strings.Contains(text, ` style="`) {
		t.Error("an inline style, which the policy forbids")
	}
	if n := strings.Count(text, "connected with others"); n != 1 {
		t.Errorf("one reason %d times", n)
	}
	if revisions := text[strings.Index(text, `id="revisions"`):]; !regexp.MustCompile(`>2</span>.*types[^>]*</li>\s*<li><span class="n">1<`).MatchString(revisions[:strings.Index(revisions, "</ol>")]) {
		t.Errorf("revisions: %.600s", revisions)
	}
	// The sound that is there can be heard, what is not is said to be gone.
	sounds := regexp.MustCompile(`<audio[^>]* src="([^"]*)"`).FindAllStringSubmatch(text, -1)
	if len(sounds) != 1 {
		t.Fatalf("%d players: %q", len(sounds), sounds)
	}
	if status, _, sound := p.get(unescape(sounds[0][1])); status != http.StatusOK || !strings.HasSuffix(sound, "sound") {
		t.Errorf("the sound at %s: %d", sounds[0][1], status)
	}
	if n := strings.Count(text, "The file is not there."); n != 2 { // the other recording, the fax
		t.Errorf("%d files are said to be gone", n)
	}

	_, _, masked := r.signedIn("masked").get(at)
	for _, absent := range []string{"9161234567", `id="reasons"`, `id="others"`, `id="spam"`} {
		if strings.Contains(masked, absent) {
			t.Errorf("a reader of masked numbers is shown %s", absent)
		}
	}
	if !strings.Contains(masked, "7916***4567") {
		t.Error("he sees no call")
	}
	if status, _, _ := r.signedIn("sales").get("/calls/main:nothing"); status != http.StatusNotFound {
		t.Errorf("a call that there is not: %d", status)
	}
}

// Of a call of which next to nothing is known, there is a page all the same.
func TestCall_Unknown(t *testing.T) {
	for name, rec := range map[string]*call.Record{
		"nothing": {ID: "main:0", Rev: 1, PBX: "main", Direction: call.Inbound, Status: call.StatusFailed, StartedAt: call.MomentOf(time.Now()), Quality: call.QualityPartial},
		"no end":  {ID: "main:0", Rev: 1, PBX: "main", Direction: call.Internal, Status: call.StatusAnswered, StartedAt: call.MomentOf(time.Now()), Legs: []call.Leg{{}}, Timeline: []call.Span{{}}, Transfers: []call.Transfer{{}}, Recordings: []call.Recording{{}}},
		"strange": {ID: "main:0", Rev: 1, PBX: "main", Direction: "sideways", Status: "melted", StartedAt: call.MomentOf(time.Now()), EndedAt: call.MomentOf(time.Now().Add(-time.Hour)), Fax: &call.FaxEntry{}, Voicemail: &call.VoicemailEntry{}, Cost: &call.Cost{}, Cause: &call.Cause{}, Line: &call.Line{}},
	} {
		p := callRig(t, &books{}, rec).signedIn("admin")
		for _, address := range []string{"/calls/main:0", "/"} {
			if status, _, text := p.get(address); status != http.StatusOK || !strings.Contains(text, "main:0") {
				t.Errorf("%s: %s is answered with %d", name, address, status)
			}
		}
	}
}

// The drawing covers the call: each party has a line, the stretches of the caller's
// fill it from one end to the other.
func TestCall_Timeline(t *testing.T) {
	rec := told()
	_, _, text := callRig(t, &books{}, rec).signedIn("manager").get("/calls/" + url.PathEscape(rec.ID))
	drawing := text[strings.Index(text, `<figure`):strings.Index(text, `</figure>`)]
	lanes := strings.Split(drawing, `<text class="name"`)[1:]
	if len(lanes) != 4 {
		t.Fatalf("%d lines", len(lanes))
	}
	share := func(text string) float64 {
		f, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	bars := regexp.MustCompile(`class="bar" x="([^"]*)" y="18" width="([^"]*)"`)
	end := 0.0
	for _, m := range bars.FindAllStringSubmatch(lanes[0], -1) {
		if x := share(m[1]); x < end-0.01 || x > end+0.01 {
			t.Errorf("a stretch begins at %v, the one before ends at %v", x, end)
		}
		end = share(m[1]) + share(m[2])
	}
	if end < 99.99 || end > 100.01 {
		t.Errorf("the stretches end at %v", end)
	}
	for _, lane := range lanes {
		for _, m := range bars.FindAllStringSubmatch(lane, -1) {
			if x, w := share(m[1]), share(m[2]); x < 0 || w <= 0 || x+w > 100.3 {
				t.Errorf("a bar from %v, %v wide", x, w)
			}
		}
	}
	if n := strings.Count(drawing, `class="mark" x1="70`); n != 1 {
		t.Errorf("%d marks where the call was transferred", n)
	}
	table := text[strings.Index(text, `id="timeline-table"`):]
	for _, want := range []string{"menu", "queue", "hold", "101 Анна", "0:30"} {
		if !strings.Contains(table[:strings.Index(table, "</table>")], want) {
			t.Errorf("the table of the drawing does not say %q", want)
		}
	}
}

func TestCall_Tags(t *testing.T) {
	rec := told()
	r := callRig(t, &books{}, rec)
	at := "/calls/" + url.PathEscape(rec.ID)
	p := r.signedIn("manager")
	status, head, text := p.post(at+"/tags", url.Values{"tags": {" vip , complaint,, vip "}})
	if status != http.StatusSeeOther || head.Get("Location") != at {
		t.Fatalf("%d to %q: %s", status, head.Get("Location"), text)
	}
	now, err := r.db.Call(rec.ID)
	if err != nil || !slices.Equal(now.Tags, []string{"vip", "complaint"}) {
		t.Errorf("%q, %v", now.Tags, err)
	}
	if _, _, text := p.get(at); !strings.Contains(text, `value="vip, complaint"`) {
		t.Error("the field does not hold them")
	}
	if status, _, _ := p.post(at+"/tags", url.Values{"tags": {strings.Repeat("x", 2000)}}); status != http.StatusUnprocessableEntity {
		t.Errorf("a tag without end: %d", status)
	}
	if status, _, _ := p.post("/calls/none/tags", url.Values{"tags": {"x"}}); status != http.StatusNotFound {
		t.Errorf("tags of no call: %d", status)
	}
	if status, head, _ := r.stranger().post(at+"/tags", url.Values{"tags": {"x"}}); status != http.StatusSeeOther || !strings.HasPrefix(head.Get("Location"), "/signin") {
		t.Errorf("a stranger: %d", status)
	}
}

func TestCall_Spam(t *testing.T) {
	b := &books{}
	rec := told()
	r := callRig(t, b, rec)
	at := "/calls/" + url.PathEscape(rec.ID)
	if status, _, _ := r.signedIn("manager").post(at+"/spam", url.Values{"spam": {"yes"}}); status != http.StatusForbidden || len(b.spam) > 0 {
		t.Errorf("who may not: %d", status)
	}
	p := r.signedIn("admin")
	if status, _, _ := p.post(at+"/spam", url.Values{"spam": {"yes"}}); status != http.StatusSeeOther || len(b.spam) != 1 || b.spam[0].Number != "+79161234567" {
		t.Errorf("%d, %+v", status, b.spam)
	}
	if _, _, text := p.get(at); !strings.Contains(text, `name="spam" value="no"`) {
		t.Error("the page does not know")
	}
	if status, _, _ := p.post(at+"/spam", url.Values{"spam": {"no"}}); status != http.StatusSeeOther || len(b.spam) != 0 {
		t.Errorf("%d, %+v", status, b.spam)
	}
}

// As many tags as a call may have arrive whole, however their letters are written in
// a form; a form that does not arrive whole takes nothing away.
func TestCall_TagsOfBadForms(t *testing.T) {
	rec := told()
	r := callRig(t, &books{}, rec)
	p := r.signedIn("manager")
	at := "/calls/" + url.PathEscape(rec.ID)
	var most []string
	for n := range 32 {
		most = append(most, fmt.Sprintf("%02d%s", n, strings.Repeat("😀", 62)))
	}
	if status, _, text := p.post(at+"/tags", url.Values{"tags": {strings.Join(most, ",")}}); status != http.StatusSeeOther {
		t.Fatalf("as many as there may be: %d %s", status, text)
	}
	for name, form := range map[string]string{
		"cut off": "tags=a%2", "no field": "", "another field": "tag=a", "huge": "tags=" + strings.Repeat("a,", 40_000),
	} {
		if status, _, _ := p.do(http.MethodPost, at+"/tags", strings.NewReader(form)); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", name, status)
		}
	}
	now, err := r.db.Call(rec.ID)
	if err != nil || !slices.Equal(now.Tags, most) {
		t.Errorf("%v: the call has the tags %q", err, now.Tags)
	}
}
