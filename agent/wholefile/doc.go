// Package wholefile writes files that are read when everything else has failed:
// who may sign in, what was mailed, the configuration, a backup.
//
// The invariant: under the name of the file stands at any moment either what stood
// there before or all of what was to be written, whenever the machine stops; and
// after Write has returned without an error, the latter, on disk.
//
//	fill ──▶ .NAME.123 beside it, 0600 ──▶ fsync ──▶ rename to NAME ──▶ fsync of the folder
//	  └── error ──▶ removed, NAME is as it was
package wholefile
