package join

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// Token is what the machines of an order join with. It is the same for the
// whole order, whose machines share their user-data, and can be made again at
// any time.
func (c *CA) Token(order string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(order)) + "." + c.mac("join", order)
}

// Order returns the order a token was made for; ok is false if it is not ours.
func (c *CA) Order(token string) (order string, ok bool) {
	text, mac, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || !hmac.Equal([]byte(mac), []byte(c.mac("join", string(raw)))) {
		return "", false
	}
	return string(raw), true
}

// secretOf is what a machine that has joined proves itself with.
func (c *CA) secretOf(machine string) string { return c.mac("machine", machine) }

// mac binds a text to its purpose, so that a token is never good as a secret.
func (c *CA) mac(purpose, text string) string {
	h := hmac.New(sha256.New, c.secret)
	h.Write([]byte(purpose + "\x00" + text))
	return hex.EncodeToString(h.Sum(nil)[:20])
}

// masked is a token as logs may show it: enough to find the order, too little
// to join with.
func masked(token string) string {
	text, mac, _ := strings.Cut(token, ".")
	if len(text) > 64 {
		text = text[:64]
	}
	return text + "." + mac[:min(4, len(mac))] + "..."
}
