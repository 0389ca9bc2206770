// Package report makes the report of a period: one document with the figures of
// the calls, charts, tables and the callers who wait, as PDF, CSV or XLSX, in
// Russian or English.
//
// The invariant: a report says nothing but what its Source gave it, which is what
// its reader may see; it names the entry of the feed at which it was counted, and
// the formula of every figure. Whatever calls are named, every page stays whole:
// texts from outside are cut, cleaned and drawn as text.
//
//	Request ──▶ gather ──▶ content ──┬──▶ pdf: paper (fonts, boxes, tables, bars) ──▶ Document
//	              │ ▲                ├──▶ xlsx: a sheet for each table ─────────────▶
//	              ▼ │ rows, callers  └──▶ csv: one table for programs ──────────────▶
//	            Source (the journal, through a view)        ▲
//	                                                        └── words (Russian, English)
//
// Charts are drawn with the PDF's own lines and boxes, not as pictures of a chart
// library (go-analyze/charts makes PNG): they are as sharp in print as the text, in
// its font, the hours of the day stand exactly over those of the week, their
// numbers can be searched and copied, and a report of a month is 45 KB.
package report
