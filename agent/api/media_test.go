package api_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"calljournal/agent/call"
	"calljournal/storage"
)

// withFiles makes one call with a recording, a message and a fax.
func withFiles(t testing.TB) (r *rig, path string) {
	r = newRig(t)
	rec := record(1)
	rec.ID = "main:1780000001.1"
	rec.Legs = []call.Leg{{Channel: "PJSIP/trunk-00000001"}}
	rec.Recordings = []call.Recording{{File: ptr("/var/spool/asterisk/monitor/a\"\r\nX: y.wav")}, {File: ptr("/gone.wav")}}
	rec.Voicemail = &call.VoicemailEntry{Mailbox: "102"}
	rec.Fax = &call.FaxEntry{Direction: "received", File: ptr("/fax/in.tif")}
	r.commit(t, storage.Entry{Op: storage.OpCall, Call: rec})
	r.file(t, "monitor/a\"\r\nX: y.wav", "0123456789")
	r.file(t, "default/102/INBOX/msg0000.txt", "callerchan=PJSIP/trunk-00000001\norigtime=1780000005\nduration=3\n")
	r.file(t, "default/102/INBOX/msg0000.WAV", "a message")
	r.file(t, "fax/in.tif", "II*\x00")
	return r, "/v1/calls/" + url.PathEscape(rec.ID)
}

func TestFiles(t *testing.T) {
	r, path := withFiles(t)
	for _, tt := range []struct {
		name, path, ranges string
		code               int
		body, contentType  string
		disposition        string
	}{
		{"whole", "/recordings/0", "", 200, "0123456789", "audio/wav", `inline; filename="20260528-202641-main_1780000001.1-recording-0.wav"`},
		{"a part", "/recordings/0", "bytes=2-4", 206, "234", "audio/wav", ""},
		{"the end", "/recordings/0", "bytes=-3", 206, "789", "audio/wav", ""},
		{"beyond", "/recordings/0", "bytes=100-", 416, "", "", ""},
		{"to be saved", "/recordings/0?download", "", 200, "0123456789", "audio/wav", `attachment; filename="20260528-202641-main_1780000001.1-recording-0.wav"`},
		{"gone", "/recordings/1", "", 404, "", "application/problem+json", ""},
		{"none of that number", "/recordings/9", "", 404, "", "application/problem+json", ""},
		{"no number", "/recordings/-1", "", 422, "", "application/problem+json", ""},
		{"voicemail", "/voicemail", "", 200, "a message", "audio/wav", `inline; filename="20260528-202641-main_1780000001.1-voicemail.wav"`},
		{"fax", "/fax", "", 200, "II*\x00", "image/tiff", `attachment; filename="20260528-202641-main_1780000001.1-fax.tif"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path+tt.path, nil)
			req.Header.Set("Accept-Encoding", "gzip, zstd")
			if tt.ranges != "" {
				req.Header.Set("Range", tt.ranges)
			}
			w := r.do(t, req, journalToken)
			if w.Code != tt.code || tt.body != "" && w.Body.String() != tt.body || tt.contentType != "" && w.Header().Get("Content-Type") != tt.contentType ||
				tt.disposition != "" && w.Header().Get("Content-Disposition") != tt.disposition {
				t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
			}
			if w.Code == 200 && (w.Header().Get("Accept-Ranges") != "bytes" || w.Header().Get("Content-Encoding") != "" || w.Header().Get("X-Content-Type-Options") != "nosniff") {
				t.Errorf("%v", w.Header())
			}
			if w.Header().Get("No-Gzip-Compression") != "" || w.Header().Get("X") != "" {
				t.Errorf("%v", w.Header())
			}
		})
	}
	rec := decode[call.Record](t, r.get(t, path, journalToken), 200)
	if !rec.Recordings[0].Available || *rec.Recordings[0].Size != 10 || rec.Recordings[1].Available || !rec.Voicemail.Available || *rec.Voicemail.DurationMs != 3000 || !rec.Fax.Available {
		t.Errorf("%+v %+v %+v", rec.Recordings, rec.Voicemail, rec.Fax)
	}
	if w := r.get(t, path+"/recordings/0", syncToken); w.Code != 403 {
		t.Errorf("a sync token: %d", w.Code)
	}
}

func TestFiles_LimitedReaders(t *testing.T) {
	r := departments(t)
	at := func(id string) string { return "/v1/calls/" + url.PathEscape(id) }
	for _, tt := range []struct {
		path, token string
		want        int
	}{
		{at(ours) + "/recordings/0", salesToken, 200},
		{at(theirs) + "/recordings/0", salesToken, 404},
		{at(theirs) + "/recordings/0", maskedToken, 200},
		{at(ours) + "/fax", salesToken, 200},
		{at(theirs) + "/fax", salesToken, 404},
		{at(ours) + "/fax", maskedToken, 403},
	} {
		if w := r.get(t, tt.path, tt.token); w.Code != tt.want {
			t.Errorf("%s with %s: %d, want %d: %s", tt.path, tt.token, w.Code, tt.want, w.Body)
		}
	}
}

func TestLists(t *testing.T) {
	r := newRig(t)
	var entries []storage.Entry
	for n := range 50 {
		rec := record(n)
		switch n % 5 {
		case 1:
			rec.Voicemail = &call.VoicemailEntry{Mailbox: []string{"101", "102"}[n%2]}
		case 2:
			rec.Fax = &call.FaxEntry{Direction: []string{"received", "sent"}[n%2], Pages: ptr(int64(2))}
		}
		entries = append(entries, storage.Entry{Op: storage.OpCall, Call: rec})
	}
	r.commit(t, entries...)
	type list struct {
		Voicemail, Faxes []struct {
			ID        string      `json:"call_id"`
			StartedAt call.Moment `json:"started_at"`
			Mailbox   string      `json:"mailbox"`
			Direction string      `json:"direction"`
		}
		Cursor *string
	}
	count := func(path string) (n int) {
		cursor, last := "", call.Moment(1<<62)
		for {
			got := decode[list](t, r.get(t, path+"&limit=3&cursor="+cursor, journalToken), 200)
			for _, it := range append(got.Voicemail, got.Faxes...) {
				if n++; it.StartedAt >= last || !strings.HasPrefix(it.ID, "main:") {
					t.Errorf("%s: %+v after %v", path, it, last)
				}
				last = it.StartedAt
			}
			if got.Cursor == nil {
				return n
			}
			cursor = *got.Cursor
		}
	}
	for path, want := range map[string]int{
		"/v1/voicemail?": 10, "/v1/voicemail?mailbox=102": 5, "/v1/voicemail?mailbox=10": 0, "/v1/voicemail?from=2026-05-28T20:27:05Z": 5,
		"/v1/voicemail?number=9160000041": 1, "/v1/faxes?": 10, "/v1/faxes?direction=sent": 5, "/v1/faxes?to=2026-05-28T20:26:40Z": 0,
	} {
		if got := count(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if w := r.get(t, "/v1/faxes?mailbox=1", journalToken); w.Code != 422 {
		t.Errorf("a filter that is none: %d", w.Code)
	}
}
