package cloud_test

import (
	"regexp"
	"testing"

	"spillway/scaler/cloud"
)

func TestTokenNeverChanges(t *testing.T) {
	// Orders in ledgers were placed with it: another value buys them again.
	const want = "0b3b7ce49a4acf74ac62a85f7a7b678e"
	if got := cloud.Token("prod", "web", 3, "eu-1a", 2, 1); got != want {
		t.Errorf("token is %s, want %s", got, want)
	}
}

func TestTokenDiffersInEveryPart(t *testing.T) {
	tokens := map[string]string{
		"first":   cloud.Token("prod", "web", 3, "a", 2, 1),
		"cluster": cloud.Token("test", "web", 3, "a", 2, 1),
		"pool":    cloud.Token("prod", "api", 3, "a", 2, 1),
		"epoch":   cloud.Token("prod", "web", 4, "a", 2, 1),
		"zone":    cloud.Token("prod", "web", 3, "b", 2, 1),
		"batch":   cloud.Token("prod", "web", 3, "a", 3, 1),
		"attempt": cloud.Token("prod", "web", 3, "a", 2, 2),
		"border":  cloud.Token("prodw", "eb", 3, "a", 2, 1),
		"swapped": cloud.Token("prod", "web", 2, "a", 3, 1),
	}
	seen := map[string]string{}
	for name, token := range tokens {
		if other, ok := seen[token]; ok {
			t.Errorf("%s and %s have one token", name, other)
		}
		seen[token] = name
		if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(token) {
			t.Errorf("%s: token %q is not 32 hexadecimal characters", name, token)
		}
	}
}
