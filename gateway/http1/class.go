package http1

// What a byte may be part of. A byte's class is the sum of these.
const (
	classToken = 1 << iota // a token (RFC 9110 5.6.2)
	classHost              // a registered name, but for percent and comma (RFC 3986 3.2.2)
	classHex               // a hexadecimal digit
	classText              // a field value (RFC 9110 5.5)
)

// Short names, for the table only: t token, h host, x hex, v text.
const (
	__   = 0
	hv   = classHost | classText
	thv  = classToken | classHost | classText
	thxv = classToken | classHost | classHex | classText
	tv   = classToken | classText
	v    = classText
)

// class gives the classes of each byte. A comma is a sub-delim that RFC 3986
// allows in a registered name; it is left out, since a Host with a comma is
// read as a list by others.
var class = [256]uint8{
	__, __, __, __, __, __, __, __, __, v, __, __, __, __, __, __, // 00
	__, __, __, __, __, __, __, __, __, __, __, __, __, __, __, __, // 10
	v, thv, v, tv, thv, tv, thv, thv, hv, hv, thv, thv, v, thv, thv, v, // 20
	thxv, thxv, thxv, thxv, thxv, thxv, thxv, thxv, thxv, thxv, v, hv, v, hv, v, v, // 30
	v, thxv, thxv, thxv, thxv, thxv, thxv, thv, thv, thv, thv, thv, thv, thv, thv, thv, // 40
	thv, thv, thv, thv, thv, thv, thv, thv, thv, thv, thv, v, v, v, tv, thv, // 50
	tv, thxv, thxv, thxv, thxv, thxv, thxv, thv, thv, thv, thv, thv, thv, thv, thv, thv, // 60
	thv, thv, thv, thv, thv, thv, thv, thv, thv, thv, thv, v, tv, v, thv, __, // 70
	v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, // 80
	v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, // 90
	v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, // a0
	v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, // b0
	v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, // c0
	v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, // d0
	v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, // e0
	v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, // f0
}
