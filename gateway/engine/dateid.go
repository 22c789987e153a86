package engine

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"time"
)

// dateCache is the text of a Date field (RFC 9110 5.6.7), made once a second of
// the loop's clock from the wall clock, which may be set meanwhile.
type dateCache struct {
	second int64
	text   []byte
}

func (d *dateCache) at(now int64) []byte {
	if second := now / int64(time.Second); second != d.second || d.text == nil {
		d.second = second
		d.text = time.Now().UTC().AppendFormat(d.text[:0], http.TimeFormat)
	}
	return d.text
}

// idSource makes request ids: 16 hexadecimal digits that are random for the
// loop and count up. They name a request in logs and are no secret.
type idSource struct {
	next uint64
	buf  [16]byte
}

func newIDSource(loop int) idSource {
	var seed [8]byte
	rand.Read(seed[:])
	return idSource{next: binary.BigEndian.Uint64(seed[:]) + uint64(loop)}
}

// id returns the next id; it is valid until the next call.
func (s *idSource) id() []byte {
	s.next++
	// A bijection (SplitMix64), so that ids do not look alike and never repeat.
	z := s.next * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], z)
	hex.Encode(s.buf[:], raw[:])
	return s.buf[:]
}
