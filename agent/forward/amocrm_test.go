package forward

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
)

// account is amoCRM as its documentation says it behaves.
type account struct {
	*httptest.Server
	calls  []map[string]any
	before func() (status int, body string)
	strict string // of a phone that it refuses
}

const amoToken = "token-0123456789abcdef"

func newAccount(t *testing.T) *account {
	a := &account{strict: "+79160000666"}
	types := map[string]string{"request_id": "s", "uniq": "s", "direction": "s", "phone": "s", "source": "s", "call_result": "s", "call_responsible": "s",
		"duration": "n", "call_status": "n", "responsible_user_id": "n", "created_by": "n", "created_at": "n"}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/hal+json")
		if r.Header.Get("Authorization") != "Bearer "+amoToken {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"title":"Unauthorized","status":401}`)
			return
		}
		if r.Method != http.MethodPost || r.URL.Path != "/api/v4/calls" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		if a.before != nil {
			if status, body := a.before(); status != 0 {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
				return
			}
		}
		var list []map[string]any
		d := json.NewDecoder(r.Body)
		d.UseNumber()
		if err := d.Decode(&list); err != nil {
			t.Error(err)
		}
		var added, failed []map[string]any
		for _, c := range list {
			for name, v := range c {
				kind := "s"
				if _, ok := v.(json.Number); ok {
					kind = "n"
				}
				if types[name] != kind {
					t.Errorf("%s = %v: want %q", name, v, types[name])
				}
			}
			switch phone, _ := c["phone"].(string); {
			case phone == a.strict:
				w.WriteHeader(http.StatusBadRequest)
				_ = json.NewEncoder(w).Encode(map[string]any{"validation-errors": []any{map[string]any{"request_id": c["request_id"],
					"errors": []any{map[string]string{"code": "FieldMissing", "path": "phone", "detail": "This field is not right"}}}}, "title": "Bad Request", "status": 400})
				return
			case strings.HasSuffix(phone, "404"):
				failed = append(failed, map[string]any{"request_id": c["request_id"], "title": "Entity not found", "detail": "there is no card", "status": 404})
			case strings.HasSuffix(phone, "423"):
				failed = append(failed, map[string]any{"request_id": c["request_id"], "title": "Locked", "detail": "the card is locked", "status": 423})
			case strings.HasSuffix(phone, "500"):
				failed = append(failed, map[string]any{"request_id": c["request_id"], "title": "Oops", "status": 500})
			case strings.HasSuffix(phone, "000"): // not a word about it
			default:
				a.calls = append(a.calls, c)
				added = append(added, map[string]any{"id": len(a.calls), "entity_id": 1, "entity_type": "contact", "request_id": c["request_id"]})
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"_total_items": len(added), "errors": failed, "_embedded": map[string]any{"calls": added}})
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *account) sink(t *testing.T, change ...func(*Settings)) Sink {
	t.Helper()
	s := settings(append([]func(*Settings){func(s *Settings) { s.Kind, s.URL, s.Secret = KindAmoCRM, a.URL, NewSecret(amoToken) }}, change...)...)
	sink, err := newAmoCRM(s, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	return sink
}

func from(number string) func(*call.Record) {
	return func(r *call.Record) { r.From.Number, r.From.E164 = ptr(number), ptr(number) }
}

func TestAmoCRM_Calls(t *testing.T) {
	a := newAccount(t)
	s := a.sink(t, func(s *Settings) { s.Users = map[string]string{"101": "8736109", userDefault: "1"} })
	err := s.Send(t.Context(), []Entry{
		callEntry(1, func(*call.Record) {}),
		callEntry(2, func(r *call.Record) { r.Direction = call.Internal }),
		callEntry(3, func(r *call.Record) {
			r.Direction, r.Status, r.TalkMs, r.LastTalkedBy = call.Outbound, call.StatusBusy, ptr(int64(0)), nil
			r.From, r.To = call.Party{Extension: ptr("102"), Employee: ptr("Boris")}, call.Party{Number: ptr("79161112233")}
			r.Cause = &call.Cause{Text: "User busy"}
		}),
	})
	if err != nil || len(a.calls) != 2 {
		t.Fatal(err, a.calls)
	}
	got, err := json.Marshal(a.calls)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"call_responsible":"Anna","call_status":4,"created_at":1700000000,"created_by":8736109,"direction":"inbound","duration":60,"phone":"+79160000001","request_id":"0","responsible_user_id":8736109,"source":"calljournal","uniq":"main:1700000000.1"},` +
		`{"call_responsible":"Boris","call_result":"User busy","call_status":7,"created_at":1700000000,"created_by":1,"direction":"outbound","duration":0,"phone":"79161112233","request_id":"2","responsible_user_id":1,"source":"calljournal","uniq":"main:1700000000.3"}]`
	if !bytes.Equal(got, []byte(want)) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAmoCRM_StatusCodes(t *testing.T) {
	for status, want := range map[string]int{call.StatusAnswered: 4, call.StatusVoicemail: 1, call.StatusBusy: 7, call.StatusAbandoned: 3, call.StatusNoAnswer: 3,
		call.StatusRejected: 3, call.StatusFailed: 6, call.StatusSelfService: 6, call.StatusFax: 6} {
		if got := amoStatus(status); got != want {
			t.Errorf("%s: %d, want %d", status, got, want)
		}
	}
}

// Each call of a request has an answer of its own.
func TestAmoCRM_PartialAnswers(t *testing.T) {
	a := newAccount(t)
	err := a.sink(t).Send(t.Context(), []Entry{
		callEntry(1, from("+79160000001")), callEntry(2, from("+79160000404")), callEntry(3, from("+79160000423")), callEntry(4, from("+79160000500")), callEntry(5, from("+79160001000")),
		callEntry(6, from("+79160000002")),
	})
	var errs Partial
	if !errors.As(err, &errs) || len(errs) != 6 {
		t.Fatal(err)
	}
	kinds := make([]string, 6)
	for i, err := range errs {
		var refused *Refused
		switch {
		case err == nil:
			kinds[i] = "has it"
		case errors.As(err, &refused):
			kinds[i] = "refused"
		default:
			kinds[i] = "again"
		}
	}
	if want := []string{"has it", "has it", "refused", "again", "again", "has it"}; !slices.Equal(kinds, want) {
		t.Errorf("%q, want %q: %v", kinds, want, errs)
	}
}

func TestAmoCRM_Errors(t *testing.T) {
	for _, tt := range []struct {
		status        int
		refused, busy bool
	}{{400, true, false}, {422, true, false}, {401, false, false}, {402, false, false}, {403, false, true}, {404, false, false}, {429, false, true}, {500, false, true}, {504, false, true}} {
		a := newAccount(t)
		a.before = func() (int, string) { return tt.status, `{"title":"` + amoToken + `"}` }
		err := a.sink(t).Send(t.Context(), []Entry{callEntry(1, func(*call.Record) {})})
		var refused *Refused
		var busy *Busy
		if err == nil || errors.As(err, &refused) != tt.refused || errors.As(err, &busy) != tt.busy || strings.Contains(err.Error(), amoToken) {
			t.Errorf("%d: %v", tt.status, err)
		}
	}
	a := newAccount(t)
	if err := a.sink(t, func(s *Settings) { s.Secret = NewSecret("wrong-token-0123") }).Send(t.Context(), []Entry{callEntry(1, func(*call.Record) {})}); err == nil {
		t.Error("a wrong token")
	}
	if err := a.sink(t).Send(t.Context(), []Entry{callEntry(1, from("+79160000666")), callEntry(2, func(*call.Record) {})}); err == nil || !strings.Contains(err.Error(), "not right") {
		t.Errorf("one that the account refuses with all the others: %v", err)
	}
}
