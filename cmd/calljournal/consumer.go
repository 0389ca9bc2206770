package main

import (
	"errors"
	"fmt"

	"calljournal/agent/api"
)

// consumerVerb is about those who follow the feed; status lists them.
type consumerVerb struct {
	Forget consumerForgetVerb `cmd:"" help:"Forget a consumer of the feed that is gone for good: nothing is kept for it any more."`
}

type consumerForgetVerb struct {
	Name string `arg:"" help:"As status shows it."`
}

func (v consumerForgetVerb) Run(sh *shell) error {
	c, err := sh.client()
	if err != nil {
		return err
	}
	err = c.ForgetConsumer(sh.ctx, v.Name)
	if errors.Is(err, api.ErrNotFound) {
		return fmt.Errorf("there is no consumer %s\nTry: calljournal status", v.Name)
	}
	return err
}
