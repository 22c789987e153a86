package peers

import "testing"

func TestParseCore(t *testing.T) {
	text := "cpu  1 2 3 4 5 6 7 8 0 0\ncpu0 10 0 20 100 5 1 2 2 0 0\ncpu1 0 0 0 7 0 0 0 0 0 0\nintr 1\n"
	before, err := parseCore(text, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := (coreTime{idle: 105, total: 140}); before != want {
		t.Errorf("got %+v, want %+v", before, want)
	}
	after := coreTime{idle: before.idle + 25, total: before.total + 100}
	if got := after.busySince(before); got != 0.75 {
		t.Errorf("busy %v, want 0.75", got)
	}
	if _, err := parseCore(text, 2); err == nil {
		t.Error("a processor that does not exist has times")
	}
}
