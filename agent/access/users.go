package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"calljournal/agent/call"
	"calljournal/agent/wholefile"
)

// Errors of Users.
var (
	ErrNoUser    = errors.New("there is no such user")
	ErrUserThere = errors.New("there is a user of that name already")
	ErrPassword  = errors.New("the name or the password is wrong")
	ErrTooOften  = errors.New("too many wrong passwords: try again in a while")
	// ErrNotWritten is a fault of the disk, not of what was asked for.
	ErrNotWritten = errors.New("the users were not written")
)

// User is somebody who signs in with a name and a password.
type User struct {
	Name string `json:"name"`
	Role
	MadeAt    call.Moment `json:"made_at"`
	ChangedAt call.Moment `json:"changed_at" doc:"of the password"`
}

// account is how a user stands in the file.
type account struct {
	User
	Hash string `json:"hash"` // $argon2id$v=19$m=...,t=...,p=...$salt$key
}

// Users is who may sign in: a file of its own, users.json, that only its owner may
// read. It holds no passwords, only argon2id hashes of them.
type Users struct {
	path    string
	now     func() time.Time
	hashing chan struct{} // one slot for each hash that is being made: each takes 19 MiB
	waiting chan struct{} // and for each that may wait for it

	mu       sync.Mutex
	accounts map[string]account
	wrong    map[uint32]attempts // by turn
	seed     maphash.Seed
}

type attempts struct {
	n    int // wrong ones in a row
	last time.Time
}

// The parameters that OWASP names for argon2id, and how long its parts are.
const (
	hashMemory = 19 << 10 // KiB
	hashTime   = 2
	hashSalt   = 16
	hashKey    = 32

	hashesAtATime = 2
	hashesWaiting = 32

	leastPassword = 10 // letters
	mostPassword  = 1024
	mostUsers     = 10_000
	mostUsersFile = 16 << 20

	// Names wait their turn whether or not there is such a user, or the waiting would
	// tell. So that strangers need no more memory than this many names, several may
	// have one turn; which ones, nobody outside can know.
	turns = 1 << 18

	freeAttempts = 3
	longestPause = 5 * time.Minute
)

var goodUser = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N}._@-]{0,63}$`)

// OpenUsers reads the file at path; if there is none yet, there are no users.
func OpenUsers(path string, now func() time.Time) (*Users, error) {
	u := &Users{
		path: path, now: now, accounts: map[string]account{}, wrong: map[uint32]attempts{}, seed: maphash.MakeSeed(),
		hashing: make(chan struct{}, hashesAtATime), waiting: make(chan struct{}, hashesWaiting),
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return u, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the users: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostUsersFile))
	if err != nil {
		return nil, fmt.Errorf("read the users: %w", err)
	}
	var all []account
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("the users in %s cannot be read: %w (move the file away, and add them again with calljournal user add)", path, err)
	}
	for _, a := range all {
		u.accounts[a.Name] = a
	}
	return u, nil
}

// List gives all users by name.
func (u *Users) List() []User {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := make([]User, 0, len(u.accounts))
	for _, name := range slices.Sorted(maps.Keys(u.accounts)) {
		out = append(out, u.accounts[name].User)
	}
	return out
}

// Find gives the user of a name, if there is one.
func (u *Users) Find(name string) (User, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a, ok := u.accounts[name]
	return a.User, ok
}

// Add makes a user, or gives ErrUserThere. Any other error but those of the disk
// says what is wrong with the name, the role or the password.
func (u *Users) Add(name string, role Role, password string) error {
	if !goodUser.MatchString(name) {
		return fmt.Errorf("name %.80q: want up to 64 letters, digits and . _ @ -, beginning with a letter or digit", name)
	}
	if err := role.Check(); err != nil {
		return err
	}
	if role.Scope == ScopeSync {
		return fmt.Errorf("scope %s is for programs: a user has %s or %s", ScopeSync, ScopeJournal, ScopeAdmin)
	}
	hash, err := hashOf(name, password)
	if err != nil {
		return err
	}
	now := call.MomentOf(u.now())
	return u.change(func(accounts map[string]account) error {
		if _, ok := accounts[name]; ok {
			return ErrUserThere
		}
		if len(accounts) >= mostUsers {
			return fmt.Errorf("there are %d users: that is the most", mostUsers)
		}
		accounts[name] = account{User{name, role, now, now}, hash}
		return nil
	})
}

// SetPassword changes a password, or gives ErrNoUser.
func (u *Users) SetPassword(name, password string) error {
	hash, err := hashOf(name, password)
	if err != nil {
		return err
	}
	return u.change(func(accounts map[string]account) error {
		a, ok := accounts[name]
		if !ok {
			return ErrNoUser
		}
		a.Hash, a.ChangedAt = hash, call.MomentOf(u.now())
		accounts[name] = a
		delete(u.wrong, u.turn(name))
		return nil
	})
}

// Remove takes a user away, or gives ErrNoUser.
func (u *Users) Remove(name string) error {
	return u.change(func(accounts map[string]account) error {
		if _, ok := accounts[name]; !ok {
			return ErrNoUser
		}
		delete(accounts, name)
		delete(u.wrong, u.turn(name))
		return nil
	})
}

// change makes a change that is on disk whole, or not at all.
func (u *Users) change(with func(map[string]account) error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	next := maps.Clone(u.accounts)
	if err := with(next); err != nil {
		return err
	}
	all := make([]account, 0, len(next))
	for _, name := range slices.Sorted(maps.Keys(next)) {
		all = append(all, next[name])
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = wholefile.Replace(u.path, append(b, '\n'))
	}
	if err != nil {
		return errors.Join(ErrNotWritten, err)
	}
	u.accounts = next
	return nil
}

// turn is where the wrong passwords of a name are counted.
func (u *Users) turn(name string) uint32 { return uint32(maphash.String(u.seed, name) % turns) }

// Verify says who signs in, or ErrPassword, or ErrTooOften: after a few wrong
// passwords in a row a name must wait, each time twice as long. A name that there
// is not waits, is answered and takes as long as one that there is.
func (u *Users) Verify(ctx context.Context, name, password string) (User, error) {
	select {
	case u.waiting <- struct{}{}:
		defer func() { <-u.waiting }()
	default:
		return User{}, ErrTooOften
	}
	if len(password) > mostPassword {
		return User{}, ErrPassword // nobody's: it need not be counted
	}
	key := u.turn(name)
	u.mu.Lock()
	a, known := u.accounts[name]
	if u.now().Before(u.wrong[key].last.Add(pause(u.wrong[key].n))) {
		u.mu.Unlock()
		return User{}, ErrTooOften
	}
	// It is wrong until it is known to be right: else many could be tried at once.
	u.wrong[key] = attempts{u.wrong[key].n + 1, u.now()}
	u.mu.Unlock()
	select {
	case u.hashing <- struct{}{}:
		defer func() { <-u.hashing }()
	case <-ctx.Done():
		return User{}, ctx.Err()
	}
	right := matches(a.Hash, password) && known
	u.mu.Lock()
	defer u.mu.Unlock()
	if right {
		if now, ok := u.accounts[name]; !ok || now.Hash != a.Hash {
			return User{}, ErrPassword // removed or changed meanwhile
		}
		delete(u.wrong, u.turn(name))
		return a.User, nil
	}
	u.wrong[key] = attempts{u.wrong[key].n, u.now()}
	return User{}, ErrPassword
}

// pause is how long a name must wait after n wrong passwords.
func pause(n int) time.Duration {
	if n < freeAttempts {
		return 0
	}
	return min(time.Second<<min(n-freeAttempts, 20), longestPause)
}

// hashOf checks a password and makes its hash.
func hashOf(name, password string) (string, error) {
	switch {
	case utf8.RuneCountInString(password) < leastPassword:
		return "", fmt.Errorf("the password has fewer than %d letters", leastPassword)
	case len(password) > mostPassword:
		return "", fmt.Errorf("the password is longer than %d bytes", mostPassword)
	case strings.EqualFold(password, name):
		return "", errors.New("the password is the name")
	}
	salt := make([]byte, hashSalt)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	key := argon2.IDKey([]byte(password), salt, hashTime, hashMemory, 1, hashKey)
	text := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, hashMemory, hashTime, text.EncodeToString(salt), text.EncodeToString(key)), nil
}

// matches compares a password with a hash. A hash that cannot be read, as that of
// nobody, takes as long.
func matches(hash, password string) bool {
	var version int
	var memory, times uint32
	var rest string
	ok := false
	var salt, want []byte
	if n, err := fmt.Sscanf(hash, "$argon2id$v=%d$m=%d,t=%d,p=1$%s", &version, &memory, &times, &rest); err == nil && n == 4 {
		a, b, _ := strings.Cut(rest, "$")
		var err1, err2 error
		salt, err1 = base64.RawStdEncoding.DecodeString(a)
		want, err2 = base64.RawStdEncoding.DecodeString(b)
		ok = err1 == nil && err2 == nil && version == argon2.Version && len(want) >= 16 && len(want) <= 64 && memory >= 8 && memory <= 1<<16 && times >= 1 && times <= 100
	}
	if !ok {
		salt, want, memory, times = make([]byte, hashSalt), make([]byte, hashKey), hashMemory, hashTime
	}
	got := argon2.IDKey([]byte(password), salt, times, memory, 1, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && ok
}
