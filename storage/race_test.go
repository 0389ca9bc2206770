//go:build race

package storage

// Children of a test run several times slower under the race detector, which finds
// nothing in them that it does not find elsewhere.
const childrenAreSlow = 3
