//go:build !linux

package storage

import "testing"

func smallDisk(t *testing.T, size int64) string {
	t.Helper()
	t.Skipf("mounts a disk of %d bytes only on Linux", size)
	return ""
}
