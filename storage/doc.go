// Package storage keeps the journal in one bbolt file.
package storage
