package web_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"calljournal/agent/access"
	"calljournal/agent/api"
	"calljournal/agent/call"
)

func technician(t *testing.T, st api.Status, log ...api.LogEntry) *rig {
	t.Helper()
	notes := access.NewLog(filepath.Join(t.TempDir(), "access.log"))
	t.Cleanup(func() { notes.Close() })
	return newRigWith(t, func(o *api.Options) {
		o.Access = notes
		o.Status = func(context.Context) (api.Status, error) { return st, nil }
		o.Config = func() api.Configuration {
			return api.Configuration{Path: "/etc/calljournal/calljournal.toml", TOML: "[agent]\nname = 'office-1'\nsecret = '(hidden)'\n"}
		}
		o.Log = func() []api.LogEntry { return log }
	})
}

// troubled is a daemon of which everything that can be shown is there.
func troubled() api.Status {
	ago := func(d time.Duration) call.Moment { return call.MomentOf(time.Now().Add(-d)) }
	st := api.Status{
		Agent: "office-1", Version: "1.2.3", State: api.StateDegraded, StartedAt: ago(50 * time.Hour),
		Links: []api.Link{
			{PBX: "main", Kind: "asterisk", PBXVersion: "20.6.0", Address: "10.0.0.5:5038", State: api.LinkUp, Since: ago(49 * time.Hour), LastByteAt: ago(time.Second), Messages: 1234567, Bytes: 345_600_000, OpenCalls: 3},
			{PBX: "branch", Kind: "freeswitch", Address: "10.0.1.5:8021", State: api.LinkLost, Since: ago(time.Hour), NextTry: ago(-time.Minute), Error: "connection refused", Dropped: 17, Malformed: map[string]uint64{"no length": 4, "too long": 9}, Anomalies: 2, Healing: &api.Healing{Waiting: 2}},
		},
		OpenCalls: 3, LastCall: &api.LastCall{ID: "main:77", At: ago(time.Minute)},
		Journal:   api.Journal{ID: "j1", Path: "/var/lib/calljournal/journal.db", Calls: 1_000_000, Head: 1_200_000, Oldest: 3, FileBytes: 2_345_000_000, FreeBytes: 12_000_000, DiskFree: 40_000_000_000, LastCommit: ago(time.Minute)},
		Review:    api.Review{Done: 250, Total: 1000},
		Retention: api.Retention{CallsDays: 365, MaxBytes: 20_000_000_000, UsedBytes: 2_333_000_000, Dropped: 12, HeldBy: "central"},
		Consumers: []api.Consumer{{Name: "central", Seq: 1_199_000, Lag: 1000, LagMs: 7_200_000, At: ago(2 * time.Hour), Missed: 3}},
		Uplink:    &api.Uplink{URL: "https://centre.example:8430", State: "up", Requests: 55},
		Forwarders: []api.Forwarder{
			{Name: "crm", Kind: "webhook", Address: "https://crm.example", State: api.ForwarderStuck, Lag: 42, WaitingSince: ago(3 * time.Hour), Dead: 5, Error: "500 Internal Server Error", Sent: 99},
			{Name: "file", Kind: "file", Address: "file:///var/calls.ndjson", State: api.ForwarderWell, Sent: 1000},
		},
		Mailings: []api.Mailing{
			{Kind: "report", Name: "morning", To: "boss@office.example", State: "retrying", Error: "451 try later", NextAt: ago(-time.Hour), Sent: 31},
			{Kind: "alert", Name: "missed", To: "desk@office.example", State: "well", Waiting: 2, Aside: []api.MailAside{{What: "alert missed", Error: "550 no such user"}}},
		},
		Gaps: []call.Gap{{PBX: "branch", From: ago(3 * time.Hour), To: ago(2 * time.Hour), Reason: "link lost"}, {PBX: "main", From: ago(30 * time.Hour), To: ago(29 * time.Hour), Reason: "restarted", Healed: true}},
	}
	st.AddProblem("link", "pbx branch: link lost: connection refused <b>", "pbx", "branch", "state", "lost", "why", "unreachable", "error", "connection refused <b>")
	st.AddProblem("disk", "disk: only 1.0 MiB are free at /var", "free", "1048576", "path", "/var")
	st.AddWarning("", "forward crm sends calls unencrypted")
	return st
}

func TestState(t *testing.T) {
	said := api.LogEntry{At: call.MomentOf(time.Now()), Times: 12, Level: "error", Text: "journal not written <i>", About: []string{"err=no space left"}}
	p := technician(t, troubled(), said).signedIn("admin")
	status, _, text := p.get("/state")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	for _, want := range []string{
		"Something is wrong", "PBX branch: lost: nobody answers at this address", "The disk is short: 1.0\u00a0MB are free at /var", `<li lang="en">forward crm sends calls unencrypted</li>`,
		`id="link-main"`, "1,234,567", "346\u00a0MB", `health h-lost">lost`, "too long: 9", `<td class="n bad" data-name="Dropped">17`, "2 gaps wait",
		"not healed", `h-well">healed`, `id="forward-crm"`, `h-stuck">stuck`, ">42<", ">5<", `id="consumer-central"`, "2 h", "3 entries were removed before they were read",
		"https://centre.example:8430", "2.3\u00a0GB", "40.0\u00a0GB", "365 days", "held by central", `max="1000" value="250"`, `href="/calls/main:77"`,
		"morning", "boss@office.example", "451 try later", "about 2 calls", "550 no such user",
		"journal not written &lt;i&gt;", "err=no space left", ">12<", "masked", "Продажи", `href="/access"`, "/etc/calljournal/calljournal.toml", "secret = &#39;(hidden)&#39;",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %s", want)
		}
	}
	if strings.Index(text, "Something is wrong") > strings.Index(text, `id="link-main"`) {
		t.Error("problems do not come first")
	}
	if t.Failed() {
		t.Log(text)
	}
	p.head = http.Header{"Accept-Language": {"ru"}}
	_, _, text = p.get("/state")
	for _, want := range []string{"АТС branch: связь потеряна: по этому адресу никто не отвечает; проверьте, запущена ли АТС и слушает ли она этот адрес и порт", "Мало места на диске: свободно 1,0\u00a0МБ там, где /var"} {
		if !strings.Contains(text, want) {
			t.Errorf("in Russian: lacks %s", want)
		}
	}
}

func TestState_Well(t *testing.T) {
	_, _, text := technician(t, api.Status{State: api.StateWell, Review: api.Review{EndedAt: 1}}).signedIn("admin").get("/state")
	if !strings.Contains(text, "All is well") || !strings.Contains(text, "Calls are sent nowhere") || strings.Contains(text, `id="problems"`) {
		t.Errorf("%s", text)
	}
}

// Who is no administrator finds neither page in the menu, and is refused by the
// interface if he knows the address.
func TestState_Roles(t *testing.T) {
	r := technician(t, troubled())
	for _, user := range []string{"manager", "sales", "masked"} {
		p := r.signedIn(user)
		for _, path := range []string{"/state", "/access"} {
			if status, _, text := p.get(path); status != http.StatusForbidden || strings.Contains(text, "branch") || strings.Contains(text, "calljournal.toml") {
				t.Errorf("%s at %s: %d", user, path, status)
			}
		}
		if _, _, text := p.get("/"); strings.Contains(text, `href="/state"`) {
			t.Errorf("%s has it in the menu", user)
		}
	}
	admin := r.signedIn("admin")
	_, _, text := admin.get("/access")
	for _, want := range []string{"user masked", "the configuration", "refused"} {
		if !strings.Contains(text, want) {
			t.Errorf("the access log lacks %q: %s", want, text)
		}
	}
	if _, _, text := admin.get("/access?who=nobody-of-that-name"); !strings.Contains(text, "There are no entries") {
		t.Error("the name does not select")
	}
	if _, _, text := admin.get("/"); !strings.Contains(text, `href="/state"`) {
		t.Error("an administrator does not find it")
	}
}
