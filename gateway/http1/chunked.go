package http1

// Chunked decodes the chunked transfer coding (RFC 9112 7.1) piece by piece.
// It keeps no body data and allocates nothing. The zero value is ready.
type Chunked struct {
	// Trailer receives the trailer field lines that may be forwarded, each
	// with its CRLF. The caller supplies the capacity; the slice never grows:
	// if the lines do not fit, all are dropped.
	Trailer []byte
}

// Reset makes the decoder ready for another body. It keeps the capacity of
// Trailer.
func (d *Chunked) Reset() { *d = Chunked{Trailer: d.Trailer[:0]} }

// Next consumes bytes from the start of b. It returns the next run of body
// data (a sub-slice of b, possibly empty), the number n of bytes consumed,
// framing included, and done once the trailer section has ended. Bytes of b
// after the first n are not read; call again with them while done is false.
// The error is always an *Error of status 400; after it the decoder is stuck.
func (d *Chunked) Next(b []byte, lim *Limits) (data []byte, n int, done bool, err error) {
	return nil, 0, false, nil
}
