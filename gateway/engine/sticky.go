package engine

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"spillway/gateway/http1"
	"spillway/gateway/upstream"
)

// sticky is one loop's side of the cookie that keeps a client with its server.
// The cookie names the server by a keyed hash of its address: it tells nobody
// the address, and without the key nobody makes one for a server of his
// choice. Nothing is remembered of clients, so gateways with one key
// understand each other's cookies.
type sticky struct {
	set     upstream.Sticky
	tail    []byte // of the header field, behind the name of the server
	servers map[stickyID]*upstream.Server
	ids     map[*upstream.Server]stickyID
}

// stickyID is what a cookie names a server by: hexadecimal digits.
type stickyID [16]byte

// newSticky returns nil for settings without a cookie.
func newSticky(set upstream.Sticky) *sticky {
	if set.Cookie == "" {
		return nil
	}
	tail := "; Path=/; HttpOnly; SameSite=Lax\r\n"
	if set.TTL > 0 {
		tail = "; Max-Age=" + strconv.FormatInt(int64(set.TTL/time.Second), 10) + tail
	}
	return &sticky{set: set, tail: []byte(tail)}
}

// update names the primaries of a snapshot. A backup has no name: nobody
// stays with it.
func (s *sticky) update(snap *upstream.Snapshot) {
	s.servers = make(map[stickyID]*upstream.Server, len(snap.Entries))
	s.ids = make(map[*upstream.Server]stickyID, len(snap.Entries))
	for i := range snap.Entries {
		if e := &snap.Entries[i]; !e.Spec.Backup {
			id := s.id(e.Addr)
			s.servers[id], s.ids[e.Server] = e.Server, id
		}
	}
}

func (s *sticky) id(addr string) (id stickyID) {
	mac := hmac.New(sha256.New, []byte(s.set.Key))
	mac.Write([]byte(addr))
	hex.Encode(id[:], mac.Sum(nil)[:len(id)/2])
	return id
}

// server is the one that the request's cookie names, nil if there is none.
func (s *sticky) server(r *http1.Request, head []byte) *upstream.Server {
	if s == nil {
		return nil
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		if !foldEqual(f.Name.Of(head), "cookie") {
			continue
		}
		if v := pairValue(f.Value.Of(head), s.set.Cookie, ';'); len(v) == len(stickyID{}) {
			if srv := s.servers[stickyID(v)]; srv != nil {
				return srv
			}
		}
	}
	return nil
}

// appendCookie adds the field to head, which is complete, unless the client
// has the cookie of the server that answers.
func (s *sticky) appendCookie(head []byte, answers, prefers *upstream.Server) []byte {
	id, named := s.ids[answers]
	if !named || answers == prefers {
		return head
	}
	head = append(head[:len(head)-len("\r\n")], "Set-Cookie: "...)
	head = append(head, s.set.Cookie...)
	head = append(head, '=')
	head = append(head, id[:]...)
	head = append(head, s.tail...)
	return append(head, "\r\n"...)
}
