//go:build unix

package media

import "syscall"

// dontWait opens a pipe without waiting for who writes into it.
const dontWait = syscall.O_NONBLOCK
