package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"calljournal/agent/call"
)

// maxKey bounds a number as it is kept: what is longer no network carries.
const maxKey = 48

// OutsideNumber is the number that the company talks with in a call, written so
// that the ways in which it can be written are equal: E.164, else its digits,
// else "=" and the text as it is. "" if there is none, or it is withheld.
func OutsideNumber(r *call.Record) string {
	var p *call.Party
	switch r.Direction {
	case call.Inbound:
		p = &r.From
	case call.Outbound:
		p = &r.To
	default:
		return ""
	}
	if p.E164 != nil && *p.E164 != "" && len(*p.E164) <= maxNumber {
		return *p.E164
	}
	if p.Number == nil {
		return ""
	}
	return plainNumber(*p.Number)
}

func plainNumber(number string) string {
	if Withheld(number) {
		return ""
	}
	if len(number) <= maxNumber && !strings.ContainsFunc(number, notOfANumber) {
		digits := strings.Map(digit, number)
		if strings.Trim(digits, "0") == "" {
			return ""
		}
		return digits
	}
	text := "=" + number
	if len(text) > maxKey {
		sum := sha256.Sum256([]byte(number))
		text = "=" + hex.EncodeToString(sum[:16])
	}
	return text
}

// Withheld: there is no number, but one of the words that PBXs and networks put in
// its place.
func Withheld(number string) bool {
	switch strings.ToLower(strings.TrimSpace(number)) {
	case "", "anonymous", "unknown", "unavailable", "restricted", "private", "withheld", "blocked", "asterisk", "<unknown>":
		return true
	}
	return false
}

func digit(r rune) rune {
	if r >= '0' && r <= '9' {
		return r
	}
	return -1
}

// historyOf is the key of the history that a call belongs to. A call without an
// outside number is a history of its own: nobody can be called back, and nobody
// can be said to have called before.
func historyOf(r *call.Record) string {
	if n := OutsideNumber(r); n != "" {
		return n
	}
	id := "?" + r.ID
	if len(id) > maxKey {
		sum := sha256.Sum256([]byte(r.ID))
		id = "?" + hex.EncodeToString(sum[:16])
	}
	return id
}

func numbered(history string) bool { return !strings.HasPrefix(history, "?") }
