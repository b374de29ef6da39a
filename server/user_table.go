package server

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// userTable holds the configured users and checks their passwords.
type userTable struct {
	byName   map[string]User
	dummy    []byte     // hash compared for users without one; nil if none has one
	checking sync.Mutex // one bcrypt at a time: it is slow on purpose
}

func newUserTable(users []User) (*userTable, error) {
	t := &userTable{byName: make(map[string]User, len(users))}
	cost := 0
	for _, u := range users {
		if _, twice := t.byName[u.Name]; twice {
			return nil, fmt.Errorf("server: user %q twice", u.Name)
		}
		t.byName[u.Name] = u
		if u.Hash == nil {
			continue
		}
		c, err := bcrypt.Cost(u.Hash)
		if err != nil {
			return nil, fmt.Errorf("server: user %q: %w", u.Name, err)
		}
		cost = max(cost, c)
	}
	if cost == 0 {
		return t, nil
	}
	var err error
	t.dummy, err = bcrypt.GenerateFromPassword([]byte(rand.Text()), cost)
	return t, err
}

// knows reports whether name is a user at all.
func (t *userTable) knows(name string) bool {
	_, ok := t.byName[name]
	return ok
}

// admits reports whether a user of that name may come with a certificate.
func (t *userTable) admits(name string) bool { return t.byName[name].Certificate }

// check compares the password of the user name. It takes as long for an
// unknown user as for a known one.
func (t *userTable) check(name string, password []byte) bool {
	u, known := t.byName[name]
	want, got := sha256.Sum256([]byte(u.Password)), sha256.Sum256(password)
	same := subtle.ConstantTimeCompare(want[:], got[:]) == 1
	if t.dummy == nil {
		return known && u.hasPassword() && same
	}
	hash := u.Hash
	if hash == nil {
		hash = t.dummy
	}
	t.checking.Lock()
	hashed := bcrypt.CompareHashAndPassword(hash, password) == nil
	t.checking.Unlock()
	if u.Hash != nil {
		same = hashed
	}
	return known && u.hasPassword() && same
}

func (u *User) hasPassword() bool { return u.Hash != nil || u.Password != "" }
