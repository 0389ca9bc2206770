// Package config reads calljournal.toml: it parses strictly, fills in defaults,
// fetches secrets from where they lie, and refuses what cannot work.
//
// The invariant: a *Config that Load has returned is whole. Every name is unique,
// every pattern compiles, every secret is there, and nobody after Load has to ask
// again. What is wrong is said with file, line, column and key, all of it at once.
//
//	calljournal.toml ──▶ decode (strict) ──▶ defaults ──▶ validate ──▶ *Config
//	                        │                                │
//	                        └── unknown key, wrong type      └── impossible value
//	                                     └───────┬───────────────┘
//	                                             ▼
//	                         *Error{File, []Problem{Line, Column, Key, Text}}
package config
