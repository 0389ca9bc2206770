package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"calljournal/agent/api"
)

// tagVerb shows or changes the tags of a call.
type tagVerb struct {
	ID     string   `arg:"" help:"As calljournal calls lists it."`
	Tags   []string `arg:"" optional:"" help:"Tags to add; none: show those that there are."`
	Remove []string `help:"Tags to take off; several with commas." placeholder:"TAG"`
	JSON   bool     `name:"json" help:"The call as JSON."`
}

func (v tagVerb) Run(sh *shell) error {
	c, err := sh.client()
	if err != nil {
		return err
	}
	r, err := c.Call(sh.ctx, v.ID)
	if errors.Is(err, api.ErrNotFound) {
		return fmt.Errorf("%w\nTry: calljournal calls", err)
	}
	if err != nil {
		return err
	}
	if len(v.Tags)+len(v.Remove) > 0 {
		tags := slices.DeleteFunc(slices.Clone(r.Tags), func(t string) bool { return slices.Contains(v.Remove, t) })
		if r, err = c.Tag(sh.ctx, v.ID, append(tags, v.Tags...)); err != nil {
			return err
		}
	}
	if v.JSON {
		return sh.json(r)
	}
	if len(r.Tags) == 0 {
		_, err := fmt.Fprintln(sh.errOut, "No tags.")
		return err
	}
	_, err = fmt.Fprintln(sh.out, plain(strings.Join(r.Tags, ", ")))
	return err
}
