package load

import (
	"fmt"
	"strconv"
	"strings"
)

// idWidth is the number of digits that {id} takes.
const idWidth = 16

// template is text with gaps of fixed width for digits.
type template struct {
	text []byte // zeros stand in the gaps
	gaps []gap
}

// gap is a placeholder. below 0 is the id itself, else a number derived from it
// that is smaller.
type gap struct {
	at, width int
	below     uint64
}

// parseTemplate finds the placeholders. Braces that hold something else are
// plain text: JSON bodies are full of them.
func parseTemplate(text string) (template, error) {
	var t template
	for {
		before, rest, found := strings.Cut(text, "{")
		t.text = append(t.text, before...)
		if !found {
			return t, nil
		}
		name, after, closed := strings.Cut(rest, "}")
		g, known, err := parseGap(name)
		switch {
		case err != nil:
			return template{}, err
		case !known || !closed:
			t.text, text = append(t.text, '{'), rest
			continue
		}
		g.at = len(t.text)
		t.text = append(t.text, strings.Repeat("0", g.width)...)
		t.gaps = append(t.gaps, g)
		text = after
	}
}

func parseGap(name string) (g gap, known bool, err error) {
	if name == "id" {
		return gap{width: idWidth}, true, nil
	}
	limit, ok := strings.CutPrefix(name, "random:")
	if !ok {
		return gap{}, false, nil
	}
	n, err := strconv.ParseUint(limit, 10, 63)
	if err != nil || n == 0 {
		return gap{}, true, fmt.Errorf("cannot read placeholder {%s}: want a number above 0", name)
	}
	return gap{width: len(strconv.FormatUint(n-1, 10)), below: n}, true, nil
}

// expandedLen is the length of a text with its placeholders filled.
func expandedLen(text []byte) int {
	t, err := parseTemplate(string(text))
	if err != nil {
		return 0 // the same mistake is found when the whole is parsed
	}
	return len(t.text)
}

// append renders the text for an id.
func (t *template) append(dst []byte, id uint64) []byte {
	start := len(dst)
	dst = append(dst, t.text...)
	for i := range t.gaps {
		g := &t.gaps[i]
		n := id
		if g.below > 0 {
			n = mix64(id) % g.below
		}
		digits := dst[start+g.at : start+g.at+g.width]
		for k := len(digits) - 1; k >= 0; k-- {
			digits[k] = byte('0' + n%10)
			n /= 10
		}
	}
	return dst
}

// mix64 scatters an id over all 64 bits (splitmix64's finaliser), so that a
// random placeholder needs no state and an expected body can repeat it.
func mix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
