package http1

// Limits bounds what a peer may send. A zero field, and a nil *Limits, mean
// the default.
type Limits struct {
	// RequestLine is the longest request line (or status line) in bytes, its
	// CRLF included. Default 8192, which leaves the 8000 octets RFC 9112 3
	// asks for. A longer one is answered 414.
	RequestLine int
	// HeadBytes is the longest head in bytes, from the first byte of the start
	// line to the empty line. Default 32 KiB. A longer one is answered 431.
	HeadBytes int
	// Fields is the largest number of field lines in a head, and in a trailer
	// section. Default 128. More are answered 431.
	Fields int
	// ChunkExt is the longest chunk extension in bytes, for one chunk; a body
	// may have 64 times as much in all. Default 256.
	ChunkExt int
	// Trailer is the longest trailer section in bytes. Default 8 KiB.
	Trailer int
}

// Defaults of Limits.
const (
	defaultRequestLine = 8192
	defaultHeadBytes   = 32 << 10
	defaultFields      = 128
	defaultChunkExt    = 256
	defaultTrailer     = 8 << 10

	// chunkExtTotal times Limits.ChunkExt bounds the extensions of one body.
	chunkExtTotal = 64
)

// or returns n, or def if n is not set.
func or(n, def int) int {
	if n > 0 {
		return n
	}
	return def
}

// withDefaults returns the limits with every unset field filled in.
func (l *Limits) withDefaults() Limits {
	if l == nil {
		l = &Limits{}
	}
	return Limits{
		RequestLine: or(l.RequestLine, defaultRequestLine),
		HeadBytes:   or(l.HeadBytes, defaultHeadBytes),
		Fields:      or(l.Fields, defaultFields),
		ChunkExt:    or(l.ChunkExt, defaultChunkExt),
		Trailer:     or(l.Trailer, defaultTrailer),
	}
}
