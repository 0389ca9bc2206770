// Package setup finds the PBX of this machine, proposes how calljournal is to be
// let in, and writes calljournal's own files.
//
// The invariant: looking changes nothing, and nothing is written over that somebody
// else wrote. Of the PBX's files at most one is made, and only where that file is
// nobody else's; everything else is text for the administrator.
//
//	/etc, /var, ports ──▶ Find ──▶ []Found (profile, address, trunks, folders)
//	                                  │  + what the administrator answers
//	                                  ▼
//	                               Propose ──▶ Proposal
//	                                             ├── Config, Secret ──▶ File.Write
//	                                             ├── PBX: lines, where they go, reload
//	                                             └── PBXFile, if it may be written
//
// A Profile is one row of a table: a way in which PBXs are installed. To know one
// more, add a row.
package setup
