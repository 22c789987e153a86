package http1

// Chunked decodes the chunked transfer coding (RFC 9112 7.1) piece by piece.
// It keeps no body data and allocates nothing. The zero value is ready.
//
//	          +--------------------- CRLF ---------------------+
//	          v                                                |
//	size --> [extension] --> CRLF --+-- size > 0 --> data -----+
//	                                |
//	                                +-- size = 0 --> trailer lines --> CRLF: done
//
// Extensions are checked, bounded and dropped: they end at this hop (RFC 9112
// 7.1.1). Every line ends with CRLF; nothing else is taken for an end of line.
type Chunked struct {
	// Trailer receives the trailer field lines that may be forwarded, each
	// with its CRLF. The caller supplies the capacity; the slice never grows:
	// if the lines do not fit, all are dropped.
	Trailer []byte

	state chunkState
	// fault is what is wrong, found behind data that was returned first.
	fault fault
	// digits are those of the size being read, size what it is so far or what
	// is left of the chunk's data.
	digits uint8
	size   int64
	// ext and extTotal count the bytes of extensions, of the last chunk that has
	// some and of the body; trailer and lines those of the trailer section.
	ext, extTotal  int
	trailer, lines int
	// lineStart is where the current line starts in Trailer.
	lineStart int
	// overflow: the trailer section does not fit in Trailer.
	overflow bool
}

// chunkState is what the decoder expects next.
type chunkState uint8

const (
	atSize chunkState = iota // a digit of the size, or what ends it
	// Extensions: ;name=value, with whitespace around both signs.
	atExtGap       // whitespace after a size or value: more of it, or ";"
	atExtNameStart // after ";"
	atExtName
	atExtNameGap // whitespace after a name
	atExtValueStart
	atExtValue
	atExtQuoted
	atExtEscaped  // after a backslash in a quoted string
	atExtQuoteEnd // after the closing quote
	atSizeLF
	atData
	atDataCR
	atDataLF
	atTrailerStart // a trailer line, or the last CRLF
	atTrailerName
	atTrailerValue
	atTrailerLF
	atLastLF
	atEnd
)

// Reset makes the decoder ready for another body. It keeps the capacity of
// Trailer.
func (d *Chunked) Reset() { *d = Chunked{Trailer: d.Trailer[:0]} }

// Next consumes bytes from the start of b. It returns the next run of body
// data (a sub-slice of b, possibly empty), the number n of bytes consumed,
// framing included, and done once the trailer section has ended. Call it again
// with the bytes after the first n until done. The error is always an *Error,
// of status 400, or 431 for an oversized trailer section, whichever side sent
// the body; data found before the fault are returned first, and after the
// error every call returns it.
func (d *Chunked) Next(b []byte, lim *Limits) (data []byte, n int, done bool, err error) {
	l := lim.withDefaults()
	for n < len(b) && d.state != atEnd && d.fault == faultNone {
		if d.state != atData {
			if d.fault = d.step(b[n], &l); d.fault == faultNone {
				n++
			}
			continue
		}
		if len(data) > 0 {
			return data, n, false, nil
		}
		data = b[n:]
		if int64(len(data)) >= d.size {
			data = data[:d.size]
			d.state = atDataCR
		}
		d.size -= int64(len(data))
		n += len(data)
	}
	if d.fault != faultNone && len(data) == 0 {
		return nil, n, false, &requestErrors[d.fault]
	}
	return data, n, d.state == atEnd, nil
}

// Left is how many bytes of data are announced and still to come in the
// current chunk.
func (d *Chunked) Left() int64 {
	if d.state != atData {
		return 0
	}
	return d.size
}

// step takes one byte of framing.
func (d *Chunked) step(c byte, lim *Limits) fault {
	switch {
	case d.state == atSize:
		return d.stepSize(c)
	case d.state <= atExtQuoteEnd:
		return d.stepExt(c, lim)
	case d.state >= atTrailerStart:
		return d.stepTrailer(c, lim)
	}
	switch d.state {
	case atDataCR:
		d.state = atDataLF
		return expect(c, '\r')
	case atDataLF:
		d.state, d.digits = atSize, 0
		return expect(c, '\n')
	default: // atSizeLF
		if c != '\n' {
			return faultBareCR
		}
		d.state = atData
		if d.size == 0 {
			d.state = atTrailerStart
		}
		return faultNone
	}
}

func expect(c, want byte) fault {
	if c != want {
		return faultChunkEnd
	}
	return faultNone
}

// maxChunk bounds a chunk's size, with room to add to it.
const maxChunk = 1 << 62

// stepSize takes a digit of the size or what ends it.
func (d *Chunked) stepSize(c byte) fault {
	if class[c]&classHex != 0 {
		if d.digits == 16 || d.size > maxChunk>>4 {
			return faultChunkSize
		}
		d.digits++
		d.size = d.size<<4 | int64(hexValue(c))
		return faultNone
	}
	if d.digits == 0 || d.size > maxChunk {
		return faultChunkSize
	}
	switch c {
	case '\r':
		d.state = atSizeLF
	case ';', ' ', '\t':
		d.ext, d.extTotal = 1, d.extTotal+1
		d.state = pick(c == ';', atExtNameStart, atExtGap)
	default:
		return faultChunkSize
	}
	return faultNone
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
