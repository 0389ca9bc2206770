package storage

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// DiskFree is the space that is left to us on the disk of dir, -1 if unknown.
func DiskFree(dir string) int64 {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return -1
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return -1
	}
	return int64(free)
}

func isDiskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// lockFile has nothing to do: a file that is open here cannot be replaced there.
func lockFile(*os.File) error { return nil }

// unlockFile has nothing to do: closing the file gives up its lock.
func unlockFile(*os.File) error { return nil }
