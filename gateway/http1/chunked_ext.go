package http1

// stepExt takes one byte of a chunk extension (RFC 9112 7.1.1).
func (d *Chunked) stepExt(c byte, lim *Limits) fault {
	d.ext++
	d.extTotal++
	if d.ext > lim.ChunkExt || d.extTotal > lim.ChunkExt*chunkExtTotal {
		return faultChunkExtLong
	}
	next, ok := d.state.afterExt(c)
	if !ok {
		return faultChunkExt
	}
	d.state = next
	return faultNone
}

// afterExt returns the state after the byte c of an extension.
func (s chunkState) afterExt(c byte) (next chunkState, ok bool) {
	space := c == ' ' || c == '\t'
	token := class[c]&classToken != 0
	switch s {
	case atExtGap:
		return gapThen(c, atExtGap, false)
	case atExtNameStart:
		return pick(space, atExtNameStart, atExtName), space || token
	case atExtName:
		if token {
			return atExtName, true
		}
		return partEnd(c, atExtNameGap, true)
	case atExtNameGap:
		return gapThen(c, atExtNameGap, true)
	case atExtValueStart:
		if c == '"' {
			return atExtQuoted, true
		}
		return pick(space, atExtValueStart, atExtValue), space || token
	case atExtValue:
		if token {
			return atExtValue, true
		}
		return partEnd(c, atExtGap, false)
	case atExtQuoted:
		return afterQuoted(c), class[c]&classText != 0
	case atExtEscaped:
		return atExtQuoted, class[c]&classText != 0
	default: // atExtQuoteEnd
		return partEnd(c, atExtGap, false)
	}
}

// partEnd returns the state after the byte c that ends a name or value.
func partEnd(c byte, gap chunkState, name bool) (chunkState, bool) {
	if c == '\r' {
		return atSizeLF, true
	}
	return gapThen(c, gap, name)
}

// gapThen returns the state after a byte c that is whitespace or what may
// follow it: a semicolon and, after a name, an equals sign. Whitespace before
// the CRLF is not in the grammar.
func gapThen(c byte, gap chunkState, name bool) (chunkState, bool) {
	switch {
	case c == ' ' || c == '\t':
		return gap, true
	case c == ';':
		return atExtNameStart, true
	case c == '=' && name:
		return atExtValueStart, true
	default:
		return gap, false
	}
}

// afterQuoted returns the state after the byte c of a quoted string.
func afterQuoted(c byte) chunkState {
	switch c {
	case '"':
		return atExtQuoteEnd
	case '\\':
		return atExtEscaped
	default:
		return atExtQuoted
	}
}

func pick(cond bool, yes, no chunkState) chunkState {
	if cond {
		return yes
	}
	return no
}
