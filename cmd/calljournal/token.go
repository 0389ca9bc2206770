package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"calljournal/agent/config"
)

type tokenVerb struct {
	Name  string `arg:"" help:"Who gets it: central, crm, ..."`
	Scope string `help:"sync (the feed), journal (calls), admin (everything)." enum:"sync,journal,admin" default:"sync"`
}

// Run prints a new token once and what to write where. It touches no file: the
// configuration belongs to the administrator.
func (v tokenVerb) Run(sh *shell) error {
	if !config.GoodName(v.Name) {
		return &exitError{exitUsage, fmt.Sprintf("%q: want a name of letters, digits, dots, dashes and underscores", v.Name)}
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	token := "cj_" + base64.RawURLEncoding.EncodeToString(raw)
	_, err := fmt.Fprintf(sh.out, `%s

Give it to whoever asks; it is shown only now. Here, put it into a file and name that in %s:

    install -m 600 /dev/stdin /etc/calljournal/%s.token     (paste it, then Ctrl-D)

    [[http.token]]
    name = %q
    scope = %q
    token_file = "/etc/calljournal/%s.token"

Or put nothing secret here, in place of token_file:

    token_hash = "sha256:%x"

That takes effect with systemctl reload calljournal. A token is renewed without
a gap: add the new one under another name, reload, hand it out, then remove the old.

With token_file, so that the service may read the file: calljournal service install && calljournal service restart
`, token, sh.config, v.Name, v.Name, v.Scope, v.Name, sha256.Sum256([]byte(token)))
	return err
}
