// Package mail sends reports on a schedule, and alerts about missed calls.
//
// The invariant: what was mailed is noted, in a file of its own, before anything
// else is mailed to the same address; a mail that may or may not have arrived is
// sent again under the same Message-ID. So nothing is lost, and a double comes
// only where an answer was lost, and can be recognised. Nobody waits for mail:
// each address of each report and alert has a goroutine of its own, a lane, that
// follows the clock or the feed at its own pace.
//
//	schedule ──▶ report ─┐                                    ┌─▶ taken: noted
//	                     ├──▶ letter ──▶ lane ──▶ Server ─────┼─▶ refused (5xx): set aside, noted
//	feed ─────▶ alert  ──┘    what is     │  ▲    STARTTLS or  │
//	     (Changed), after     due now     │  │    TLS, sign-in └─▶ anything else ─┐
//	     the call settled                 │  └── back-off ◀──────────────────────┘
//	                                      ▼          until the letter is too old
//	                                   mail.json
//
// The file lies beside the journal and not in it: that a mail went out stays true
// when the journal is restored from a backup or saved from damage, and a disk that
// the journal waits for is not waited for here.
//
// Names and numbers of callers are hostile: no header is made of anything but
// their printable characters, and the HTML part shows them as text.
package mail
