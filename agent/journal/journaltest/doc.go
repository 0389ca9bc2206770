// Package journaltest makes journals of any size for tests and benchmarks: the
// records that the trackers of a company's PBXs would give, in the order in which
// they would give them.
//
// The invariant: the same Options give the same records, to the last byte, on
// any machine; and every record keeps to the definitions of CONTRACT.md, so that
// its times add up.
//
//	Options ──▶ day curve ──▶ who calls whom ──▶ how it goes ──▶ records in order of their end
//	                              ▲                  │
//	                              └── calls back, ◀──┘ missed
//	                                  tries again
//
// The mix is that of a small call centre: most calls in working hours, a few
// numbers that call often, nearly a third of the inbound ones missed, of which
// many are called back or call again, ring groups, queues, menus, transfers,
// mailboxes, faxes, and callers who withhold their number. With Hostile, some
// names and numbers are what attackers send.
package journaltest
