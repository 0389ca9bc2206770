package mailtest

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"
)

// loginServer is the server's side of LOGIN.
type loginServer struct {
	check func(user, password string) error
	step  int
	user  string
}

// Next implements sasl.Server.
func (l *loginServer) Next(answer []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch {
	case l.step == 1 && answer == nil:
		return []byte("Username:"), false, nil
	case l.user == "":
		l.user = string(answer)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(answer))
}

const scramSHA256 = "SCRAM-SHA-256"

// scramServer is the server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677).
type scramServer struct {
	user, password string
	well           func()
	step           int
	bare, first    string
	nonce          string
}

const (
	scramSalt   = "of this test"
	scramRounds = 4096
)

// Next implements sasl.Server.
func (s *scramServer) Next(answer []byte) (challenge []byte, done bool, err error) {
	if s.step == 0 && len(answer) == 0 {
		return []byte{}, false, nil
	}
	s.step++
	switch s.step {
	case 1:
		_, bare, ok := strings.Cut(strings.TrimPrefix(string(answer), "n,"), ",")
		if !ok || !strings.HasPrefix(string(answer), "n,") {
			return nil, true, errors.New("not a client's first message")
		}
		s.bare = bare
		_, client, _ := strings.Cut(bare, ",r=")
		s.nonce = client + "ofTheServer"
		s.first = fmt.Sprintf("r=%s,s=%s,i=%d", s.nonce, base64.StdEncoding.EncodeToString([]byte(scramSalt)), scramRounds)
		return []byte(s.first), false, nil
	case 2:
		without, proofText, _ := strings.Cut(string(answer), ",p=")
		proof, err := base64.StdEncoding.DecodeString(proofText)
		if err != nil || !strings.Contains(without, "r="+s.nonce) || !strings.HasPrefix(s.bare, "n="+s.user+",") {
			return nil, true, smtp.ErrAuthFailed
		}
		salted, err := pbkdf2.Key(sha256.New, s.password, []byte(scramSalt), scramRounds, sha256.Size)
		if err != nil {
			return nil, true, err
		}
		message := []byte(s.bare + "," + s.first + "," + without)
		clientKey := sign(salted, []byte("Client Key"))
		stored := sha256.Sum256(clientKey)
		signature := sign(stored[:], message)
		key := make([]byte, len(signature))
		if len(proof) != len(key) {
			return nil, true, smtp.ErrAuthFailed
		}
		subtle.XORBytes(key, proof, signature)
		if !bytes.Equal(key, clientKey) {
			return nil, true, smtp.ErrAuthFailed
		}
		s.well()
		return []byte("v=" + base64.StdEncoding.EncodeToString(sign(sign(salted, []byte("Server Key")), message))), false, nil
	}
	return nil, true, nil
}

func sign(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}
