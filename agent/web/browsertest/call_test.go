package browsertest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"calljournal/agent/call"
)

// One call with everything: how it went, its sound, its message, its fax.
func TestCall(t *testing.T) {
	talk, message, fax := newCall(1, 3*time.Minute), newCall(2, 4*time.Minute), newCall(3, 5*time.Minute)
	f := newOffice(t, officeOptions{more: []*call.Record{talk, withMessage(message), withFax(fax)}})
	f.recorded(talk, 20)
	f.leftMessage(message, 20)
	f.received(fax)
	b := f.visit(t, "manager", "en")

	// From the table to the call, by its time.
	b.open("/")
	b.click("#call-" + strings.NewReplacer(":", "_", ".", "_").Replace(talk.ID) + " .c-began a")
	b.until(`location.pathname === ` + js("/calls/"+talk.ID))

	// Its drawing has every stretch of its time, none without a width, and says in
	// words what it shows.
	b.until(`document.querySelectorAll("#timeline .bar").length > 0`)
	kinds := eval[[]string](b, `[...document.querySelectorAll("#timeline .bar > rect")].filter(r => r.getBoundingClientRect().width >= 1).map(r => r.getAttribute("class"))`)
	for _, kind := range []string{"k-ivr", "k-queue", "k-talk", "k-hold", "k-ring"} {
		if !strings.Contains(strings.Join(kinds, " "), kind) {
			t.Errorf("%s is not in the drawing: %v", kind, kinds)
		}
	}
	if got := eval[bool](b, `[...document.querySelectorAll("#timeline .bar")].every(e => e.querySelector("title").textContent)`); !got {
		t.Error("a bar of the drawing has no words")
	}
	if got := b.count("#legs tbody tr"); got != len(talk.Legs) {
		t.Errorf("%d legs are shown, it has %d", got, len(talk.Legs))
	}
	b.sees("#transfers tbody", "102")
	b.until(`(document.querySelector("#timeline-table summary").focus(), true)`)
	b.press("\r")
	b.until(fmt.Sprintf(`document.querySelector("#timeline-table").open && document.querySelectorAll("#timeline-table tbody tr").length === %d`, len(talk.Timeline)))

	// Its recording goes on and can be sought in, also by the drawing.
	player := `document.querySelector("#recording-0 audio")`
	eval[any](b, player+`.play().then(() => null)`)
	b.plays("#recording-0 audio", 20)
	name, sound := b.downloaded(func() { b.click("#recording-0 a[download]") })
	if !strings.HasSuffix(name, ".wav") || !bytes.Equal(sound, wav(20)) {
		t.Errorf("the recording is saved as %q, %d bytes, want %d", name, len(sound), len(wav(20)))
	}

	// Tags are kept.
	b.fill("#tags-field", "важный, second call")
	b.press("\r")
	b.sees(".summary .tag", "^важный$")
	b.sees(".summary .tag", "^second call$")
	b.until(`location.pathname === ` + js("/calls/"+talk.ID))

	// A message is listened to, a fax saved.
	b.open("/calls/" + message.ID)
	eval[any](b, `document.querySelector("#voicemail audio").play().then(() => null)`)
	b.plays("#voicemail audio", 20)
	b.open("/calls/" + fax.ID)
	name, pages := b.downloaded(func() { b.click("#fax a[download]") })
	if !strings.HasSuffix(name, ".tif") || !bytes.Equal(pages, tiff) {
		t.Errorf("the fax is saved as %q, %d bytes", name, len(pages))
	}

	// The journals of both lead there.
	b.open("/voicemail")
	b.click("#messages a.play")
	b.plays("#player audio", 20)
	b.open("/faxes")
	b.click("#faxes .c-began a")
	b.until(`location.pathname === ` + js("/calls/"+fax.ID))
}

// A report of what is looked at, in each format, and the figures lead to calls.
func TestStatistics_Reports(t *testing.T) {
	f := newOffice(t, officeOptions{calls: 200})
	b := f.visit(t, "manager", "ru")
	b.open("/stats?period=all")
	total := b.text(`[data-figure=calls]`)
	b.click(`a[data-figure=calls]`)
	b.until(`location.pathname === "/"`)
	b.until(`document.querySelector("#sum strong")`)
	if got := b.text("#sum strong"); !strings.Contains(got, total) {
		t.Errorf("statistics say %s calls, the journal behind them %q", total, got)
	}
	b.open("/reports?period=all&direction=inbound")
	for format, begins := range map[string]string{"pdf": "%PDF-", "csv": "\ufeff", "xlsx": "PK"} {
		name, content := b.downloaded(func() {
			b.click(fmt.Sprintf(`#document input[value=%s]`, format))
			b.click("#download")
		})
		if !strings.HasSuffix(name, "."+format) || !bytes.HasPrefix(content, []byte(begins)) {
			t.Errorf("a report as %s is saved as %q and begins %.10q", format, name, content)
		}
	}
}
