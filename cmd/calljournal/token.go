package main

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"calljournal/agent/api"
	"calljournal/agent/config"
	"calljournal/agent/wholefile"
)

type tokenVerb struct {
	Add    tokenAdd    `cmd:"" default:"withargs" help:"Make a token; it is shown once."`
	List   tokenList   `cmd:"" help:"List the tokens of the configuration, without what is secret."`
	Revoke tokenRevoke `cmd:"" help:"Take a token out of the configuration, and have the daemon forget it at once."`
}

type tokenAdd struct {
	Name        string `arg:"" help:"Who gets it: central, crm, ..."`
	Scope       string `help:"sync (the feed), journal (calls), admin (everything)." enum:"sync,journal,admin" default:"sync"`
	Department  string `help:"With journal: only calls of this department's people." placeholder:"NAME"`
	MaskNumbers bool   `help:"With journal: numbers are shown as +7495***0101."`
}

// Run prints a new token once and what to write where. It touches no file: the
// configuration belongs to the administrator.
func (v tokenAdd) Run(sh *shell) error {
	if !config.GoodName(v.Name) {
		return &exitError{exitUsage, fmt.Sprintf("%q: want a name of letters, digits, dots, dashes and underscores", v.Name)}
	}
	limits := ""
	if v.Department != "" {
		limits += fmt.Sprintf("    department = %q\n", v.Department)
	}
	if v.MaskNumbers {
		limits += "    mask_numbers = true\n"
	}
	if limits != "" && v.Scope != config.ScopeJournal {
		return &exitError{exitUsage, fmt.Sprintf("--department and --mask-numbers go with --scope %s, not with %s", config.ScopeJournal, v.Scope)}
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	token := "cj_" + base64.RawURLEncoding.EncodeToString(raw)
	_, err := fmt.Fprintf(sh.out, `%s

Give it to whoever asks; it is shown only now. Here, put this at the end of %s,
where it is no secret, and then: calljournal reload

    [[http.token]]
    name = %q
    scope = %q
    token_hash = "sha256:%x"
%s
A token is renewed without a gap: add the new one under another name, reload, hand
it out, then calljournal token revoke the old.
`, token, sh.config, v.Name, v.Scope, sha256.Sum256([]byte(token)), limits)
	return err
}

type tokenList struct {
	JSON bool `name:"json" help:"As JSON."`
}

type tokenRow struct {
	Name        string `json:"name"`
	Scope       string `json:"scope"`
	Department  string `json:"department"`
	MaskNumbers bool   `json:"mask_numbers"`
	From        string `json:"from"` // where its secret stands
}

func (v tokenList) Run(sh *shell) error {
	c, err := config.Load(sh.config, sh.env)
	if err != nil {
		return err
	}
	rows, cells := []tokenRow{}, [][]string{}
	for _, t := range c.HTTP.Token {
		from := "in the configuration"
		switch {
		case t.TokenFile != "":
			from = t.TokenFile
		case t.TokenHash != "":
			from = "its hash in the configuration"
		}
		rows = append(rows, tokenRow{t.Name, t.Scope, t.Department, t.MaskNumbers, from})
		cells = append(cells, []string{plain(t.Name), t.Scope, cmp.Or(plain(t.Department), "all"), strconv.FormatBool(t.MaskNumbers), plain(from)})
	}
	if v.JSON {
		return sh.json(map[string]any{"tokens": rows})
	}
	if len(rows) == 0 {
		fmt.Fprintln(sh.errOut, "There is no token: calljournal token add NAME makes one.")
		return nil
	}
	_, err = fmt.Fprintln(sh.screen(), tableText([]string{"NAME", "SCOPE", "DEPARTMENT", "MASKED", "SECRET"}, cells))
	return err
}

type tokenRevoke struct {
	Name string `arg:"" help:"As calljournal token list shows it."`
}

// Run takes the token's table out of the file, and nothing else. What remains is
// read once as the daemon will, before it takes the place of the old.
func (v tokenRevoke) Run(sh *shell) error {
	c, err := config.Load(sh.config, sh.env)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(sh.config)
	if err != nil {
		return err
	}
	rest, err := config.WithoutToken(text, v.Name)
	if err != nil {
		return fmt.Errorf("%s: %w\nTry: calljournal token list", sh.config, err)
	}
	after, err := config.Parse(sh.config, rest, sh.env)
	if err != nil || len(after.HTTP.Token) != len(c.HTTP.Token)-1 {
		return fmt.Errorf("%s: the token %q cannot be taken out by itself; take its [[http.token]] out by hand, then: calljournal reload", sh.config, v.Name)
	}
	st, err := os.Stat(sh.config)
	if err != nil {
		return err
	}
	if err := wholefile.Write(sh.config, func(f *os.File) error {
		_, err := f.Write(rest)
		return errors.Join(err, sameOwner(f.Name(), st)) // the daemon must be able to read it
	}); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	fmt.Fprintf(sh.out, "The token %q is no longer in %s.\n", v.Name, sh.config)
	for _, t := range c.HTTP.Token {
		if t.Name == v.Name && t.TokenFile != "" {
			fmt.Fprintf(sh.out, "Its file %s is not needed any more.\n", filepath.Clean(t.TokenFile))
		}
	}
	if err := reload(sh); !errors.Is(err, api.ErrNoDaemon) {
		return err
	}
	return nil
}
