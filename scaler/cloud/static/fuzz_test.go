package static

import (
	"bytes"
	"testing"
)

// Whatever the file holds, it is refused or read so that it can be written and
// read again unchanged.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"format":1,"assigned":{"h":{"token":"t","name":"n","tags":{"a":"b"},"created":"2026-03-01T12:00:00Z"}}}`))
	f.Add([]byte(`{"format":1}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"format":1,"assigned":{"":{}}} x`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decode(b)
		if err != nil {
			return
		}
		once := encode(a)
		again, err := decode(once)
		if err != nil {
			t.Fatalf("cannot read what was written: %v\n%s", err, once)
		}
		if twice := encode(again); !bytes.Equal(once, twice) {
			t.Fatalf("written as\n%s\nthen as\n%s", once, twice)
		}
	})
}
