// Package accesslog writes one line for each request, in nginx's formats or
// in JSON, without ever making a loop wait.
//
// A format is compiled once (Compile). A loop renders an Entry into a ring of
// its own (Buffer.Log), which takes no lock and allocates nothing; the
// Logger's one goroutine gathers the rings every 100 ms, or sooner when one
// is half full, and writes to the file with one call. When the file is slower
// than the traffic, or full, whole lines are dropped and counted and requests
// go on.
//
// The package never looks at a request itself: what is logged is what the
// engine put into the Entry. It does not rotate; it reopens when told.
package accesslog

import "time"

// Unknown is the value of a duration that was never measured, such as the
// time to connect when a connection was refused. It is logged as "-".
const Unknown = time.Duration(-1)

// Entry is what is known of one finished request. The loop fills one and
// passes it to Buffer.Log, which keeps no reference to it.
type Entry struct {
	// Time is when the request ended.
	Time time.Time
	// ClientIP is the client's address without port.
	ClientIP []byte
	// Method and Target are as received. For a request that could not be
	// parsed Method is empty and Target the line as far as it arrived.
	Method, Target []byte
	// Minor is the minor version of HTTP/1.
	Minor uint8
	// Host is the effective host, with its port if there was one.
	Host []byte
	// Status is what the client was answered, 499 if it left before.
	Status int
	// BytesSent and BodyBytesSent count what was sent to the client, whole
	// and without heads; RequestBytes what it sent, heads and bodies.
	BytesSent, BodyBytesSent, RequestBytes int64
	// Headers are the values of the request fields in Format.Headers, in that
	// order; nil where the request has no such field.
	Headers [][]byte
	// Route and Upstream are names in the configuration, "" if none matched.
	Route, Upstream string
	// UpstreamAddrs are the servers tried, in order; UpstreamStatus the
	// status each answered, 0 for none.
	UpstreamAddrs  []string
	UpstreamStatus []int
	// ConnectTime, HeaderTime and UpstreamTime are those of the last try: to
	// a connection, to the answer's head, to its last byte. Unknown if it
	// did not come to that.
	ConnectTime, HeaderTime, UpstreamTime time.Duration
	// Earlier has the times of the tries before the last, in order. It may
	// be left empty; they are logged as "-" then.
	Earlier []TryTimes
	// RequestTime is from the first byte read to the last byte written,
	// Overhead the part of it spent in the gateway itself.
	RequestTime, Overhead time.Duration
	// RequestID is the value of X-Request-ID sent upstream, nil if none.
	RequestID []byte
	// Reused says that the last try went over a connection that had served
	// before.
	Reused bool
}

// TryTimes are the times of one try at one server, each Unknown if it did not
// come to that.
type TryTimes struct {
	Connect, Header, Response time.Duration
}
