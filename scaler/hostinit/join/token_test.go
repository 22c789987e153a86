package join

import (
	"strings"
	"testing"
	"time"
)

func TestTokensNameTheirOrderAndNothingElseDoes(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	ca, other := newTestCA(t, func() time.Time { return now }), newTestCA(t, nil)
	good := ca.Token("web-3-1", now.Add(time.Minute))
	claim, mac, _ := strings.Cut(good, ".")
	otherClaim, _, _ := strings.Cut(ca.Token("web-3-2", now.Add(time.Minute)), ".")
	tests := []struct {
		name, token, want string
		ok                bool
	}{
		{"good", good, "web-3-1", true},
		{"without end", ca.Token("a b", time.Time{}), "a b", true},
		{"of now", ca.Token("web-3-1", now), "", false},
		{"of another authority", other.Token("web-3-1", time.Time{}), "", false},
		{"another order's claim", otherClaim + "." + mac, "", false},
		{"no mac", claim + ".", "", false},
		{"claim alone", claim, "", false},
		{"a secret", claim + "." + ca.secretOf("0 web-3-1"), "", false},
		{"empty", "", "", false},
		{"no base64", "!." + mac, "", false},
	}
	for _, tt := range tests {
		if order, ok := ca.Order(tt.token); ok != tt.ok || order != tt.want {
			t.Errorf("%s: %q, %v", tt.name, order, ok)
		}
	}
	if again := ca.Token("web-3-1", now.Add(time.Minute)); again != good {
		t.Error("the same order has two tokens")
	}
}

func TestMaskedTokensAdmitNobody(t *testing.T) {
	ca := newTestCA(t, nil)
	token := ca.Token("web-3-1", time.Time{})
	for _, text := range []string{token, "", ".", "x", strings.Repeat("y", 500)} {
		got := masked(text)
		if len(got) > 80 || text != "" && strings.Contains(got, text) && len(text) > 5 {
			t.Errorf("%q is shown as %q", text, got)
		}
		if _, ok := ca.Order(strings.TrimSuffix(got, "...")); ok {
			t.Errorf("%q admits", got)
		}
	}
}

func FuzzOrder(f *testing.F) {
	ca := &CA{secret: []byte("secret"), o: CAOptions{Now: func() time.Time { return time.Unix(0, 0) }}}
	f.Add(ca.Token("web", time.Time{}))
	f.Add("MCB3ZWI.00")
	f.Fuzz(func(t *testing.T, token string) {
		if order, ok := ca.Order(token); ok && ca.Token(order, time.Time{}) != token {
			t.Errorf("%q admits as order %q and is not its token", token, order)
		}
		masked(token)
	})
}
