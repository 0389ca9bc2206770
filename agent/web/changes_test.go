package web_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// What came between the making of a page and its asking for what is new is told at
// once; what a page has is not told again.
func TestChanges_SinceThePage(t *testing.T) {
	r := newRig(t, someCall("main:1"))
	p := r.signedIn("manager")
	_, _, text := p.get("/")
	_, after, _ := strings.Cut(text, `data-head="`)
	after, _, _ = strings.Cut(after, `"`)
	if want := fmt.Sprint(r.db.Head()); after != want {
		t.Errorf("the page is of the head %q, want %s", after, want)
	}
	r.add(someCall("main:2"))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.http.URL+"/changes?after="+after, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if lines.Text() == "event: journal" {
			return
		}
	}
	t.Error("the second call was not told of")
}
