package report

import (
	"fmt"
	"testing"
)

func TestTextsOfEventsDoNotCoverEachOther(t *testing.T) {
	d := newDrawing("", &scale{high: 100, from: marginLeft, to: chartWidth - marginRight}, linear(1, func(float64) string { return "" }))
	for i, at := range []float64{10, 11, 12, 50, 51, 90, 99, 100, 10} {
		d.mark(at, fmt.Sprintf("event number %d", i))
	}
	for i, a := range d.notes {
		if a[0] < 0 || a[1] > chartWidth {
			t.Errorf("text %d lies from %.0f to %.0f, outside of the drawing", i, a[0], a[1])
		}
		for k, b := range d.notes[:i] {
			if d.rows[i] == d.rows[k] && a[0] < b[1] && b[0] < a[1] {
				t.Errorf("texts %d and %d cover each other in row %d: %v %v", k, i, d.rows[i], a, b)
			}
		}
	}
	if d.rows[0] != 0 || d.rows[3] != 0 {
		t.Errorf("rows %v: a text that covers nothing belongs into the first", d.rows)
	}
}
