// Package media finds the sound and fax files of calls in the folders where a PBX
// keeps them, and opens them for whoever may listen.
//
// The invariant: a file is given out only for the call that it belongs to, and
// only if it is a regular file of a known kind inside the configured folder,
// symbolic links followed. What a PBX, or a caller through it, says of a file's
// name decides which file inside the folder is meant and nothing else.
//
//	call.Record                         recordings_dir, voicemail_dir, fax_dir
//	    │                                              │ os.Root: no way out
//	    │  recordings: the name that the events gave, ─┤
//	    │              else the call's id in a name    │  names.go
//	    │  voicemail:  Asterisk: the message whose     │
//	    │              .txt is of this call            │  mailbox.go
//	    │              FreeSWITCH: msg_<uuid>          │
//	    │  fax:        the name that the events gave ──┤
//	    ▼                                              ▼
//	  Look: size, duration, available             *File, to be served
//
// Records are not rewritten when a file comes or goes: what is there is looked at
// when a call is read, so "available" is true of that moment. Folders may be on
// another machine that hangs: a look ends in time whatever the disk does, and the
// calls are then answered without their files.
package media
