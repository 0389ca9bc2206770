//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// sameOwner gives a file that is to take the place of another its owner and mode.
func sameOwner(path string, was fs.FileInfo) error {
	if st, ok := was.Sys().(*syscall.Stat_t); ok {
		if err := os.Chown(path, int(st.Uid), int(st.Gid)); err != nil {
			return fmt.Errorf("give it the owner of what was there: %w", err)
		}
	}
	return os.Chmod(path, was.Mode().Perm())
}
