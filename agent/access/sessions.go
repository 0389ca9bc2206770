package access

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"calljournal/agent/call"
)

// How long somebody stays signed in: without a request, and at most.
const (
	SessionIdle    = 12 * time.Hour
	SessionLongest = 7 * 24 * time.Hour

	mostSessions = 10_000
	mostOfOne    = 100 // of one user: who signs in again and again signs out nobody else
)

// Sessions is who is signed in. They live in memory: a restart of the daemon ends
// all. Of the key that a browser shows only the hash is kept.
type Sessions struct {
	users *Users
	now   func() time.Time

	mu   sync.Mutex
	open map[[sha256.Size]byte]*session
}

type session struct {
	name        string
	password    call.Moment // when it was set: another one ends the session
	began, seen time.Time
}

// NewSessions makes a table in which nobody is signed in.
func NewSessions(users *Users, now func() time.Time) *Sessions {
	return &Sessions{users: users, now: now, open: map[[sha256.Size]byte]*session{}}
}

// Begin signs a user in whom Users.Verify has let through, and gives the key to
// the session.
func (s *Sessions) Begin(u User) (key string) {
	key = rand.Text() // 130 bits
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeRoom(now, u.Name, mostOfOne)
	s.makeRoom(now, "", mostSessions)
	s.open[sha256.Sum256([]byte(key))] = &session{u.Name, u.ChangedAt, now, now}
	return key
}

// makeRoom leaves room for one more session of a user, or of all if the name is "":
// it ends those that are over, and if there are as many as there may be, the one that
// was idle longest.
func (s *Sessions) makeRoom(now time.Time, name string, most int) {
	var oldest [sha256.Size]byte
	var seen time.Time
	n := 0
	for hash, one := range s.open {
		switch {
		case one.over(now):
			delete(s.open, hash)
			continue
		case name != "" && one.name != name:
			continue
		case n == 0 || one.seen.Before(seen):
			oldest, seen = hash, one.seen
		}
		n++
	}
	if n >= most {
		delete(s.open, oldest)
	}
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.seen) > SessionIdle || now.Sub(s.began) > SessionLongest
}

// User says whose key it is, with the role that he has now. Whoever was removed,
// or has another password since, is signed out.
func (s *Sessions) User(key string) (User, bool) {
	hash, now := sha256.Sum256([]byte(key)), s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.open[hash]
	if one == nil {
		return User{}, false
	}
	u, ok := s.users.Find(one.name)
	if !ok || u.ChangedAt != one.password || one.over(now) {
		delete(s.open, hash)
		return User{}, false
	}
	one.seen = now
	return u, true
}

// End signs out.
func (s *Sessions) End(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, sha256.Sum256([]byte(key)))
}
