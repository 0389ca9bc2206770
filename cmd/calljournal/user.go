package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"calljournal/agent/access"
	"calljournal/agent/api"

	"github.com/charmbracelet/x/term"
)

// userVerb is about who signs in with a name and a password. A password is never
// on the command line, where everybody on the machine could see it.
type userVerb struct {
	Add      userAddVerb      `cmd:"" help:"Make a user; the password is asked for, or read from standard input."`
	List     userListVerb     `cmd:"" help:"List the users and what they may see."`
	Password userPasswordVerb `cmd:"" help:"Give a user another password."`
	Remove   userRemoveVerb   `cmd:"" help:"Take a user away."`
}

type userAddVerb struct {
	Name        string `arg:"" help:"The name to sign in with."`
	Scope       string `help:"journal (calls) or admin (everything)." enum:"journal,admin" default:"journal"`
	Department  string `help:"Only calls in which this department has a part." placeholder:"NAME"`
	MaskNumbers bool   `help:"Numbers are shown as +7495***0101."`
}

func (v userAddVerb) Run(sh *shell) error {
	role := access.Role{Scope: v.Scope, Department: v.Department, MaskNumbers: v.MaskNumbers}
	if err := role.Check(); err != nil {
		return &exitError{exitUsage, err.Error()}
	}
	password, err := sh.newPassword()
	if err != nil {
		return err
	}
	if err := sh.changeUser(v.Name, "is made", func(c *api.Client) error { return c.AddUser(sh.ctx, v.Name, role, password) }); err != nil {
		return err
	}
	if v.Department != "" {
		sh.warnOfDepartment(v.Department)
	}
	return nil
}

// warnOfDepartment says so if nobody is in a department. It is no error: who is in it may
// be written down later.
func (sh *shell) warnOfDepartment(name string) {
	c, err := sh.client()
	if err != nil {
		return // the user is made: an error here would say that he is not
	}
	known, err := c.Directory(sh.ctx)
	if err == nil && !slices.Contains(known.Departments, name) {
		fmt.Fprintf(sh.errOut, "There is no [[employee]] in the department %q: this user sees no call.\n", name)
	}
}

type userListVerb struct {
	JSON bool `name:"json" help:"As JSON: the same as GET /v1/users."`
}

func (v userListVerb) Run(sh *shell) error {
	c, err := sh.client()
	if err != nil {
		return err
	}
	page, err := c.Users(sh.ctx)
	if err != nil {
		return err
	}
	if v.JSON {
		return sh.json(page)
	}
	if len(page.Users) == 0 {
		_, err := fmt.Fprintln(sh.errOut, "No users.")
		return err
	}
	zone, rows := sh.zone(), [][]string{}
	for _, u := range page.Users {
		rows = append(rows, []string{plain(u.Name), sees(u.Role), timeIn(zone, u.MadeAt), timeIn(zone, u.ChangedAt)})
	}
	_, err = fmt.Fprintln(sh.screen(), tableText([]string{"NAME", "SEES", "MADE", "PASSWORD OF"}, rows))
	return err
}

// sees is a role in words.
func sees(r access.Role) string {
	text := map[string]string{access.ScopeAdmin: "everything", access.ScopeJournal: "all calls", access.ScopeSync: "the feed"}[r.Scope]
	if r.Department != "" {
		text = "calls of " + short(r.Department, 30)
	}
	if r.MaskNumbers {
		text += ", numbers masked"
	}
	return text
}

type userPasswordVerb struct {
	Name string `arg:"" help:"Whose."`
}

func (v userPasswordVerb) Run(sh *shell) error {
	password, err := sh.newPassword()
	if err != nil {
		return err
	}
	return sh.changeUser(v.Name, "has the new password", func(c *api.Client) error { return c.SetPassword(sh.ctx, v.Name, password) })
}

type userRemoveVerb struct {
	Name string `arg:"" help:"Who."`
}

func (v userRemoveVerb) Run(sh *shell) error {
	return sh.changeUser(v.Name, "is gone", func(c *api.Client) error { return c.RemoveUser(sh.ctx, v.Name) })
}

// changeUser has the daemon change a user, and says what became of that user.
func (sh *shell) changeUser(name, became string, change func(*api.Client) error) error {
	c, err := sh.client()
	if err != nil {
		return err
	}
	if err := change(c); err != nil {
		return err
	}
	_, err = fmt.Fprintf(sh.errOut, "User %s %s.\n", plain(name), became)
	return err
}

// newPassword asks for a password twice where somebody can type it, and else
// takes the first line of standard input.
func (sh *shell) newPassword() (string, error) {
	if !term.IsTerminal(os.Stdin.Fd()) {
		line, err := bufio.NewReader(io.LimitReader(os.Stdin, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return "", &exitError{exitUsage, "there is no password on standard input"}
		}
		return line, nil
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprint(sh.errOut, prompt)
		defer fmt.Fprintln(sh.errOut)
		b, err := term.ReadPassword(os.Stdin.Fd())
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return string(b), nil
	}
	first, err := ask("Password: ")
	if err != nil {
		return "", err
	}
	second, err := ask("Again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two are not the same: nothing was changed")
	}
	return first, nil
}
