package report

import "math"

// bar is one column of a chart: parts on each other, and a narrow one beside.
type bar struct {
	mark   string // below
	parts  []int64
	beside int64
	pale   bool // a day on which few work
}

// bars draws a chart of the height h with grid lines of even numbers, which count
// writes. Where there is no room for all marks, every second or third is there.
func (p *paper) bars(x, w, h float64, bars []bar, colours []colour, count func(int64) string) {
	most := int64(1)
	for _, b := range bars {
		sum := int64(0)
		for _, n := range b.parts {
			sum += n
		}
		most = max(most, sum, b.beside)
	}
	step := even(most, 4)
	end := (most + step - 1) / step * step
	base := p.y + h
	scale := h / float64(end)
	slot := w / float64(len(bars))
	wide := min(slot*0.82, 26)
	thin := 0.0
	for _, b := range bars {
		if b.beside > 0 {
			thin = wide * 0.3
		}
	}
	for i, b := range bars {
		if b.pale {
			p.box(x+float64(i)*slot, p.y, slot, h, shade)
		}
	}
	f := face{size: 6.5, colour: dim}
	for n := int64(0); n <= end; n += step {
		y := base - float64(n)*scale
		c := hairline
		if n == 0 {
			c = dim
		}
		p.line(x, y, x+w, y, c)
		p.textRight(x-4, y+2.2, f, count(n))
	}
	widest := 0.0
	for _, b := range bars {
		widest = max(widest, p.width(f, b.mark)+3)
	}
	every := max(1, int(math.Ceil(widest/slot)))
	for i, b := range bars {
		at := x + float64(i)*slot + (slot-wide)/2
		y := base
		for k, n := range b.parts {
			part := float64(n) * scale
			y -= part
			p.box(at, y, wide-thin-min(0.4, thin), part, colours[k])
		}
		p.box(at+wide-thin, base-float64(b.beside)*scale, thin, float64(b.beside)*scale, colours[len(b.parts)])
		if i%every == 0 {
			p.textMiddle(x+(float64(i)+0.5)*slot, base+9, f, b.mark)
		}
	}
	p.y = base + 12
}

// even is the distance of grid lines: 1, 2 or 5 times a power of ten.
func even(most, lines int64) int64 {
	step := int64(1)
	for {
		for _, n := range []int64{1, 2, 5} {
			if most <= step*n*lines {
				return step * n
			}
		}
		step *= 10
	}
}

// legend explains colours, from the right end of the line y leftwards.
func (p *paper) legend(y float64, names []string, colours []colour) {
	x := right
	f := face{size: 7, colour: dim}
	for i := len(names) - 1; i >= 0; i-- {
		x -= p.width(f, names[i])
		p.text(x, y, f, names[i])
		p.box(x-9, y-5.2, 6, 6, colours[i])
		x -= 20
	}
}

// heat is the colour of a share of the most: from white to blue.
func heat(n, most int64) colour {
	part := float64(n) / float64(max(1, most))
	mix := func(from, to uint8) uint8 { return uint8(float64(from) + (float64(to)-float64(from))*part) }
	return colour{mix(246, answered[0]), mix(249, answered[1]), mix(252, answered[2])}
}
