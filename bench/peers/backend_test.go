package peers

import "testing"

func TestBackendCountsRequestsHoweverTheyArrive(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	tests := []struct {
		name  string
		reads []string
		want  []int
	}{
		{"one a read", []string{request, request}, []int{1, 1}},
		{"three in one read", []string{request + request + request}, []int{3}},
		{"split in the end of the head", []string{request[:len(request)-2], "\r\n"}, []int{0, 1}},
		{"split everywhere", []string{request[:5], request[5:24], request[24:25], request[25:] + request[:3], request[3:]}, []int{0, 0, 0, 1, 1}},
		{"shorter than the end of a head", []string{request[:3], request[3:]}, []int{0, 1}},
		{"false start", []string{"GET / HTTP/1.1\r\nA: \r\r\n\r\n"}, []int{1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c served
			for i, read := range tt.reads {
				if got := c.requestsIn([]byte(read)); got != tt.want[i] {
					t.Errorf("read %d: %d requests, want %d", i, got, tt.want[i])
				}
			}
		})
	}
}
