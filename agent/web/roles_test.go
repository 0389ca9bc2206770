package web_test

import (
	"context"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"calljournal/agent/api"
	"calljournal/agent/call"
	"calljournal/agent/journal"
	"calljournal/storage"
)

// secretCall is a call whose number stands wherever a number may stand.
func secretCall(id, number, word, department string) *call.Record {
	r := someCall(id)
	r.Direction, r.Status, r.Missed = call.Inbound, call.StatusVoicemail, true
	r.StartedAt = call.MomentOf(time.Now().Add(-time.Hour))
	r.From = call.Party{Number: ptr(number), E164: ptr("+" + number), Name: ptr(word + " 8 (" + number[1:4] + ") " + number[4:7] + "-" + number[7:])}
	r.To = call.Party{Number: ptr("101"), Extension: ptr("101"), Employee: ptr(word + " employee"), Department: ptr(department)}
	r.Line = &call.Line{Number: number, Name: ptr(word + " line"), Source: ptr(word + " source")}
	r.Trunk = ptr(word + "-" + number)
	r.Queues = []string{word + " queue"}
	r.Legs = []call.Leg{{Channel: "PJSIP/" + number + "-1", Number: ptr("101"), Extension: ptr("101"), Employee: ptr(word + " employee"), Department: ptr(department), Role: call.RolePhone, Result: "no_answer"}}
	r.Timeline = []call.Span{{Kind: "ring", From: r.StartedAt, To: r.EndedAt, Party: ptr(number)}}
	r.Recordings = []call.Recording{{File: ptr("/r/" + number + ".wav"), StartedAt: r.StartedAt, Available: true}}
	r.Voicemail = &call.VoicemailEntry{Mailbox: "101", File: ptr("/v/" + number)}
	r.Fax = &call.FaxEntry{Direction: "received", Station: ptr("+" + number), File: ptr("/f/" + number + ".tif")}
	r.Tags = []string{word + " " + number}
	return r
}

var (
	addresses = regexp.MustCompile(`(?:href|action|src|hx-get)="([^"]*)"`)
	digits    = regexp.MustCompile(`[^0-9]+`)
)

// Whoever follows every link of every page, files and exports too, finds nothing
// beyond his role, in no attribute and no address.
func TestRoles_EveryLink(t *testing.T) {
	ours, theirs := secretCall("main:1", "79161234567", "ours", "Продажи"), secretCall("main:2", "79263334455", "theirs", "Склад")
	b := &wholeBooks{}
	r := newRigWith(t, func(o *api.Options) {
		o.Books = b
		o.Live = func(context.Context) ([]call.Record, error) { return []call.Record{*ours, *theirs}, nil }
		o.Directory = func() *journal.Directory {
			return journal.NewDirectory("RU", []journal.Employee{{Extension: "101", Name: "ours employee", Department: "Продажи"}, {Extension: "102", Name: "theirs employee", Department: "Склад"}}, nil)
		}
	}, ours, theirs)
	b.db = func() *storage.DB { return r.db }
	for user, secret := range map[string]*regexp.Regexp{
		"sales":  regexp.MustCompile(`theirs|Склад|9263334455|main:2`),
		"masked": regexp.MustCompile(`9161234567|9263334455|161234|33344`),
	} {
		p := r.signedIn(user)
		todo, seen := []string{"/", "/live", "/missed", "/missed?state=all", "/voicemail", "/faxes", "/stats", "/reports", "/state", "/access", "/calls/main:1", "/calls/main:2", "/v1/calls", "/v1/missed", "/v1/live/calls", "/v1/directory", "/v1/status", "/v1/calls/main:1/revisions", "/v1/report?period=today&format=csv"}, map[string]bool{}
		for len(todo) > 0 && len(seen) < 400 {
			path := todo[0]
			todo = todo[1:]
			if seen[path] || strings.HasPrefix(path, "/assets/") || !strings.HasPrefix(path, "/") {
				continue
			}
			seen[path] = true
			status, head, text := p.get(path)
			if status >= http.StatusInternalServerError {
				t.Errorf("%s: %s: %d", user, path, status)
			}
			all := html.UnescapeString(text) + head.Get("Content-Disposition") + head.Get("Location")
			if path == "/calls/main:2" { // the answer may say what was asked for
				all = strings.ReplaceAll(all, "main:2", "")
			}
			squeezed := all
			if user == "masked" {
				squeezed = all + " " + regexp.MustCompile(`8 \(\d+\) \d+-\d+`).ReplaceAllStringFunc(all, func(s string) string { return digits.ReplaceAllString(s, "") })
			}
			if found := secret.FindStringIndex(squeezed); found != nil {
				t.Errorf("%s: %s: %d shows %q", user, path, status, squeezed[max(0, found[0]-80):min(len(squeezed), found[1]+40)])
			}
			if strings.HasPrefix(head.Get("Content-Type"), "text/html") {
				for _, m := range addresses.FindAllStringSubmatch(text, -1) {
					todo = append(todo, html.UnescapeString(m[1]))
				}
			}
		}
		if len(seen) < 50 {
			t.Errorf("%s: only %d addresses", user, len(seen))
		}
		t.Log(user, len(seen), "addresses")
	}
}
