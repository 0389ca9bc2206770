//go:build !race

package asterisk

const underRace = false
