package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// What is said of the command line outside the program (the manual page, the
// completions of the shells) is made from the command line's own model, so that
// it cannot say anything else than --help.

type completionVerb struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (v completionVerb) Run(sh *shell) error {
	script := map[string]func(io.Writer, *kong.Application){"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
	return written(sh.out, func(w io.Writer) { script[v.Shell](w, sh.model) })
}

// manualVerb prints calljournal(8) for the packages.
type manualVerb struct{}

func (manualVerb) Run(sh *shell) error {
	return written(sh.out, func(w io.Writer) { manual(w, sh.model) })
}

// written collects what f prints and writes it at once.
func written(to io.Writer, f func(io.Writer)) error {
	var b strings.Builder
	f(&b)
	_, err := io.WriteString(to, b.String())
	return err
}

// place is one point of the command line: a verb, or a verb of a verb.
type place struct {
	path  string // " service install"; "" is the program itself
	verbs []*kong.Node
	flags []*kong.Flag // its own and those of the places above it
	words []*kong.Positional
}

// places are all of them, outermost first.
func places(app *kong.Application) (all []place) {
	var walk func(n *kong.Node, path string)
	walk = func(n *kong.Node, path string) {
		p := place{path: path, words: n.Positional}
		for _, group := range n.AllFlags(true) {
			p.flags = append(p.flags, group...)
		}
		for _, c := range n.Children {
			if !c.Hidden && c.Type == kong.CommandNode {
				p.verbs = append(p.verbs, c)
			}
		}
		all = append(all, p)
		for _, c := range p.verbs {
			walk(c, path+" "+c.Name)
		}
	}
	walk(app.Node, "")
	return all
}

// choices are the values that a flag or an argument can have; nil is any.
func choices(v *kong.Value) (values []string) {
	for _, e := range v.EnumSlice() {
		if e != "" {
			values = append(values, e)
		}
	}
	return values
}

// first is the sentence of a help text that fits on a line.
func first(help string) string {
	sentence, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(sentence, ".")
}

// known are the shell patterns of all paths, so that a completion finds the
// place in which a line stands and leaves out values of flags.
func known(all []place) string {
	patterns := make([]string, 0, len(all))
	for _, p := range all[1:] {
		patterns = append(patterns, fmt.Sprintf("%q", p.path))
	}
	return strings.Join(patterns, "|")
}

func bashCompletion(w io.Writer, app *kong.Application) {
	all := places(app)
	fmt.Fprintf(w, `# bash completion of calljournal: calljournal completion bash
_calljournal() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at= i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case "$at ${COMP_WORDS[i]}" in
		%s) at="$at ${COMP_WORDS[i]}" ;;
		esac
	done
	COMPREPLY=()
	case "$at $prev" in
`, known(all))
	for _, p := range all {
		for _, f := range p.flags {
			if c := choices(f.Value); c != nil {
				fmt.Fprintf(w, "\t%q) COMPREPLY=($(compgen -W %q -- \"$cur\")); return ;;\n", p.path+" --"+f.Name, strings.Join(c, " "))
			} else if !f.IsBool() && !f.IsCounter() {
				fmt.Fprintf(w, "\t%q) compopt -o default; return ;;\n", p.path+" --"+f.Name)
			}
		}
	}
	fmt.Fprint(w, "\tesac\n\tcase \"$at\" in\n")
	for _, p := range all {
		fmt.Fprintf(w, "\t%q) COMPREPLY=($(compgen -W %q -- \"$cur\")) ;;\n", p.path, strings.Join(words(p), " "))
	}
	fmt.Fprint(w, "\tesac\n\t((${#COMPREPLY[@]})) || compopt -o default\n}\ncomplete -F _calljournal calljournal\n")
}

// words are all that can stand next at a place.
func words(p place) (out []string) {
	for _, c := range p.verbs {
		out = append(out, c.Name)
	}
	for _, a := range p.words {
		out = append(out, choices(a)...)
	}
	for _, f := range p.flags {
		out = append(out, "--"+f.Name)
	}
	return out
}

func zshCompletion(w io.Writer, app *kong.Application) {
	all := places(app)
	// In single quotes; a colon parts a word from what it means.
	entry := func(word, help string) string {
		return "'" + strings.NewReplacer("'", `'\''`, ":", `\:`).Replace(word) + ":" + strings.ReplaceAll(first(help), "'", `'\''`) + "'"
	}
	fmt.Fprintf(w, `#compdef calljournal
# zsh completion of calljournal: calljournal completion zsh
_calljournal() {
	local at= word
	local -a next
	for word in "${(@)words[2,CURRENT-1]}"; do
		case "$at $word" in
		%s) at="$at $word" ;;
		esac
	done
	case "$at ${words[CURRENT-1]}" in
`, known(all))
	for _, p := range all {
		for _, f := range p.flags {
			if c := choices(f.Value); c != nil {
				fmt.Fprintf(w, "\t%q) compadd -- %s; return ;;\n", p.path+" --"+f.Name, strings.Join(c, " "))
			} else if !f.IsBool() && !f.IsCounter() {
				fmt.Fprintf(w, "\t%q) _files; return ;;\n", p.path+" --"+f.Name)
			}
		}
	}
	fmt.Fprint(w, "\tesac\n\tcase \"$at\" in\n")
	for _, p := range all {
		fmt.Fprintf(w, "\t%q) next=(", p.path)
		for _, c := range p.verbs {
			fmt.Fprint(w, " ", entry(c.Name, c.Help))
		}
		for _, a := range p.words {
			for _, c := range choices(a) {
				fmt.Fprint(w, " ", entry(c, ""))
			}
		}
		for _, f := range p.flags {
			fmt.Fprint(w, " ", entry("--"+f.Name, f.Help))
		}
		fmt.Fprint(w, " ) ;;\n")
	}
	fmt.Fprint(w, "\tesac\n\t_describe calljournal next || _files\n}\n_calljournal \"$@\"\n")
}

func fishCompletion(w io.Writer, app *kong.Application) {
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'" }
	fmt.Fprint(w, "# fish completion of calljournal: calljournal completion fish\n")
	for _, p := range places(app) {
		// The place is reached when its words were said and none of the next.
		condition := "__fish_use_subcommand"
		if p.path != "" {
			said := strings.Fields(p.path)
			conditions := make([]string, 0, len(said)+1)
			for _, s := range said {
				conditions = append(conditions, "__fish_seen_subcommand_from "+s)
			}
			if len(p.verbs) > 0 {
				not := "not __fish_seen_subcommand_from"
				for _, c := range p.verbs {
					not += " " + c.Name
				}
				conditions = append(conditions, not)
			}
			condition = strings.Join(conditions, "; and ")
		}
		for _, c := range p.verbs {
			fmt.Fprintf(w, "complete -c calljournal -f -n %s -a %s -d %s\n", quote(condition), c.Name, quote(first(c.Help)))
		}
		for _, a := range p.words {
			if c := choices(a); c != nil {
				fmt.Fprintf(w, "complete -c calljournal -f -n %s -a %s\n", quote(condition), quote(strings.Join(c, " ")))
			}
		}
		for _, f := range p.flags {
			fmt.Fprintf(w, "complete -c calljournal -n %s -l %s -d %s", quote(condition), f.Name, quote(first(f.Help)))
			if c := choices(f.Value); c != nil {
				fmt.Fprintf(w, " -x -a %s", quote(strings.Join(c, " ")))
			} else if !f.IsBool() && !f.IsCounter() {
				fmt.Fprint(w, " -r")
			}
			fmt.Fprintln(w)
		}
	}
}

// roff makes a text safe for troff: no word of ours is a command of its.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

func manual(w io.Writer, app *kong.Application) {
	fmt.Fprintf(w, `.TH CALLJOURNAL 8 "" "calljournal" "System Administration"
.SH NAME
calljournal \- one honest record for every call of an Asterisk or FreeSWITCH PBX
.SH SYNOPSIS
.B calljournal
.I command
.RI [ flags ]
.SH DESCRIPTION
%s
.SH COMMANDS
`, strings.ReplaceAll(roff(app.Help), "\n\n", "\n.PP\n"))
	own := map[*kong.Flag]bool{}
	for _, f := range app.Flags {
		own[f] = true
	}
	for _, p := range places(app) {
		node := nodeAt(app, p.path)
		if p.path == "" || len(p.verbs) > 0 && len(node.Flags) == 0 {
			continue
		}
		fmt.Fprintf(w, ".SS \"calljournal%s", roff(p.path))
		for _, a := range p.words {
			fmt.Fprint(w, " ", roff(a.Summary()))
		}
		fmt.Fprintf(w, "\"\n%s\n", roff(node.Help))
		if node.Detail != "" {
			fmt.Fprintf(w, ".PP\n%s\n", roff(node.Detail))
		}
		for _, a := range p.words {
			if a.Help != "" {
				fmt.Fprintf(w, ".TP\n.I %s\n%s\n", roff(a.Summary()), roff(a.Help))
			}
		}
		flagsOf(w, slices.DeleteFunc(slices.Clone(p.flags), func(f *kong.Flag) bool { return own[f] }))
	}
	fmt.Fprint(w, ".SH FLAGS OF ALL COMMANDS\n")
	flagsOf(w, app.Flags)
	fmt.Fprint(w, `.SH EXIT STATUS
0 well; 1 failed; 2 wrong usage or configuration; 3 no daemon there; 4 degraded.
.SH FILES
.TP
.I /etc/calljournal/calljournal.toml
The configuration. The packaged one shows every key.
.TP
.I /etc/calljournal/collect.toml
The same for the centre.
.TP
.I /etc/calljournal/*.secret, *.token
Secrets, for root alone; the service is given them by systemd.
.TP
.I /var/lib/calljournal/journal.db
The journal.
.TP
.I /run/calljournal/control.sock
Where the commands find the daemon.
`)
}

func flagsOf(w io.Writer, flags []*kong.Flag) {
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		fmt.Fprintf(w, ".TP\n.B %s", roff("--"+f.Name))
		if f.Short != 0 {
			fmt.Fprintf(w, `, \-%c`, f.Short)
		}
		if !f.IsBool() && !f.IsCounter() {
			fmt.Fprintf(w, " %s", roff(f.FormatPlaceHolder()))
		}
		fmt.Fprintf(w, "\n%s\n", roff(f.Help))
	}
}

func nodeAt(app *kong.Application, path string) *kong.Node {
	n := app.Node
	for _, name := range strings.Fields(path) {
		n = n.Children[slices.IndexFunc(n.Children, func(c *kong.Node) bool { return c.Name == name })]
	}
	return n
}
