package access_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"calljournal/agent/access"
)

func TestSessions(t *testing.T) {
	const password = "correct horse battery"
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	users, err := access.OpenUsers(filepath.Join(t.TempDir(), "users.json"), clock)
	if err != nil {
		t.Fatal(err)
	}
	add := func(name string) access.User {
		t.Helper()
		if err := users.Add(name, access.Role{Scope: access.ScopeJournal}, password); err != nil {
			t.Fatal(err)
		}
		u, err := users.Verify(t.Context(), name, password)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for i, c := range []struct {
		name  string
		then  func(s *access.Sessions, key, user string) string // gives the key that is shown
		still bool
	}{
		{"at once", func(_ *access.Sessions, key, _ string) string { return key }, true},
		{"another key", func(_ *access.Sessions, key, _ string) string { return key[1:] + "A" }, false},
		{"no key", func(*access.Sessions, string, string) string { return "" }, false},
		{"idle for long", func(_ *access.Sessions, key, _ string) string {
			now = now.Add(access.SessionIdle + time.Second)
			return key
		}, false},
		{"used every hour for a day", func(s *access.Sessions, key, _ string) string {
			for range 24 {
				now = now.Add(time.Hour)
				s.User(key)
			}
			return key
		}, true},
		{"used every hour for eight days", func(s *access.Sessions, key, _ string) string {
			for range 8 * 24 {
				now = now.Add(time.Hour)
				s.User(key)
			}
			return key
		}, false},
		{"signed out", func(s *access.Sessions, key, _ string) string {
			s.End(key)
			return key
		}, false},
		{"removed", func(_ *access.Sessions, key, user string) string {
			if err := users.Remove(user); err != nil {
				t.Fatal(err)
			}
			return key
		}, false},
		{"another password", func(_ *access.Sessions, key, user string) string {
			now = now.Add(time.Second)
			if err := users.SetPassword(user, password+"!"); err != nil {
				t.Fatal(err)
			}
			return key
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := access.NewSessions(users, clock)
			u := add(fmt.Sprintf("user-%d", i))
			key := s.Begin(u)
			got, ok := s.User(c.then(s, key, u.Name))
			if ok != c.still || ok && got.Name != u.Name {
				t.Errorf("signed in: %v, as %q; want %v, as %q", ok, got.Name, c.still, u.Name)
			}
		})
	}
}

// Whoever signs in again and again ends his own sessions and nobody else's.
func TestSessions_OfOneUser(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	clock := func() time.Time { now = now.Add(time.Millisecond); return now }
	users, err := access.OpenUsers(filepath.Join(t.TempDir(), "users.json"), clock)
	if err != nil {
		t.Fatal(err)
	}
	s := access.NewSessions(users, clock)
	keys := map[string][]string{}
	for _, name := range []string{"anna", "mallory"} {
		if err := users.Add(name, access.Role{Scope: access.ScopeJournal}, "correct horse battery"); err != nil {
			t.Fatal(err)
		}
		u, _ := users.Find(name)
		for range map[string]int{"anna": 3, "mallory": 11_000}[name] {
			keys[name] = append(keys[name], s.Begin(u))
		}
	}
	open := func(name string) (n int) {
		for _, key := range keys[name] {
			if _, ok := s.User(key); ok {
				n++
			}
		}
		return n
	}
	if anna, mallory := open("anna"), open("mallory"); anna != 3 || mallory != 100 {
		t.Errorf("anna has %d sessions of 3, mallory %d, want 100", anna, mallory)
	}
	if _, ok := s.User(keys["mallory"][10_999]); !ok {
		t.Error("the newest has ended")
	}
}
