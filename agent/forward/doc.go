// Package forward sends the feed on: to a web hook, a message bus, a file, a CRM.
//
// The invariant: the cursor of a forwarder moves only over what the far side has
// said it has, what was set aside as a dead letter, or what its filter does not
// want; and cursor and dead letters are one write. So nothing is lost, and a
// double comes only where an answer was lost, with the same bytes and the same
// idempotency key as the first time. Nobody waits for a forwarder: each follows
// the journal at its own pace, in a goroutine of its own.
//
//	storage.DB ── Feed ──▶ gather ──▶ batch ──▶ deliver ──▶ Sink ──▶ far side
//	    ▲      (Changed)  filter,      its end    │  ▲        webhook, nats, file,
//	    │                 final        is noted   │  │        bitrix24, amocrm
//	    │                                         │  └── back-off, Retry-After ◀─┐
//	    │                                         ▼                              │
//	    └── SetForwarder: cursor, end of batch,  answer ── has it ──▶ next       │
//	        dead letters                          ├── refused ──▶ halve the batch until
//	                                              │               one entry is left; after
//	                                              │               so many tries: dead letter
//	                                              └── anything else ─────────────┘
//
//	Tracker ──▶ live events ──▶ bounded queue for each ──▶ LiveSink     best effort, apart
package forward
