package http1

import "strconv"

// Error says why a message was refused. Values are shared and must not be
// changed.
type Error struct {
	// Status is the status code to answer the client with: 400, 414, 417,
	// 431, 501 or 505 for a request, always 502 for a response.
	Status int
	// Reason says what is wrong, for logs and counters.
	Reason string
}

// Error returns the status and the reason.
func (e *Error) Error() string { return strconv.Itoa(e.Status) + " " + e.Reason }

// fault is what is wrong with a message; 0 is nothing.
type fault uint8

const (
	faultNone fault = iota
	faultBareCR
	faultBareLF
	faultControl
	faultSpaceBeforeColon
	faultFold
	faultEmptyName
	faultName
	faultNoColon
	faultMethod
	faultMethodLong
	faultTargetLong
	faultTarget
	faultFragment
	faultAsterisk
	faultAuthority
	faultRequestLine
	faultVersion
	faultMajor
	faultStatusLine
	faultHeadLong
	faultFields
	faultHostMissing
	faultHostTwice
	faultHost
	faultLengthTwice
	faultLength
	faultBothLengths
	faultCoding
	faultCodingUnknown
	faultCoding10
	faultOption
	faultOptions
	faultExpect
	faultMaxForwards
	faultChunkSize
	faultChunkExt
	faultChunkExtLong
	faultChunkEnd
	faultTrailerLong
	faultCount // how many there are
)

// requestErrors is the answer to each fault in a request.
var requestErrors = [faultCount]Error{
	faultBareCR:           {400, "CR without LF"},
	faultBareLF:           {400, "LF without CR"},
	faultControl:          {400, "control byte in a field"},
	faultSpaceBeforeColon: {400, "whitespace before the colon of a field"},
	faultFold:             {400, "whitespace before a field name or folded line"},
	faultEmptyName:        {400, "empty field name"},
	faultName:             {400, "invalid field name"},
	faultNoColon:          {400, "field line without a colon"},
	faultMethod:           {400, "invalid method"},
	faultMethodLong:       {501, "method too long"},
	faultTargetLong:       {414, "request line too long"},
	faultTarget:           {400, "invalid request target"},
	faultFragment:         {400, "fragment in the request target"},
	faultAsterisk:         {400, "target * for a method other than OPTIONS"},
	faultAuthority:        {400, "invalid authority in the request target"},
	faultRequestLine:      {400, "malformed request line"},
	faultVersion:          {400, "malformed HTTP version"},
	faultMajor:            {505, "HTTP version not supported"},
	faultStatusLine:       {400, "malformed status line"},
	faultHeadLong:         {431, "head too long"},
	faultFields:           {431, "too many fields"},
	faultHostMissing:      {400, "missing Host"},
	faultHostTwice:        {400, "repeated Host"},
	faultHost:             {400, "invalid Host"},
	faultLengthTwice:      {400, "repeated Content-Length"},
	faultLength:           {400, "invalid Content-Length"},
	faultBothLengths:      {400, "both Content-Length and Transfer-Encoding"},
	faultCoding:           {400, "invalid Transfer-Encoding"},
	faultCodingUnknown:    {501, "unknown transfer coding"},
	faultCoding10:         {400, "Transfer-Encoding in HTTP/1.0"},
	faultOption:           {400, "invalid connection option"},
	faultOptions:          {431, "too many connection options"},
	faultExpect:           {417, "unknown expectation"},
	faultMaxForwards:      {400, "invalid Max-Forwards"},
	faultChunkSize:        {400, "invalid chunk size"},
	faultChunkExt:         {400, "invalid chunk extension"},
	faultChunkExtLong:     {400, "chunk extensions too long"},
	faultChunkEnd:         {400, "chunk data not followed by CRLF"},
	faultTrailerLong:      {431, "trailer section too long"},
}

// responseErrors has the same reasons; the answer is always 502.
var responseErrors = badGateway(requestErrors)

func badGateway(errs [faultCount]Error) [faultCount]Error {
	for i := range errs {
		errs[i].Status = 502
	}
	return errs
}
