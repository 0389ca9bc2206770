// Package access says who may see what of the journal, and keeps who did.
//
// The invariant: a reader whose role is limited gets nothing that the role does
// not cover, in whatever shape it is asked for; and what anybody read of calls is
// written down before the answer begins, without secrets.
//
//	token ──┐
//	        ├──▶ Role ──▶ Sees(record)? ──▶ Mask(answer) ──▶ reader
//	user ───┘                                   │
//	  ▲                                         └──▶ Log: who, when, what
//	Users: names and argon2id hashes
//
// Nothing here knows HTTP: agent/api asks at its one place where calls are read
// (view.go there).
package access
