//go:build !race

package storage

const childrenAreSlow = 1
