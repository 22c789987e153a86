package consul

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"spillway/gateway/upstream"
)

// checkFound fails on an entry no data plane could use.
func checkFound(t *testing.T, f *Found) {
	t.Helper()
	s := f.Spec
	if !f.Usable() {
		if f.Err == "" {
			t.Errorf("%q names no server and has no error", f.Key)
		}
		return
	}
	if s.Weight < 1 || s.Weight > MaxWeight || s.MaxFails < 0 || s.MaxConns < 0 || s.FailTimeout < 0 || s.Down != (s.DownWhy != "") {
		t.Errorf("%q gave %+v", f.Key, s)
	}
	if s.Host == "" {
		if again, err := upstream.ParseAddr(s.Addr); err != nil || again != s.Addr {
			t.Errorf("%q gave address %q, which is not canonical", f.Key, s.Addr)
		}
	}
}

func FuzzKVValue(f *testing.F) {
	f.Add("up/web/10.0.0.1:80", []byte(`{"weight":"5","max_fails":2,"fail_timeout":10,"down":1,"backup":0,"max_conns":null}`))
	f.Add("up/[::1]:80", []byte(`{"weight":1e400,"x":[{"y":[]}]} z`))
	f.Add("a.b:1", []byte("{\"\\u0077eight\":3}"))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		found := decodeKV(key, value)
		if found == nil {
			return
		}
		checkFound(t, found)
		var object map[string]any
		if json.Unmarshal(value, &object) == nil && found.Usable() && found.Err != "" && !strings.Contains(found.Err, "nested deeper") && shortNumbers(value) {
			t.Errorf("value %q is JSON, and was refused: %s", value, found.Err)
		}
	})
}

// shortNumbers reports whether no literal is longer than the scanner takes.
func shortNumbers(b []byte) bool {
	run := 0
	for _, c := range b {
		if run++; !literalByte(c) {
			run = 0
		}
		if run > 64 {
			return false
		}
	}
	return true
}

func FuzzKVAnswer(f *testing.F) {
	f.Add([]byte("[" + entry("u/10.0.0.1:1", `{"weight":2}`, 7) + "," + entry("u/", "", 1) + "]"))
	f.Add([]byte(`[{"Key":"a\/b\u002f10.0.0.1:1","Value":null,"Flags":-1.5e3}]`))
	f.Add([]byte(`null`))
	f.Add([]byte(`[{"X":"\q","\u12":1}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		whole, split := newKVDecoder(1000), newKVDecoder(1000)
		_, err := whole.decode(bytes.NewReader(body))
		_, err2 := split.decode(iotest.OneByteReader(bytes.NewReader(body)))
		if (err == nil) != (err2 == nil) {
			t.Fatalf("whole: %v, byte by byte: %v", err, err2)
		}
		if err != nil {
			return
		}
		if !json.Valid(body) && json.Valid(bytes.Map(printable, body)) {
			return // raw control characters are let through
		} else if !json.Valid(body) {
			t.Fatalf("accepted what is no JSON: %q", body)
		}
		if d := cmp.Diff(whole.set.Items, split.set.Items); d != "" {
			t.Errorf("whole and byte by byte differ:\n%s", d)
		}
		for _, it := range whole.set.Items {
			checkFound(t, it)
		}
	})
}

func printable(r rune) rune {
	if r < ' ' {
		return ' '
	}
	return r
}

func FuzzHealthAnswer(f *testing.F) {
	f.Add([]byte(`[{"Node":{"Node":"n","Address":"10.0.0.1"},"Service":{"ID":"a","Port":80,"Tags":["weight=3","down"],"Weights":{"Passing":1,"Warning":0}},"Checks":[{"CheckID":"c","Status":"warning"}]}]`), true)
	f.Add([]byte(`[{"Node":null,"Service":null,"Checks":null}]`), false)
	f.Fuzz(func(t *testing.T, body []byte, upsync bool) {
		d := &serviceDecoder{max: 1000, health: true, upsync: upsync}
		if _, err := d.decode(bytes.NewReader(body)); err != nil {
			return
		}
		for _, found := range d.next {
			checkFound(t, found)
		}
	})
}

func TestScannerReadsTokensAcrossBuffers(t *testing.T) {
	long := strings.Repeat(`\"é`, scanBuffer/3)
	body := `[{"Key":"` + long + `","Value":null,"X":[1,{"a":"` + long + `"}]}]`
	d := newKVDecoder(10)
	if _, err := d.decode(iotest.HalfReader(strings.NewReader(body))); err != nil {
		t.Fatal(err)
	}
	var want string
	if err := json.Unmarshal([]byte(`"`+long+`"`), &want); err != nil || d.next[0].key != want {
		t.Errorf("key of %d bytes, want %d", len(d.next[0].key), len(want))
	}
	endless := io.MultiReader(strings.NewReader(`[{"Key":"`), endlessReader{})
	if _, err := d.decode(endless); err == nil {
		t.Error("no error for a string without end")
	}
	if _, err := d.decode(strings.NewReader(`[{"X":` + strings.Repeat("[", 1000))); err == nil {
		t.Error("no error for deep nesting")
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}
