package report

import (
	"embed"
	"fmt"
	"strings"
	"unicode"

	"github.com/signintech/gopdf"
	"golang.org/x/text/unicode/norm"
)

// The fonts are parts of Noto Sans SemiCondensed 2.004, which may be embedded and
// has no reserved name (fonts/OFL.txt): Latin, Greek and Cyrillic letters,
// punctuation and currency signs, without hints, made with pyftsubset of fonttools.
// Their licence goes into the program with them.
//
//go:embed fonts
var fonts embed.FS

const family = "NotoSansSemiCondensed-"

// A4, in points of 1/72 inch, from the upper left corner.
const (
	paperWidth  = 595.28
	paperHeight = 841.89
	left        = 42.0
	right       = paperWidth - left
	top         = 42.0
	bottom      = paperHeight - 50 // the foot is below
	inner       = right - left
)

// colour is red, green, blue.
type colour [3]uint8

var (
	ink      = colour{31, 41, 51}
	dim      = colour{104, 115, 126}
	hairline = colour{222, 227, 232}
	shade    = colour{245, 247, 249}
	good     = colour{32, 120, 80}
	bad      = colour{190, 48, 48}
	white    = colour{255, 255, 255}
	answered = colour{52, 115, 171}
	missed   = colour{212, 84, 79}
	outbound = colour{163, 180, 196}
	faint    = colour{132, 142, 152}
)

// face is how a text looks.
type face struct {
	size float64
	bold bool
	colour
}

// paper is a document that is drawn page by page. Its first error stays, and
// nothing is drawn after it.
type paper struct {
	pdf    *gopdf.GoPdf
	y      float64 // of what is drawn next
	onPage func()  // draws what stands at the top of every page but the first
	err    error
}

func newPaper() *paper {
	p := &paper{pdf: &gopdf.GoPdf{}}
	p.pdf.Start(gopdf.Config{PageSize: *gopdf.PageSizeA4})
	for _, weight := range []string{"Regular", "SemiBold"} {
		data, err := fonts.ReadFile("fonts/" + weight + ".ttf")
		p.keep(err)
		p.keep(p.pdf.AddTTFFontData(family+weight, data))
	}
	p.page()
	return p
}

func (p *paper) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}

// page begins a new page.
func (p *paper) page() {
	if p.err != nil {
		return
	}
	p.pdf.AddPage()
	p.y = top
	if p.onPage != nil {
		p.onPage()
	}
}

// room begins a new page if less than h is left on this one.
func (p *paper) room(h float64) bool {
	if p.y+h <= bottom {
		return false
	}
	p.page()
	return true
}

func (p *paper) font(f face) {
	weight := "Regular"
	if f.bold {
		weight = "SemiBold"
	}
	p.keep(p.pdf.SetFont(family+weight, "", f.size))
	p.pdf.SetTextColor(f.colour[0], f.colour[1], f.colour[2])
}

// text writes on the baseline y and gives how wide it is.
func (p *paper) text(x, y float64, f face, text string) float64 {
	if p.err != nil || text == "" {
		return 0
	}
	p.font(f)
	p.pdf.SetXY(x, y)
	p.keep(p.pdf.Text(text))
	return p.pdf.GetX() - x
}

// textRight ends at x.
func (p *paper) textRight(x, y float64, f face, text string) {
	p.text(x-p.width(f, text), y, f, text)
}

// textMiddle has its middle at x.
func (p *paper) textMiddle(x, y float64, f face, text string) {
	p.text(x-p.width(f, text)/2, y, f, text)
}

func (p *paper) width(f face, text string) float64 {
	if p.err != nil || text == "" {
		return 0
	}
	p.font(f)
	w, err := p.pdf.MeasureTextWidth(text)
	p.keep(err)
	return w
}

// box fills a rectangle.
func (p *paper) box(x, y, w, h float64, c colour) {
	if p.err != nil || w <= 0 || h <= 0 {
		return
	}
	p.pdf.SetFillColor(c[0], c[1], c[2])
	p.pdf.RectFromUpperLeftWithStyle(x, y, w, h, "F")
}

// line draws a thin line.
func (p *paper) line(x1, y1, x2, y2 float64, c colour) {
	if p.err != nil {
		return
	}
	p.pdf.SetLineWidth(0.5)
	p.pdf.SetStrokeColor(c[0], c[1], c[2])
	p.pdf.Line(x1, y1, x2, y2)
}

// triangle points up or down, in the place of a letter of that size.
func (p *paper) triangle(x, y, size float64, up bool, c colour) {
	if p.err != nil {
		return
	}
	a, b := y, y-size
	if !up {
		a, b = b, a
	}
	p.pdf.SetFillColor(c[0], c[1], c[2])
	p.pdf.Polygon([]gopdf.Point{{X: x, Y: a}, {X: x + size, Y: a}, {X: x + size/2, Y: b}}, "F")
}

// maxPrinted is how many letters of a text are looked at: no line is longer.
const maxPrinted = 300

// printed makes a text from outside fit for print: in one line, without marks of
// writing direction and control characters, and with one � for what the font
// does not have.
func (p *paper) printed(s string) string {
	if p.err != nil {
		return ""
	}
	p.font(face{size: 8})
	var out strings.Builder
	n, last := 0, rune(0)
	if len(s) > 4*maxPrinted {
		s = s[:4*maxPrinted]
	}
	for _, r := range norm.NFC.String(strings.ToValidUTF8(s, "\ufffd")) { // the font has no marks, but letters with them
		switch has, err := p.pdf.IsCurrFontContainGlyph(r); {
		case r == '\t' || r == '\n' || r == '\r' || unicode.IsSpace(r) && r != '\u00a0' && r != '\u202f':
			r = ' '
		case unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Mn, r) && !has:
			continue
		case unicode.IsControl(r) || err != nil || !has:
			r = unicode.ReplacementChar
		}
		if r == last && (r == ' ' || r == unicode.ReplacementChar) {
			continue
		}
		last = r
		out.WriteRune(r)
		if n++; n == maxPrinted {
			break
		}
	}
	if text := strings.TrimSpace(out.String()); text != "" {
		return text
	}
	return none
}

// fit cuts a text to a width; … tells it.
func (p *paper) fit(f face, text string, width float64) string {
	if p.width(f, text) <= width {
		return text
	}
	letters := []rune(text)
	few, many := 0, len(letters) // how many fit, how many do not
	for few+1 < many {
		n := (few + many) / 2
		if p.width(f, string(letters[:n])+"…") <= width {
			few = n
		} else {
			many = n
		}
	}
	return strings.TrimRight(string(letters[:few]), " ") + "…"
}

// wrap breaks a text into lines: at blanks, at soft hyphens, and within a word
// that is wider than a line.
func (p *paper) wrap(f face, text string, width float64) (lines []string) {
	line := ""
	add := func(word, space string) {
		if p.width(f, plainHyphens(line+space+word)) <= width {
			line += space + word
			return
		}
		parts := strings.Split(word, "\u00ad")
		for i, part := range parts {
			hyphen := "-"
			if i == len(parts)-1 {
				hyphen = ""
			}
			if line != "" && p.width(f, line+space+part+hyphen) <= width {
				line += space + part
				space = ""
				continue
			}
			if line != "" {
				if i > 0 {
					line += "-"
				}
				lines = append(lines, line)
			}
			for p.err == nil && p.width(f, part) > width {
				cut := []rune(part)
				n := len(cut)
				for n > 1 && p.width(f, string(cut[:n])) > width {
					n--
				}
				if n == len(cut) {
					break
				}
				lines = append(lines, string(cut[:n]))
				part = string(cut[n:])
			}
			line, space = part, ""
		}
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' }) {
		space := " "
		if line == "" {
			space = ""
		}
		add(word, space)
	}
	if line != "" {
		lines = append(lines, line)
	}
	for i := range lines {
		lines[i] = plainHyphens(lines[i])
	}
	return lines
}

// plainHyphens takes out the soft hyphens where no line ends.
func plainHyphens(s string) string { return strings.ReplaceAll(s, "\u00ad", "") }

// lines writes lines one below the other from the baseline y on.
func (p *paper) lines(x, y, leading float64, f face, lines []string) {
	for i, l := range lines {
		p.text(x, y+float64(i)*leading, f, l)
	}
}

// number puts "page 2 / 7" and foot below every page. (Without the word before
// them, programs that take text out of a PDF read 2/7.)
func (p *paper) number(word, foot string) {
	f := face{size: 7, colour: dim}
	pages := p.pdf.GetNumberOfPages()
	for n := 1; n <= pages && p.err == nil; n++ {
		p.keep(p.pdf.SetPage(n))
		p.line(left, bottom+14, right, bottom+14, hairline)
		p.text(left, bottom+25, f, p.fit(f, foot, inner-50))
		p.textRight(right, bottom+25, f, fmt.Sprintf("%s %d / %d", word, n, pages))
	}
}

// bytes is the document.
func (p *paper) bytes() ([]byte, error) {
	if p.err != nil {
		return nil, p.err
	}
	return p.pdf.GetBytesPdfReturnErr()
}
