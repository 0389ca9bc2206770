package packaging

import _ "embed" // for the files below

// Unit is the systemd unit. Its program and configuration are those of the
// packages: UnitProgram and UnitConfig are where they stand in it.
//
//go:embed calljournal.service
var Unit string

// CollectUnit is the same for the centre.
//
//go:embed calljournal-collect.service
var CollectUnit string

// What Unit and CollectUnit say in ExecStart.
const (
	UnitProgram   = "/usr/bin/calljournal"
	UnitConfig    = "/etc/calljournal/calljournal.toml"
	CollectConfig = "/etc/calljournal/collect.toml"
)

// Example is the configuration that shows every key.
//
//go:embed calljournal.toml
var Example string

// CollectExample is the same for `calljournal collect`.
//
//go:embed collect.toml
var CollectExample string

// What lets calljournal in: a user of Asterisk's manager interface, and one of
// FreeSWITCH's directory, each with no more rights than the rules need. The manual
// shows the same; `calljournal setup` puts user, secret and address in.
//
//go:embed pbx/asterisk.conf
var AsteriskUser string

//go:embed pbx/freeswitch.xml
var FreeSWITCHUser string

// FreeSWITCHSocket is what event_socket.conf.xml must say, so that a user of the
// directory comes as far as the sign-in.
//
//go:embed pbx/event_socket.xml
var FreeSWITCHSocket string

// What stands in AsteriskUser and FreeSWITCHUser for what each installation has of
// its own.
const (
	ExampleUser   = "calljournal"
	ExampleSecret = "a-long-random-secret"
	ExamplePermit = "127.0.0.1/255.255.255.255"
)
