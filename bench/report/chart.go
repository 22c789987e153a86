package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// Sizes of charts, in the units of their viewBox.
const (
	chartWidth  = 720.0
	chartHeight = 220.0
	marginLeft  = 64.0
	marginRight = 14.0
	marginTop   = 12.0
	marginFoot  = 30.0
)

// chart is a drawing with a title and a sentence that says how to read it.
type chart struct {
	Title, Caption string
	Legend         []legend
	SVG            template.HTML
}

// legend names a line by the class that colours it.
type legend struct {
	Class, Text string
}

// scale maps values to places in a drawing.
type scale struct {
	low, high float64
	log       bool
	from, to  float64 // places of low and high
	ticks     []tick
}

type tick struct {
	at   float64
	text string
}

func (s *scale) place(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		v, low, high = math.Log10(max(v, s.low)), math.Log10(low), math.Log10(high)
	}
	if high == low {
		return s.from
	}
	share := min(max((v-low)/(high-low), 0), 1)
	return s.from + share*(s.to-s.from)
}

// linear is a vertical scale from 0 to a round number above top.
func linear(top float64, name func(float64) string) *scale {
	step := niceStep(max(top, 1e-9) / 4)
	s := &scale{high: step * math.Ceil(top/step), from: chartHeight - marginFoot, to: marginTop}
	s.high = max(s.high, step)
	for v := 0.0; v <= s.high*1.0001; v += step {
		s.ticks = append(s.ticks, tick{v, name(v)})
	}
	return s
}

// decades is a vertical logarithmic scale around low and high.
func decades(low, high float64) *scale {
	low = math.Pow(10, math.Floor(math.Log10(max(low, 1))))
	high = math.Pow(10, math.Ceil(math.Log10(max(high, low*1.01))))
	s := &scale{low: low, high: high, log: true, from: chartHeight - marginFoot, to: marginTop}
	for v := low; v <= high*1.01; v *= 10 {
		s.ticks = append(s.ticks, tick{v, Micros(v)})
	}
	return s
}

// niceStep rounds up to 1, 2 or 5 times a power of ten.
func niceStep(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*unit {
			return m * unit
		}
	}
	return 10 * unit
}

// drawing collects the elements of a chart.
type drawing struct {
	b     strings.Builder
	x, y  *scale
	notes [][2]float64 // where texts of events begin and end, in the order they were drawn
	rows  []int        // the row of each
	texts strings.Builder
}

func newDrawing(label string, x, y *scale) *drawing {
	d := &drawing{x: x, y: y}
	fmt.Fprintf(&d.b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, chartWidth, chartHeight, template.HTMLEscapeString(label))
	for _, t := range y.ticks {
		at := y.place(t.at)
		fmt.Fprintf(&d.b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/>`, marginLeft, chartWidth-marginRight, at, at)
		fmt.Fprintf(&d.b, `<text class="tick" x="%g" y="%.1f" text-anchor="end">%s</text>`, marginLeft-6, at+4, t.text)
	}
	for _, t := range x.ticks {
		at, anchor := x.place(t.at), "middle"
		if at > chartWidth-2*marginRight {
			at, anchor = chartWidth-2, "end" // or it would be cut off
		}
		fmt.Fprintf(&d.b, `<text class="tick" x="%.1f" y="%g" text-anchor="%s">%s</text>`, at, chartHeight-8, anchor, t.text)
	}
	return d
}

// line draws points, and breaks where a value is missing (NaN).
func (d *drawing) line(class string, xs, ys []float64) {
	var path strings.Builder
	pen := "M"
	for i, x := range xs {
		if math.IsNaN(ys[i]) {
			pen = "M"
			continue
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, d.x.place(x), d.y.place(ys[i]))
		pen = "L"
	}
	fmt.Fprintf(&d.b, `<path class="line %s" d="%s"/>`, class, path.String())
	if len(xs) == 1 {
		fmt.Fprintf(&d.b, `<circle class="dot %s" cx="%.1f" cy="%.1f" r="3"/>`, class, d.x.place(xs[0]), d.y.place(ys[0]))
	}
}

// Sizes of the texts of events.
const (
	noteLetter = 6.2 // about the width of a letter
	noteRow    = 12.0
	noteGap    = 4.0
)

// mark draws an event over the whole height. Its text goes into the first row in
// which it covers no other one.
func (d *drawing) mark(at float64, text string) {
	place := d.x.place(at)
	from, to, anchor := place+noteGap, place+noteGap+noteLetter*float64(len(text)), "start"
	x := from
	if to > chartWidth-marginRight {
		from, to, anchor = place-noteGap-noteLetter*float64(len(text)), place-noteGap, "end"
		x = to
	}
	row := d.freeRow(from, to)
	d.notes, d.rows = append(d.notes, [2]float64{from, to}), append(d.rows, row)
	fmt.Fprintf(&d.b, `<line class="event" x1="%.1f" x2="%.1f" y1="%g" y2="%g"/>`, place, place, marginTop, chartHeight-marginFoot)
	fmt.Fprintf(&d.texts, `<text class="note" x="%.1f" y="%g" text-anchor="%s">%s</text>`, x, marginTop+9+noteRow*float64(row), anchor, template.HTMLEscapeString(text))
}

// freeRow is the first row without a text between two places.
func (d *drawing) freeRow(from, to float64) (row int) {
	for i := 0; i < len(d.notes); {
		if d.rows[i] == row && d.notes[i][0] < to+noteGap && from < d.notes[i][1]+noteGap {
			row, i = row+1, 0
			continue
		}
		i++
	}
	return row
}

// end returns the drawing. All text in it was escaped when it was added.
func (d *drawing) end() template.HTML {
	d.b.WriteString(d.texts.String()) // last, so that no line crosses them
	d.b.WriteString("</svg>")
	return template.HTML(d.b.String())
}
