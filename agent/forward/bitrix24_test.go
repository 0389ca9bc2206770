package forward

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"calljournal/agent/call"
	"calljournal/storage"
)

// portal is Bitrix24 as its documentation says it behaves: what it does not know
// it refuses, in its own way.
type portal struct {
	t *testing.T
	*httptest.Server
	mu         sync.Mutex        // over one request after the other
	users      map[string]string // by extension
	registered map[string]map[string]any
	finished   []map[string]any
	records    map[string]string
	asked      []string // methods
	before     func(method string) (status int, body string, lost bool)
}

const portalCode = "code-0123456789abcdef"

func newPortal(t *testing.T) *portal {
	p := &portal{t: t, users: map[string]string{"101": "7", "102": "8"}, registered: map[string]map[string]any{}, records: map[string]string{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

// takes checks that a request has only parameters that the method has, each of
// its type.
func (p *portal) takes(method string, params map[string]any, types map[string]string) {
	for name, v := range params {
		got := fmt.Sprintf("%T", v)
		if _, ok := v.(json.Number); ok {
			got = "number"
		}
		if types[name] != got {
			p.t.Errorf("%s: %s = %v is %s, want %q", method, name, v, got, types[name])
		}
	}
}

func (p *portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method, ok := strings.CutPrefix(r.URL.Path, "/rest/1/"+portalCode+"/")
	if !ok || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, `{"error":"INVALID_CREDENTIALS","error_description":"Invalid request credentials"}`, http.StatusUnauthorized)
		return
	}
	params := map[string]any{}
	d := json.NewDecoder(r.Body)
	d.UseNumber()
	if err := d.Decode(&params); err != nil {
		p.t.Error(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, method)
	lost := false
	if p.before != nil {
		status, body, cut := p.before(method)
		if status != 0 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return
		}
		lost = cut
	}
	status, answer := p.do(method, params)
	if lost {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func wrong(code, text string) (int, any) {
	return http.StatusBadRequest, map[string]string{"error": code, "error_description": text}
}

func (p *portal) do(method string, params map[string]any) (int, any) {
	str := func(name string) string {
		switch v := params[name].(type) {
		case string:
			return v
		case json.Number:
			return v.String()
		}
		return ""
	}
	user := str("USER_ID")
	if user == "" {
		user = p.users[str("USER_PHONE_INNER")]
	}
	who := func() (int, any) {
		if str("USER_ID") == "" && str("USER_PHONE_INNER") == "" {
			return wrong("ERROR_CORE", "USER_ID or USER_PHONE_INNER should be set")
		}
		return wrong("ERROR_CORE", "User is not found or is not active")
	}
	switch method {
	case "telephony.externalCall.register":
		p.takes(method, params, map[string]string{"USER_ID": "number", "USER_PHONE_INNER": "string", "PHONE_NUMBER": "string", "TYPE": "number", "CALL_START_DATE": "string",
			"CRM_CREATE": "number", "SHOW": "number", "ADD_TO_CHAT": "number", "LINE_NUMBER": "string", "EXTERNAL_CALL_ID": "string"})
		if user == "" {
			return who()
		}
		if kind := str("TYPE"); kind < "1" || kind > "5" || len(kind) != 1 {
			return wrong("ERROR_CORE", "Unknown TYPE")
		}
		if _, err := time.Parse(time.RFC3339, str("CALL_START_DATE")); err != nil {
			return wrong("ERROR_CORE", "CALL_START_DATE should be in the ISO-8601 format")
		}
		if len(strings.TrimLeft(str("PHONE_NUMBER"), "+0123456789")) > 0 {
			return wrong("ERROR_CORE", "Unsupported phone number format")
		}
		id := "externalCall." + str("EXTERNAL_CALL_ID") // the same again within 30 minutes, while it is not finished
		for _, f := range p.finished {
			if f["CALL_ID"] == id {
				id += "." + fmt.Sprint(len(p.finished))
			}
		}
		params["user"] = user
		p.registered[id] = params
		return 200, map[string]any{"result": map[string]any{"CALL_ID": id, "CRM_CREATED_LEAD": nil, "CRM_CREATED_ENTITIES": []string{}}, "time": map[string]any{}}
	case "telephony.externalCall.finish":
		p.takes(method, params, map[string]string{"CALL_ID": "string", "USER_ID": "number", "USER_PHONE_INNER": "string", "DURATION": "number", "COST": "number",
			"COST_CURRENCY": "string", "STATUS_CODE": "string", "FAILED_REASON": "string", "ADD_TO_CHAT": "number"})
		if user == "" {
			return who()
		}
		known := p.registered[str("CALL_ID")]
		if known == nil {
			return wrong("ERROR_CORE", "Call is not found (call should be registered prior to finishing)")
		}
		if !slices.Contains([]string{"200", "304", "603", "603-S", "403", "404", "486", "484", "503", "480", "402", "423", "OTHER"}, str("STATUS_CODE")) {
			return wrong("ERROR_CORE", "Unknown STATUS_CODE")
		}
		delete(p.registered, str("CALL_ID"))
		params["EXTERNAL_CALL_ID"], params["PHONE_NUMBER"], params["TYPE"], params["user"] = known["EXTERNAL_CALL_ID"], known["PHONE_NUMBER"], known["TYPE"], known["user"]
		p.finished = append(p.finished, params)
		return 200, map[string]any{"result": map[string]any{"CALL_ID": str("CALL_ID"), "ID": len(p.finished)}}
	case "telephony.externalCall.attachRecord":
		p.takes(method, params, map[string]string{"CALL_ID": "string", "FILENAME": "string", "FILE_CONTENT": "string"})
		if !slices.ContainsFunc(p.finished, func(f map[string]any) bool { return f["CALL_ID"] == params["CALL_ID"] }) {
			return wrong("", "Call is not found in the statistic table. It looks like it is not finished yet.")
		}
		b, err := base64.StdEncoding.DecodeString(str("FILE_CONTENT"))
		if err != nil || len(b) == 0 {
			return wrong("ERROR_CORE", "File content is not properly encoded. Base64 encoding is expected.")
		}
		p.records[str("CALL_ID")] = str("FILENAME") + ": " + string(b)
		return 200, map[string]any{"result": map[string]any{"FILE_ID": 9}}
	case "voximplant.statistic.get":
		filter, _ := params["FILTER"].(map[string]any)
		found := []map[string]any{}
		for _, f := range p.finished {
			if f["EXTERNAL_CALL_ID"] == filter["EXTERNAL_CALL_ID"] {
				found = append(found, map[string]any{"CALL_ID": f["CALL_ID"], "EXTERNAL_CALL_ID": f["EXTERNAL_CALL_ID"]})
			}
		}
		return 200, map[string]any{"result": found, "total": len(found)}
	}
	return 404, map[string]string{"error": "ERROR_METHOD_NOT_FOUND", "error_description": "Method not found!"}
}

func (p *portal) sink(change ...func(*Settings)) *bitrix24 {
	p.t.Helper()
	s := settings(append([]func(*Settings){func(s *Settings) {
		s.Kind, s.URL, s.Secret, s.Batch, s.Users = KindBitrix24, p.URL+"/rest/1/", NewSecret(portalCode), 1, map[string]string{userDefault: "1"}
	}}, change...)...)
	sink, err := newBitrix24(s, nil, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = sink.Close() })
	return sink.(*bitrix24)
}

// callEntry is a call that a CRM wants, changed.
func callEntry(n int, change func(*call.Record)) Entry {
	r := record(n)
	r.LastTalkedBy = ptr("101")
	r.Legs = []call.Leg{{Channel: "PJSIP/trunk-1", Role: call.RoleCaller}, {Channel: "PJSIP/101-2", Role: call.RolePhone, Extension: ptr("101"), Employee: ptr("Anna")}}
	change(r)
	e := storage.Entry{Seq: uint64(n), Op: storage.OpCall, Call: r}
	return Entry{e, encoded(&e)}
}

func TestBitrix24_Calls(t *testing.T) {
	missed := func(status string) func(*call.Record) {
		return func(r *call.Record) {
			r.Status, r.TalkMs, r.LastTalkedBy, r.AnsweredBy, r.AnsweredAt = status, ptr(int64(0)), nil, nil, 0
			r.Cause = &call.Cause{Q850: 16, Text: "Normal Clearing"}
		}
	}
	outbound := func(next func(*call.Record)) func(*call.Record) {
		return func(r *call.Record) {
			next(r)
			r.Direction, r.From, r.To = call.Outbound, call.Party{Number: ptr("102"), Extension: ptr("102")}, call.Party{Number: ptr("79161112233")}
		}
	}
	for _, tt := range []struct {
		name                              string
		change                            func(*call.Record)
		status, kind, user, phone, reason string
		seconds                           string
	}{
		{"answered", func(*call.Record) {}, "200", "2", "7", "+79160000001", "", "60"},
		{"half a second", func(r *call.Record) { r.TalkMs = ptr(int64(1500)) }, "200", "2", "7", "+79160000001", "", "2"},
		{"by an extension that the portal does not know", func(r *call.Record) { r.LastTalkedBy = ptr("999"); r.Legs = nil }, "200", "2", "1", "+79160000001", "", "60"},
		{"abandoned", missed(call.StatusAbandoned), "304", "2", "7", "+79160000001", "Normal Clearing", "0"},
		{"no answer", missed(call.StatusNoAnswer), "304", "2", "7", "+79160000001", "Normal Clearing", "0"},
		{"nobody was rung", func(r *call.Record) { missed(call.StatusAbandoned)(r); r.Legs = nil }, "304", "2", "1", "+79160000001", "Normal Clearing", "0"},
		{"busy", missed(call.StatusBusy), "486", "2", "7", "+79160000001", "Normal Clearing", "0"},
		{"rejected", missed(call.StatusRejected), "603", "2", "7", "+79160000001", "Normal Clearing", "0"},
		{"voicemail", missed(call.StatusVoicemail), "304", "2", "7", "+79160000001", "Normal Clearing", "0"},
		{"the PBX served", missed(call.StatusSelfService), "OTHER", "2", "7", "+79160000001", "Normal Clearing", "0"},
		{"fax", missed(call.StatusFax), "OTHER", "2", "7", "+79160000001", "Normal Clearing", "0"},
		{"outbound", outbound(func(*call.Record) {}), "200", "1", "8", "79161112233", "", "60"},
		{"outbound, given up", outbound(missed(call.StatusAbandoned)), "603-S", "1", "8", "79161112233", "Normal Clearing", "0"},
		{"outbound, no answer", outbound(missed(call.StatusNoAnswer)), "480", "1", "8", "79161112233", "Normal Clearing", "0"},
		{"outbound, no such number", outbound(func(r *call.Record) { missed(call.StatusFailed)(r); r.Cause.Q850 = 1 }), "404", "1", "8", "79161112233", "Normal Clearing", "0"},
		{"outbound, forbidden", outbound(func(r *call.Record) { missed(call.StatusFailed)(r); r.Cause.SIP = 403 }), "403", "1", "8", "79161112233", "Normal Clearing", "0"},
		{"outbound, failed", outbound(missed(call.StatusFailed)), "503", "1", "8", "79161112233", "Normal Clearing", "0"},
	} {
		p := newPortal(t)
		if err := p.sink().Send(t.Context(), []Entry{callEntry(1, tt.change)}); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if len(p.finished) != 1 || len(p.registered) != 0 {
			t.Errorf("%s: finished %v, registered %v", tt.name, p.finished, p.registered)
			continue
		}
		f := p.finished[0]
		reason, _ := f["FAILED_REASON"].(string)
		got := []string{fmt.Sprint(f["STATUS_CODE"]), fmt.Sprint(f["TYPE"]), fmt.Sprint(f["user"]), fmt.Sprint(f["PHONE_NUMBER"]), reason, fmt.Sprint(f["DURATION"]), fmt.Sprint(f["EXTERNAL_CALL_ID"])}
		if want := []string{tt.status, tt.kind, tt.user, tt.phone, tt.reason, tt.seconds, record(1).ID}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", tt.name, got, want)
		}
	}
}

// What a CRM has no place for is not sent, and not a fault.
func TestBitrix24_NotForACRM(t *testing.T) {
	p := newPortal(t)
	gap := storage.Entry{Op: storage.OpGap, Gap: &call.Gap{PBX: "main"}}
	err := p.sink().Send(t.Context(), []Entry{
		{gap, encoded(&gap)},
		callEntry(1, func(r *call.Record) { r.Direction = call.Internal }),
		callEntry(2, func(r *call.Record) { r.From = call.Party{} }),
		callEntry(3, func(r *call.Record) { r.From = call.Party{Number: ptr("anonymous")} }),
	})
	if err != nil || len(p.asked) != 0 {
		t.Errorf("%v, %v", p.asked, err)
	}
}

func TestBitrix24_LineCostUserAndRecording(t *testing.T) {
	p := newPortal(t)
	s := p.sink(func(s *Settings) { s.Users = map[string]string{"101": "42"} })
	s.recording = func(_ context.Context, r *call.Record, n int) (*SoundFile, error) {
		if n == 0 {
			return nil, errors.New("not there")
		}
		return &SoundFile{io.NopCloser(strings.NewReader("RIFF")), *r.Recordings[n].File, 4}, nil
	}
	err := s.Send(t.Context(), []Entry{callEntry(1, func(r *call.Record) {
		r.Line = &call.Line{Number: "74951230101"}
		r.Cost = &call.Cost{Amount: "1.80", Currency: "RUB"}
		r.Recordings = []call.Recording{{File: ptr("gone.wav")}, {File: ptr("talk.wav")}}
	})})
	if err != nil || len(p.finished) != 1 {
		t.Fatal(err, p.finished)
	}
	f := p.finished[0]
	if fmt.Sprintf("%v %v %v", f["user"], f["COST"], f["COST_CURRENCY"]) != "42 1.80 RUB" || p.records[f["CALL_ID"].(string)] != "talk.wav: RIFF" {
		t.Errorf("%v, %v", f, p.records)
	}
}

func TestBitrix24_Errors(t *testing.T) {
	const (
		refused = "refused"
		busy    = "busy"
		again   = "again"
	)
	for _, tt := range []struct {
		status     int
		code, want string
	}{
		{503, "QUERY_LIMIT_EXCEEDED", busy}, {200, "QUERY_LIMIT_EXCEEDED", busy}, {429, "OPERATION_TIME_LIMIT", busy}, {502, "", busy}, {500, "INTERNAL_SERVER_ERROR", busy},
		{400, "ERROR_CORE", refused}, {200, "ERROR_CORE", refused}, {400, "", refused}, {400, "INVALID_ARGUMENT", refused},
		{401, "expired_token", again}, {401, "NO_AUTH_FOUND", again}, {403, "insufficient_scope", again}, {403, "WRONG_AUTH_TYPE", again}, {403, "ACCESS_DENIED", again},
		{402, "PAYMENT_REQUIRED", again}, {404, "ERROR_METHOD_NOT_FOUND", again}, {200, "expired_token", again}, {400, "WRONG_AUTH_TYPE", again},
	} {
		p := newPortal(t)
		p.before = func(method string) (int, string, bool) {
			if method != "telephony.externalCall.register" {
				return 0, "", false
			}
			return tt.status, fmt.Sprintf(`{"error":%q,"error_description":"because of %s"}`, tt.code, portalCode), false
		}
		err := p.sink().Send(t.Context(), []Entry{callEntry(1, func(*call.Record) {})})
		var r *Refused
		var b *Busy
		got := again
		switch {
		case err == nil:
			got = "fine"
		case errors.As(err, &r):
			got = refused
		case errors.As(err, &b):
			got = busy
		}
		if got != tt.want || err != nil && strings.Contains(err.Error(), portalCode) {
			t.Errorf("%d %s: %s, want %s: %v", tt.status, tt.code, got, tt.want, err)
		}
		if err != nil && tt.code == "QUERY_LIMIT_EXCEEDED" && (b == nil || b.After < time.Second) {
			t.Errorf("%v", err)
		}
	}
}

// Wherever an answer is lost, or the limit is met: each call is there once.
func TestBitrix24_OnceWhateverIsLost(t *testing.T) {
	for _, method := range []string{"voximplant.statistic.get", "telephony.externalCall.register", "telephony.externalCall.finish", "telephony.externalCall.attachRecord"} {
		for _, how := range []string{"lost", "limit", "restart"} {
			p := newPortal(t)
			sound := func(context.Context, *call.Record, int) (*SoundFile, error) {
				return &SoundFile{io.NopCloser(strings.NewReader("RIFF")), "a.wav", 4}, nil
			}
			done := false
			p.before = func(m string) (int, string, bool) {
				if m != method || done {
					return 0, "", false
				}
				done = true
				if how == "limit" {
					return 503, `{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}`, false
				}
				return 0, "", true
			}
			s := p.sink()
			s.recording = sound
			entry := callEntry(1, func(r *call.Record) { r.Recordings = []call.Recording{{File: ptr("a.wav")}} })
			err := errors.New("not yet")
			for range 5 {
				if err = s.Send(t.Context(), []Entry{entry}); err == nil {
					break
				}
				if how == "restart" {
					s = p.sink()
					s.recording = sound
				}
			}
			if err != nil || len(p.finished) != 1 || len(p.records) != 1 {
				t.Errorf("%s, %s: %v, finished %d, records %v, asked %v", method, how, err, len(p.finished), p.records, p.asked)
			}
		}
	}
}
