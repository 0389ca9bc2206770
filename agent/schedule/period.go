package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// periods are the words for a period, as seen from a moment. A week begins on
// Monday. Those with "this", and today, end with the moment itself.
var periods = []string{"today", "yesterday", "last-7-days", "last-30-days", "this-week", "last-week", "this-month", "last-month", "last-quarter", "last-year"}

// Periods are the words that Period knows.
func Periods() []string { return slices.Clone(periods) }

// Period is what a word means at a moment: days of the zone of at, from the
// beginning of the first one to that of the day after the last.
func Period(word string, at time.Time) (from, to time.Time, err error) {
	y, m, d := at.Date()
	zone := at.Location()
	day := func(y int, m time.Month, d int) time.Time { return At(y, m, d, 0, 0, zone) }
	monday := d - (int(at.Weekday())+6)%7
	quarter := (m-1)/3*3 + 1
	switch word {
	case "today":
		return day(y, m, d), at, nil
	case "yesterday":
		return day(y, m, d-1), day(y, m, d), nil
	case "last-7-days":
		return day(y, m, d-7), day(y, m, d), nil
	case "last-30-days":
		return day(y, m, d-30), day(y, m, d), nil
	case "this-week":
		return day(y, m, monday), at, nil
	case "last-week":
		return day(y, m, monday-7), day(y, m, monday), nil
	case "this-month":
		return day(y, m, 1), at, nil
	case "last-month":
		return day(y, m-1, 1), day(y, m, 1), nil
	case "last-quarter":
		return day(y, quarter-3, 1), day(y, quarter, 1), nil
	case "last-year":
		return day(y-1, time.January, 1), day(y, time.January, 1), nil
	}
	return from, to, fmt.Errorf("%q is no period: want %s", word, strings.Join(periods, ", "))
}
