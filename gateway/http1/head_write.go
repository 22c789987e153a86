package http1

import "strconv"

// headWriter copies a head and leaves out or replaces lines on the way. Lines
// that pass untouched are not copied one by one: they form a run, which is
// copied when it ends.
type headWriter struct {
	dst, head []byte
	// run is where the run of lines not yet copied starts.
	run uint32
}

// skip copies the run before the line and goes on after the line.
func (w *headWriter) skip(line Span) {
	w.dst = append(w.dst, w.head[w.run:line.Start]...)
	w.run = line.End
}

// flush copies the run up to end.
func (w *headWriter) flush(end int) {
	w.dst = append(w.dst, w.head[w.run:end]...)
	w.run = uint32(end)
}

// name writes the name of f as it was sent, and the colon.
func (w *headWriter) name(f *Field) {
	w.dst = append(w.dst, f.Name.Of(w.head)...)
	w.dst = append(w.dst, ": "...)
}

// bytes replaces the line of f by its name and another value.
func (w *headWriter) bytes(f *Field, value []byte) {
	w.skip(f.Line)
	w.name(f)
	w.dst = append(w.dst, value...)
	w.dst = append(w.dst, "\r\n"...)
}

// number replaces the line of f by its name and a number.
func (w *headWriter) number(f *Field, n int64) {
	w.skip(f.Line)
	w.name(f)
	w.dst = strconv.AppendInt(w.dst, n, 10)
	w.dst = append(w.dst, "\r\n"...)
}

// appendVia appends a Via line for a message received as HTTP/1.minor (RFC 9110
// 7.6.3). It comes after those that are there, and so says the same as a
// list's last element.
func appendVia(dst []byte, minor uint8, pseudonym string) []byte {
	dst = append(dst, "Via: 1."...)
	dst = append(dst, '0'+minor, ' ')
	dst = append(dst, pseudonym...)
	return append(dst, "\r\n"...)
}

// appendLength appends a Content-Length line.
func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, "\r\n"...)
}
