package report

// column is one column of a table on paper.
type column struct {
	head  string
	width float64 // 0: what the others leave
	right bool    // figures stand under each other
	bars  bool    // shows three numbers as a bar
}

// cell is one cell: a text, or the parts of a bar.
type cell struct {
	text string
	face *face // nil: that of tables
	bar  [3]int64
}

const (
	rowHeight  = 13.0
	headLine   = 8.5
	cellSpace  = 5.0
	minColumns = 40.0
)

var (
	faceBody    = face{size: 8, colour: ink}
	faceHead    = face{size: 6.6, colour: dim}
	faceSection = face{size: 11, bold: true, colour: ink}
	faceNote    = face{size: 7, colour: dim}
)

// section is a heading; need is how much of what follows must be on its page.
func (p *paper) section(title string, need float64) {
	p.room(36 + need)
	if p.y > top+6 { // not the first on its page
		p.y += 16
	}
	p.y += 12
	p.text(left, p.y, faceSection, title)
	p.y += 8
}

// table draws rows below their heading, which comes again on every further page
// with the title and "continued".
func (p *paper) table(title, continued string, columns []column, rows [][]cell, note string) {
	rest, flexible := inner, 0
	for _, c := range columns {
		rest -= c.width
		if c.width == 0 {
			flexible++
		}
	}
	widths := make([]float64, len(columns))
	heads, high := make([][]string, len(columns)), 1
	most := int64(1)
	for i, c := range columns {
		if widths[i] = c.width; c.width == 0 {
			widths[i] = max(minColumns, rest/float64(flexible))
		}
		heads[i] = p.wrap(faceHead, c.head, widths[i]-cellSpace+1)
		high = max(high, len(heads[i]))
		for _, r := range rows {
			most = max(most, r[i].bar[0]+r[i].bar[1]+r[i].bar[2])
		}
	}
	headHeight := float64(high)*headLine + 7
	head := func() {
		x := left
		for i, c := range columns {
			for n, l := range heads[i] {
				y := p.y + 7 + float64(high-len(heads[i])+n)*headLine
				if c.right {
					p.textRight(x+widths[i]-cellSpace/2, y, faceHead, l)
				} else {
					p.text(x, y, faceHead, l)
				}
			}
			x += widths[i]
		}
		p.y += headHeight
		p.line(left, p.y-2, right, p.y-2, dim)
	}
	p.section(title, headHeight+rowHeight*float64(min(3, len(rows))))
	head()
	for _, row := range rows {
		if p.room(rowHeight) {
			p.section(title+", "+continued, 0)
			head()
		}
		p.row(columns, widths, row, most)
	}
	if note != "" {
		lines := p.wrap(faceNote, note, inner)
		p.room(float64(len(lines))*9 + 6)
		p.lines(left, p.y+9, 9, faceNote, lines)
		p.y += float64(len(lines))*9 + 2
	}
}

func (p *paper) row(columns []column, widths []float64, row []cell, most int64) {
	x, y := left, p.y+9
	for i, c := range columns {
		f := faceBody
		if row[i].face != nil {
			f = *row[i].face
		}
		w := widths[i] - cellSpace
		switch {
		case c.bars:
			at := x
			for k, part := range []colour{answered, missed, outbound} {
				n := w * float64(row[i].bar[k]) / float64(most)
				p.box(at, p.y+3.2, n, rowHeight-6, part)
				at += n
			}
		case c.right:
			p.textRight(x+widths[i]-cellSpace/2, y, f, p.fit(f, row[i].text, w+cellSpace/2))
		default:
			p.text(x, y, f, p.fit(f, row[i].text, w))
		}
		x += widths[i]
	}
	p.y += rowHeight
	p.line(left, p.y, right, p.y, hairline)
}
