package browsertest

import (
	"net/http"
	"testing"
)

func TestSignIn(t *testing.T) {
	f := newOffice(t, officeOptions{})
	b := newTab(t, f.base, "en-GB,en;q=0.9")

	// Who has not signed in is asked to, and led back.
	b.open("/?direction=inbound")
	b.until(`location.pathname === "/signin"`)
	b.until(`document.activeElement?.name === "name"`) // one may begin to type
	b.fill(`input[name=name]`, "manager")
	b.fill(`input[name=password]`, "not the password")
	b.press("\r")
	b.sees("[role=alert]", "password is wrong")
	if got := eval[string](b, `document.querySelector("input[name=name]").value`); got != "manager" {
		t.Errorf("after a wrong password the name is %q", got)
	}
	b.until(`document.activeElement?.name === "password"`)
	b.fill(`input[name=password]`, password)
	b.press("\r")
	b.until(`location.pathname === "/" && location.search === "?direction=inbound"`)
	b.sees(".who .name", "^manager$")
	if got := eval[string](b, "document.cookie"); got != "" {
		t.Errorf("a script can read the cookie %q", got)
	}

	// The other language is chosen once and stays.
	b.click(`.languages button[value=ru]`)
	b.until(`document.documentElement.lang === "ru" && location.search === "?direction=inbound"`)
	b.sees(".who", "Выйти")
	b.open("/")
	b.until(`document.documentElement.lang === "ru"`)
	b.click(`.languages button[value=en]`)
	b.until(`document.documentElement.lang === "en"`)

	// Signed out here is signed out: the way back leads nowhere.
	b.click(`form[action="/signout"] button`)
	b.until(`location.pathname === "/signin"`)
	eval[any](b, `history.back() ?? null`)
	b.until(`location.pathname === "/signin" || !document.querySelector(".who")`)
	b.provokes("status of 401")
	if got := eval[int](b, `fetch("/v1/calls").then(r => r.status)`); got != http.StatusUnauthorized {
		t.Errorf("signed out, and the interface answers %d", got)
	}
}
