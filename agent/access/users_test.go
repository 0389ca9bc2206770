package access_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"calljournal/agent/access"
)

func openUsers(t *testing.T, path string) *access.Users {
	t.Helper()
	u, err := access.OpenUsers(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

const good = "correct horse"

func TestUsers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.json")
	u := openUsers(t, path)
	role := access.Role{Scope: access.ScopeJournal, Department: "Продажи", MaskNumbers: true}
	if err := u.Add("анна", role, good); err != nil {
		t.Fatal(err)
	}
	if err := u.Add("анна", role, good); !errors.Is(err, access.ErrUserThere) {
		t.Error(err)
	}
	for name, tt := range map[string]struct {
		name, password string
		role           access.Role
	}{
		"a path":             {"../x", good, role},
		"no name":            {"", good, role},
		"a line end":         {"a\nb", good, role},
		"a short password":   {"b", "short", role},
		"a long password":    {"b", strings.Repeat("x", 2000), role},
		"the name":           {"correcthorse", "CorrectHorse", role},
		"a programs' scope":  {"b", good, access.Role{Scope: access.ScopeSync}},
		"no scope":           {"b", good, access.Role{}},
		"an admin with less": {"b", good, access.Role{Scope: access.ScopeAdmin, MaskNumbers: true}},
	} {
		if err := u.Add(tt.name, tt.role, tt.password); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil || bytes.Contains(b, []byte(good)) || !bytes.Contains(b, []byte("$argon2id$v=19$m=19456,t=2,p=1$")) {
		t.Errorf("%v: %s", err, b)
	}
	if st, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}

	u = openUsers(t, path) // after a restart
	got, err := u.Verify(t.Context(), "анна", good)
	if err != nil || got.Role != role || got.MadeAt == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := u.Verify(t.Context(), "анна", good+"!"); !errors.Is(err, access.ErrPassword) {
		t.Error(err)
	}
	if _, err := u.Verify(t.Context(), "nobody", good); !errors.Is(err, access.ErrPassword) {
		t.Error(err)
	}
	if err := u.SetPassword("анна", "another horse"); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Verify(t.Context(), "анна", good); !errors.Is(err, access.ErrPassword) {
		t.Error("the old password is still good")
	}
	if _, err := u.Verify(t.Context(), "анна", "another horse"); err != nil {
		t.Error(err)
	}
	if err := u.Remove("анна"); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Verify(t.Context(), "анна", "another horse"); !errors.Is(err, access.ErrPassword) {
		t.Error("a removed user signs in")
	}
	if err := errors.Join(u.Remove("анна")); !errors.Is(err, access.ErrNoUser) {
		t.Error(err)
	}
	if err := u.SetPassword("анна", good); !errors.Is(err, access.ErrNoUser) {
		t.Error(err)
	}
	if len(openUsers(t, path).List()) != 0 {
		t.Error("the file still has a user")
	}
}

// Wrong passwords make the next try wait, of that name and of no other.
func TestUsers_WrongPasswordsWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.json")
	synctest.Test(t, func(t *testing.T) {
		u := openUsers(t, path)
		for _, name := range []string{"anna", "boris"} {
			if err := u.Add(name, access.Role{Scope: access.ScopeJournal}, good); err != nil {
				t.Fatal(err)
			}
		}
		try := func(name, password string, want error) {
			t.Helper()
			if _, err := u.Verify(t.Context(), name, password); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
		for range 3 {
			try("anna", "wrong", access.ErrPassword)
			try("stranger", "wrong", access.ErrPassword)
		}
		try("anna", good, access.ErrTooOften)
		try("stranger", "wrong", access.ErrTooOften)
		try("boris", good, nil)
		time.Sleep(time.Second)
		try("anna", "wrong", access.ErrPassword)
		time.Sleep(time.Second)
		try("anna", good, access.ErrTooOften)
		time.Sleep(time.Second)
		try("anna", good, nil)
		try("anna", "wrong", access.ErrPassword)
		try("anna", good, nil)
	})
}

// Whoever tries a name, known or not, is told the same at the same moments, however
// many other strangers are tried meanwhile.
func TestUsers_NamesCannotBeFoundOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.json")
	synctest.Test(t, func(t *testing.T) {
		u := openUsers(t, path)
		if err := u.Add("anna", access.Role{Scope: access.ScopeJournal}, good); err != nil {
			t.Fatal(err)
		}
		answers := map[string][]string{}
		for step := range 30 {
			for _, name := range []string{"anna", "nobody"} {
				password := "wrong"
				if step%7 == 6 {
					password = strings.Repeat("long", 1024)
				}
				_, err := u.Verify(t.Context(), name, password)
				if err == nil {
					t.Fatalf("%s was let in", name)
				}
				answers[name] = append(answers[name], err.Error())
			}
			if step%10 == 0 {
				for i := range 5 {
					if _, err := u.Verify(t.Context(), fmt.Sprintf("stranger-%d-%d", step, i), "wrong"); !errors.Is(err, access.ErrPassword) {
						t.Fatalf("a name tried for the first time: %v", err)
					}
				}
			}
			time.Sleep(time.Duration(step) * time.Second / 2)
		}
		if !slices.Equal(answers["anna"], answers["nobody"]) {
			t.Errorf("a known name:   %q\nan unknown one: %q", answers["anna"], answers["nobody"])
		}
		if !slices.Contains(answers["anna"], access.ErrTooOften.Error()) || !slices.Contains(answers["anna"], access.ErrPassword.Error()) {
			t.Errorf("not both answers: %q", answers["anna"])
		}
	})
}

func TestUsers_DamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.json")
	for _, text := range []string{"{", `[{"name":"anna","scope":"journal","hash":"$argon2id$v=19$m=4294967295,t=1,p=1$AAAA$AAAA"}]`, `[{"name":"anna","scope":"journal","hash":""}]`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		u, err := access.OpenUsers(path, time.Now)
		if text == "{" {
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Error(err)
			}
			continue
		}
		if _, err := u.Verify(t.Context(), "anna", good); !errors.Is(err, access.ErrPassword) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Passwords that are tried at once are as few as those that are tried one by one.
func TestUsers_ManyAtOnce(t *testing.T) {
	now := time.Now()
	u, err := access.OpenUsers(filepath.Join(t.TempDir(), "users.json"), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Add("anna", access.Role{Scope: access.ScopeJournal}, good); err != nil {
		t.Fatal(err)
	}
	var looked atomic.Int64
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			if _, err := u.Verify(t.Context(), "anna", "wrong"); errors.Is(err, access.ErrPassword) {
				looked.Add(1)
			}
		})
	}
	all.Wait()
	if n := looked.Load(); n != 3 {
		t.Errorf("%d passwords were looked at, want 3", n)
	}
}
