package api_test

import (
	"net/url"
	"testing"

	"calljournal/agent/api"
	"calljournal/storage"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestRevisions(t *testing.T) {
	r := departments(t) // has two of each
	rec, err := r.db.Call(ours)
	if err != nil {
		t.Fatal(err)
	}
	rec.Rev, rec.Types, rec.Tags = rec.Rev+1, []string{"lost"}, nil
	r.commit(t, storage.Entry{Op: storage.OpCall, Call: rec})
	want := []api.Revision{{Rev: 1, Seq: 1, Changed: []string{}}, {Rev: 2, Seq: 3, Changed: []string{}}, {Rev: 3, Seq: 5, Changed: []string{"types", "tags"}}}
	for _, token := range []string{journalToken, salesToken, strictToken} {
		got := decode[api.RevisionsList](t, r.get(t, "/v1/calls/"+url.PathEscape(ours)+"/revisions", token), 200)
		if diff := cmp.Diff(want, got.Revisions, cmpopts.IgnoreFields(api.Revision{}, "At")); diff != "" {
			t.Errorf("%s: %s", token, diff)
		}
		for _, rev := range got.Revisions {
			if rev.At == 0 {
				t.Errorf("revision %d has no moment", rev.Rev)
			}
		}
	}
	if w := r.get(t, "/v1/calls/"+url.PathEscape(theirs)+"/revisions", salesToken); w.Code != 404 {
		t.Errorf("another department's call: %d", w.Code)
	}
}
