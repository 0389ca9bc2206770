package access_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"calljournal/agent/access"
)

func TestPlaces(t *testing.T) {
	p := access.NewPlaces(3, 2)
	var leaves []func()
	for i, c := range []struct {
		who  string
		want bool
	}{{"anna", true}, {"anna", true}, {"anna", false}, {"boris", true}, {"boris", false}, {"clara", false}} {
		leave, ok := p.Take(c.who)
		if ok != c.want {
			t.Errorf("%d: %s got a place: %v", i, c.who, ok)
		}
		if ok {
			leaves = append(leaves, leave)
		}
	}
	leaves[0]()
	leaves[0]() // leaving twice is leaving once
	if _, ok := p.Take("clara"); !ok {
		t.Error("anna has left, and there is no place")
	}
	if _, ok := p.Take("dora"); ok {
		t.Error("a place that there is not")
	}
}

func TestPlaces_Wait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := access.NewPlaces(2, 1)
		leave, err := p.Wait(t.Context(), "anna")
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Wait(short, "anna"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := p.Wait(t.Context(), "boris"); err != nil {
			t.Error(err)
		}
		got := make(chan error)
		go func() {
			_, err := p.Wait(t.Context(), "anna")
			got <- err
		}()
		synctest.Wait()
		leave()
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
}
