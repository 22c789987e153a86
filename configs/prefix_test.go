package configs

import "testing"

func TestParsePrefix(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.2.3/8":          "10.0.0.0/8",
		"10.1.2.3":            "10.1.2.3/32",
		"2001:db8::1":         "2001:db8::1/128",
		"2001:db8::1/32":      "2001:db8::/32",
		"::ffff:10.0.0.1":     "10.0.0.1/32",
		"::ffff:10.0.0.1/104": "10.0.0.0/8",
	} {
		if p, ok := parsePrefix(text); !ok || p.String() != want {
			t.Errorf("%s: got %v, %v, want %s", text, p, ok, want)
		}
	}
	for _, text := range []string{"", "10.0.0.0/33", "a", "fe80::1%eth0"} {
		if p, ok := parsePrefix(text); ok {
			t.Errorf("%q is taken as %v", text, p)
		}
	}
}
