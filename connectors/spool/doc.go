// Package spool reads the records that a PBX keeps of its calls, from where the
// last reading ended: a file that grows and is rotated, or a folder with a file
// for each call.
//
// The invariant: every record that was written after the Position which is read
// from is given out at least once, as it was written, whatever happened to the
// names of the files meanwhile; half a record at the end waits for its other
// half. A Position is a plain value that its owner keeps, together with what came
// of the records before it.
//
//	Master.csv.2.gz   Master.csv.1   Master.csv             cdr/*.json
//	      │ older than       │ known by      │ from its           │ by the time of
//	      ▼ the Position     ▼ its head      ▼ beginning          ▼ their writing
//	   left alone ──────▶ the rest of it ──▶ and to the end ──▶ records ──▶ Position
//
// A file is known again by the first bytes in it and not by its name or number:
// so a renamed, copied or packed one is the same file, and one that was emptied
// and filled anew is another.
package spool
