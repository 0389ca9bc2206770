package config

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Secret is a text that no print, log or encoder shows; Reveal does.
type Secret struct{ text string }

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal is for the one place that sends or compares the secret.
func (s Secret) Reveal() string { return s.text }

// IsZero says that there is none.
func (s Secret) IsZero() bool { return s.text == "" }

const hidden = "(hidden)"

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return hidden
}

// Format keeps even %#v and %x from showing the text.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler, for the redacted print.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Secret) UnmarshalText(b []byte) error {
	s.text = string(b)
	return nil
}

// maxSecret keeps a wrong path (a log, a device) from being read to its end.
const maxSecret = 4096

// readSecret fetches a secret that lies in a file of its own. A systemd
// credential of the same base name goes first: under a unit with LoadCredential
// the file itself may be readable by root only.
func readSecret(env Env, configDir, name string) (s Secret, path, warning string, err error) {
	path = credential(env, configDir, name)
	given := path != beside(configDir, name)
	f, err := os.Open(path)
	if err != nil {
		return s, path, "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return s, path, "", err
	}
	if len(b) > maxSecret {
		return s, path, "", fmt.Errorf("%s is longer than %d bytes: that is no secret", path, maxSecret)
	}
	// Editors end the last line; nobody means that line end to be part of it.
	s.text = strings.TrimRight(string(b), "\r\n")
	if st, err := f.Stat(); err == nil && !given && runtime.GOOS != "windows" && st.Mode().Perm()&0o007 != 0 {
		warning = fmt.Sprintf("%s can be read by everybody: chmod o-rwx it", path)
	}
	return s, path, warning, nil
}

// credential is where a file that holds a secret can be read.
func credential(env Env, configDir, name string) string {
	if dir := env.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		if p := filepath.Join(dir, filepath.Base(name)); isFile(p) {
			return p
		}
	}
	return beside(configDir, name)
}

// beside is a path that may be named relative to the configuration.
func beside(configDir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(configDir, name)
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// checkSecret says what is wrong with a secret, or "".
func checkSecret(s Secret) string {
	switch {
	case s.text == "":
		return "is empty"
	case strings.ContainsAny(s.text, "\r\n\x00"):
		// A line end in a secret would be a header of our own making on the wire.
		return "holds a line end or a zero byte"
	}
	return ""
}
