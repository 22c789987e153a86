package peers

import "testing"

func TestParseWrk(t *testing.T) {
	out := "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 8 connections\n" +
		`RESULT {"requests":1000,"duration_us":2000000,"p50_us":100,"p99_us":900,"max_us":1200,` +
		`"connect":1,"read":2,"write":3,"timeout":4,"status":5}` + "\n"
	w, err := parseWrk(out)
	if err != nil {
		t.Fatal(err)
	}
	if w.rate() != 500 || w.errors() != 15 || w.P50US != 100 || w.P99US != 900 || w.MaxUS != 1200 {
		t.Errorf("got %+v: rate %v, errors %d", w, w.rate(), w.errors())
	}
	for _, bad := range []string{"", "unable to connect to 127.0.0.1:1 Connection refused\n", "RESULT {\n"} {
		if _, err := parseWrk(bad); err == nil {
			t.Errorf("parseWrk(%q) found no fault", bad)
		}
	}
}
