package call

// Glimpse is a call that something was just said about.
type Glimpse struct {
	Call *Record // as Live gives it, or as it ended
	Live bool    // false: it is over, or was found to be part of another call
}

// Watch makes the Tracker remember from now on, or no more, which calls the facts
// are about.
func (t *Tracker) Watch(on bool) {
	if !on {
		t.touched = nil
	} else if t.touched == nil {
		t.touched = map[*held]struct{}{}
	}
}

// Touched gives the calls that facts were about since it was asked last, oldest
// first, as they look at now. Nothing is remembered without Watch.
func (t *Tracker) Touched(now Moment) (out []Glimpse) {
	for c := range t.touched {
		delete(t.touched, c)
		_, known := t.calls[c]
		live, at := known && c.up > 0, Moment(0)
		if live {
			at = now
		}
		if r, _ := conclude(t.opts, c, at); r != nil {
			out = append(out, Glimpse{r, live})
		}
	}
	sortCalls(out, func(g Glimpse) *Record { return g.Call })
	return out
}

func (t *Tracker) touch(c *held) {
	if t.touched != nil {
		t.touched[c] = struct{}{}
	}
}
