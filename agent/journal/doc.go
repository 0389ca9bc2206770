// Package journal is what the company knows about its calls beyond what the PBX
// said: whose extension rang, which line was called, how a number is written
// for the whole world.
//
// The invariant: it is pure. The same record and the same Directory give the
// same result, no clock is read and nothing is asked for; and what is not
// certain stays null.
//
//	                        employees, lines, country
//	                                  │
//	                                  ▼
//	Tracker ──▶ call.Record ──▶ Directory.Enrich ──▶ the same Record, with names ──▶ store
package journal
