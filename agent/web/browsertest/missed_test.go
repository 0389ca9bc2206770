package browsertest

import (
	"net/http"
	"testing"

	"calljournal/connectors/replay"
)

// A caller whom nobody answered is on the list by himself, and off it by himself
// when he was called back: the PBX says no more than that the calls are made.
func TestMissed_CalledBack(t *testing.T) {
	f := newOffice(t, officeOptions{
		played:  []*replay.Recording{recording(t, "in_noanswer_1"), recording(t, "out_answered_1")},
		numbers: map[string]string{"9031112233": "9161014001"}, // whom the second one calls is who made the first
	})
	b, all := f.visit(t, "manager", "en"), f.visit(t, "manager", "en")
	b.open("/missed")
	all.open("/missed?state=all")
	for _, page := range []*tab{b, all} {
		page.until(`document.querySelector("#missed")`)
		eval[any](page, `window.same = true`)
	}
	f.play()
	b.sees("#missed tr[data-state=open]", "9161014001")
	b.until(`!document.querySelector("#missed tr[data-state]")`)
	all.sees("#missed tr[data-state=called_back]", "9161014001")
	for _, page := range []*tab{b, all} {
		if !eval[bool](page, "window.same === true") {
			t.Error("the page was loaded again")
		}
	}
	// The call itself says by which one.
	all.click("#missed tr[data-state=called_back] .c-when a")
	all.until(`location.pathname.startsWith("/calls/")`)
	all.click("#healed")
	all.until(`document.querySelector("#call h1 .d-outbound")`)
}

// A spammer's number is named on the list, and can be taken back.
func TestMissed_Spam(t *testing.T) {
	f := newOffice(t, officeOptions{played: []*replay.Recording{recording(t, "in_noanswer_1")}})
	b := f.visit(t, "admin", "en")
	b.open("/missed")
	f.play()
	b.click("#missed tr[data-state=open] .c-change button")
	b.sees(".note[role=status]", "9161014001")
	b.until(`!document.querySelector("#missed tr[data-state=open]")`)
	b.click(".note[role=status] button")
	b.sees("#missed tr[data-state=open]", "9161014001")
}

// What a role does not open is not there, by any way: no entry in the menu, no
// page, no answer.
func TestRoles(t *testing.T) {
	f := newOffice(t, officeOptions{calls: 60})
	for _, who := range []string{"admin", "manager", "sales", "masked"} {
		b := f.visit(t, who, "en")
		b.provokes("status of 403")
		want, entries := http.StatusForbidden, 0
		if who == "admin" {
			want, entries = http.StatusOK, 1
		}
		if got := b.count(`nav a[href="/state"]`); got != entries {
			t.Errorf("%s has %d entries of the technician's page in the menu", who, got)
		}
		for _, path := range []string{"/state", "/access"} {
			if got := b.open(path); got != want {
				t.Errorf("%s to %s: %d, want %d", path, who, got, want)
			}
			if who != "admin" {
				b.sees("[role=alert]", "role")
			}
		}
		if got := eval[int](b, `fetch("/v1/users").then(r => r.status)`); got != want {
			t.Errorf("the users to %s: %d, want %d", who, got, want)
		}
	}
}
