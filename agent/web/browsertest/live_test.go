package browsertest

import (
	"slices"
	"strings"
	"testing"

	"calljournal/connectors/replay"
)

// A call on the board from its first ring to its end: nobody asks the page for it.
func TestLive_Call(t *testing.T) {
	f := newOffice(t, officeOptions{played: []*replay.Recording{recording(t, "ivr_queue")}, speed: 0.7})
	b := f.visit(t, "manager", "en")
	b.open("/live")
	b.sees("#live-calls", "^0$")
	// What is only short to be seen is noted when it is.
	eval[any](b, `(() => {
		window.same = true;
		window.states = ["gone"];
		const look = () => {
			const c = document.querySelector("[data-call]"), state = c ? c.dataset.state : "gone";
			if (states.at(-1) !== state) states.push(state);
			if (c) window.said = c.innerText;
		};
		new MutationObserver(look).observe(document.body, {childList: true, subtree: true, attributes: true});
		return null;
	})()`)
	f.play()
	b.sees("[data-call]", "79161052001")
	b.until(`document.querySelector("[data-call] [data-count]").textContent !== "0:00"`) // its clock goes on
	b.until(`states.includes("talk")`)
	b.sees("#live-talking", "^1$")
	b.sees("[data-call] .what", "103")
	b.until(`states.at(-1) === "gone"`)
	b.sees("#live-calls", "^0$")
	got := eval[[]string](b, "states")
	at := -1
	for _, state := range []string{"ivr", "queue", "talk"} {
		i := slices.Index(got, state)
		if i <= at {
			t.Errorf("%s did not come after the state before: %s", state, strings.Join(got, ", "))
		}
		at = max(at, i)
	}
	if !eval[bool](b, "window.same === true") {
		t.Error("the page was loaded again")
	}
}
