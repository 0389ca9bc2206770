package doctor

import "golang.org/x/sys/unix"

// clockSynced asks the kernel (adjtimex(2)).
func clockSynced() (bool, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, err
}
