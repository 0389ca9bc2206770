//go:build race

package asterisk

const underRace = true
