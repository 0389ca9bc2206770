// Package sheet writes tables for spreadsheets, as CSV and as XLSX, row by row.
//
// The invariant: what comes from outside is data in every cell. No text becomes a
// formula, a link or another cell, whatever it is made of; and a table of any
// length takes the same memory.
//
//	rows ──▶ Writer ──▶ CSV:  disarmed text ──▶ out, at once
//	                └─▶ XLSX: typed cells ──▶ a temporary file ──▶ Workbook ──▶ zip ──▶ out, with Close
//
// In CSV a text is disarmed by a ' in front (OWASP, CSV injection) if its first
// character that shows is one of = + - @ or a full-width form of these, or if it
// begins with a tab or a line end. A telephone number in international form begins
// with + and so gets the mark too: whoever reads the file by program takes one
// leading ' off. XLSX says of every cell what it is, and needs no such mark.
package sheet
