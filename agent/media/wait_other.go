//go:build !unix

package media

const dontWait = 0
