package peers

import (
	"strings"
	"testing"
)

func TestBackendAnswersRequestsHoweverTheyArrive(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	const fourK = "GET /4k HTTP/1.1\r\nHost: a\r\n\r\n"
	s, m := answerWith(bodyOf(bodySize)), answerWith(bodyOf(4<<10))
	tests := []struct {
		name  string
		reads []string
		want  []string
	}{
		{"one a read", []string{request, request}, []string{string(s), string(s)}},
		{"three in one read", []string{request + fourK + request}, []string{string(s) + string(m) + string(s)}},
		{"split in the end of the head", []string{request[:len(request)-2], "\r\n"}, []string{"", string(s)}},
		{"split before the target", []string{fourK[:5], fourK[5:]}, []string{"", string(m)}},
		{
			"split everywhere",
			[]string{request[:5], request[5:24], request[24:25], request[25:] + fourK[:3], fourK[3:] + request},
			[]string{"", "", "", string(s), string(m) + string(s)},
		},
		{"shorter than the end of a head", []string{request[:3], request[3:]}, []string{"", string(s)}},
		{"false start", []string{"GET / HTTP/1.1\r\nA: \r\r\n\r\n"}, []string{string(s)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := served{backend: newBackend(nil)}
			for i, read := range tt.reads {
				if got := string(c.answers([]byte(read))); got != tt.want[i] {
					t.Errorf("read %d: %d bytes of answers, want %d", i, len(got), len(tt.want[i]))
				}
			}
		})
	}
}

func TestBackendTellsWhatItHasSeen(t *testing.T) {
	b := newBackend(nil)
	b.accepted = 3
	b.wakes.WriteString("127.0.0.1:1 7\n")
	c := served{backend: b}
	got := string(c.answers([]byte("GET /? HTTP/1.1\r\nHost: a\r\n\r\n")))
	if !strings.HasSuffix(got, "\r\n\r\naccepted 3\n127.0.0.1:1 7\n") {
		t.Errorf("got %q", got)
	}
}
