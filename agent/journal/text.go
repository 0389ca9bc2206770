package journal

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// days writes a length of time as people set it.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == day:
		return "24 hours"
	case d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

const (
	maxTags     = 32
	maxTagRunes = 64
)

// Tags are tags as they are kept: without space around them, each once, in the
// order given.
func Tags(tags []string) ([]string, error) {
	kept := []string{}
	for _, tag := range tags {
		tag = strings.TrimSpace(tag)
		switch {
		case tag == "" || utf8.RuneCountInString(tag) > maxTagRunes:
			return nil, fmt.Errorf("%.80q: want 1 to %d letters", tag, maxTagRunes)
		case !utf8.ValidString(tag) || strings.ContainsFunc(tag, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }):
			return nil, fmt.Errorf("%.80q: no control characters", tag)
		}
		if !slices.Contains(kept, tag) {
			kept = append(kept, tag)
		}
	}
	if len(kept) > maxTags {
		return nil, fmt.Errorf("there are %d, at most %d are kept", len(kept), maxTags)
	}
	return kept, nil
}
