package packaging

import _ "embed" // for the files below

// Unit is the systemd unit. Its program and configuration are those of the
// packages: UnitProgram and UnitConfig are where they stand in it.
//
//go:embed calljournal.service
var Unit string

// What Unit says in ExecStart.
const (
	UnitProgram = "/usr/bin/calljournal"
	UnitConfig  = "/etc/calljournal/calljournal.toml"
)

// Example is the configuration that shows every key.
//
//go:embed calljournal.toml
var Example string

// CollectExample is the same for `calljournal collect`.
//
//go:embed collect.toml
var CollectExample string
