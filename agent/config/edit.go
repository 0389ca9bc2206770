package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/pelletier/go-toml/v2/unstable"
)

// WithoutToken is the text of a configuration with one [[http.token]] taken out:
// its table, and the lines of comment right above it. Nothing else is touched.
// A byte order mark is not kept.
// The result must be parsed before it is trusted.
func WithoutToken(data []byte, name string) ([]byte, error) {
	data, problem := plainText(data)
	if problem != nil {
		return nil, errors.New(problem.Text)
	}
	var table, first int // its number, and the line of its header
	found := false
	c, read := readTOML(data, Config{})
	if len(read.problems) > 0 {
		return nil, &Error{Problems: read.problems}
	}
	places := read.places
	for i, t := range c.HTTP.Token {
		if t.Name == name {
			table, found = i, true
		}
	}
	if !found {
		return nil, fmt.Errorf("there is no [[http.token]] with the name %q", name)
	}
	at, ok := places[fmt.Sprintf("http.token[%d]", table)]
	if !ok || at.kind != unstable.ArrayTable {
		return nil, fmt.Errorf("the token %q does not stand in a table [[http.token]] of its own: take it out by hand", name)
	}
	first = at.line
	// The table ends where the next one begins: keys in between are its own.
	lines := bytes.SplitAfter(data, []byte("\n"))
	end := len(lines) + 1
	for key, p := range places {
		if p.line > first && p.line < end && isHeader(lines[p.line-1]) && key != "" {
			end = p.line
		}
	}
	comment := func(n int) bool { return bytes.HasPrefix(bytes.TrimSpace(lines[n-1]), []byte("#")) }
	// Comments right above a header belong to it, above the next one to that.
	for first > 1 && comment(first-1) {
		first--
	}
	for end <= len(lines) && end-1 > at.line && comment(end-1) {
		end--
	}
	return bytes.Join(slices.Concat(lines[:first-1], lines[end-1:]), nil), nil
}

func isHeader(line []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(line), []byte("[")) }
