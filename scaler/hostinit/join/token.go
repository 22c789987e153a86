package join

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// Token is what the machines of an order join with, until it expires (never,
// if that is zero). It is the same for the whole order, whose machines share
// their user-data, and the same arguments always give the same one.
func (c *CA) Token(order string, expires time.Time) string {
	var seconds int64
	if !expires.IsZero() {
		seconds = expires.Unix()
	}
	claim := strconv.FormatInt(seconds, 10) + " " + order
	return base64.RawURLEncoding.EncodeToString([]byte(claim)) + "." + c.mac("join", claim)
}

// Order returns the order a token was made for; ok is false if it is not ours
// or no longer good.
func (c *CA) Order(token string) (order string, ok bool) {
	text, mac, _ := strings.Cut(token, ".")
	claim, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || !hmac.Equal([]byte(mac), []byte(c.mac("join", string(claim)))) {
		return "", false
	}
	until, order, _ := strings.Cut(string(claim), " ")
	seconds, err := strconv.ParseInt(until, 10, 64)
	if err != nil || seconds != 0 && c.o.Now().Unix() >= seconds {
		return "", false
	}
	return order, true
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
