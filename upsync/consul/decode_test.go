package consul

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/gateway/upstream"
)

func spec(addr string, change ...func(*upstream.Spec)) upstream.Spec {
	s := upstream.Spec{Addr: addr, Weight: 1, MaxFails: 2, FailTimeout: 10 * time.Second, WeightFrom: "default"}
	for _, f := range change {
		f(&s)
	}
	return s
}

func kvWeight(n int) func(*upstream.Spec) {
	return func(s *upstream.Spec) { s.Weight, s.WeightFrom = n, "kv" }
}

// The field rules of nginx-upsync, with what is ours.
func TestKVValue(t *testing.T) {
	type change = func(*upstream.Spec)
	none := func(*upstream.Spec) {}
	down := func(s *upstream.Spec) { s.Down, s.DownWhy = true, "kv" }
	backup := func(s *upstream.Spec) { s.Backup = true }
	fails := func(n int) change { return func(s *upstream.Spec) { s.MaxFails = n } }
	timeout := func(d time.Duration) change { return func(s *upstream.Spec) { s.FailTimeout = d } }
	tests := []struct {
		value string
		want  change
		notes int
	}{
		{``, none, 0},
		{"  \n", none, 0},
		{`{}`, none, 0},
		{`null`, none, 0},
		{`{"weight":40}`, kvWeight(40), 0},
		{`{"weight":"40"}`, kvWeight(40), 0},
		{`{"WEIGHT":40}`, kvWeight(40), 0},
		{`{"Weight":40,"weight":2}`, kvWeight(40), 0},
		{`{"weight":0}`, none, 1},
		{`{"weight":"abc"}`, none, 1},
		{`{"weight":""}`, none, 1},
		{`{"weight":" 4"}`, none, 1},
		{`{"weight":-3}`, none, 1},
		{`{"weight":2.9}`, kvWeight(2), 0},
		{`{"weight":1e3}`, kvWeight(1000), 0},
		{`{"weight":70000}`, kvWeight(MaxWeight), 1},
		{`{"weight":1e300}`, none, 1},
		{`{"weight":null}`, none, 0},
		{`{"weight":[1]}`, none, 1},
		{`{"weight":{"a":1}}`, none, 1},
		{`{"max_fails":0}`, fails(0), 0},
		{`{"max_fails":"0"}`, fails(0), 0},
		{`{"max_fails":7}`, fails(7), 0},
		{`{"max_fails":"x"}`, none, 1},
		{`{"max_fails":-1}`, none, 1},
		{`{"fail_timeout":30}`, timeout(30 * time.Second), 0},
		{`{"fail_timeout":"30"}`, timeout(30 * time.Second), 0},
		{`{"fail_timeout":"10s"}`, none, 1},
		{`{"fail_timeout":99999999999}`, none, 1},
		{`{"down":1}`, down, 0},
		{`{"down":"1"}`, down, 0},
		{`{"down":true}`, down, 0},
		{`{"down":0}`, none, 0},
		{`{"down":2}`, none, 1},
		{`{"down":"yes"}`, none, 1},
		{`{"backup":1}`, backup, 0},
		{`{"backup":"1"}`, backup, 0},
		{`{"max_conns":100}`, func(s *upstream.Spec) { s.MaxConns = 100 }, 0},
		{`{"other":{"deep":[1,"x",null]},"weight":3}`, kvWeight(3), 0},
		{`{"weight":3} trailing`, kvWeight(3), 1},
		{`{"we\u0069ght":3}`, kvWeight(3), 0},
	}
	for _, tt := range tests {
		t.Run(tt.value, func(t *testing.T) {
			f := decodeKV("up/web/10.0.0.1:80", []byte(tt.value))
			if d := cmp.Diff(spec("10.0.0.1:80", tt.want), f.Spec); d != "" || f.Err != "" {
				t.Errorf("error %q, spec (-want +got):\n%s", f.Err, d)
			}
			if len(f.Notes) != tt.notes {
				t.Errorf("notes %q, want %d", f.Notes, tt.notes)
			}
		})
	}
}

func TestKVValueThatIsNoJSONHasAllDefaults(t *testing.T) {
	for _, value := range []string{`{`, `{"weight":4`, `weight=4`, `[1]`, `5`, `"x"`, `{"weight":}`, `{weight:4}`, "\xff"} {
		f := decodeKV("up/web/10.0.0.1:80", []byte(value))
		if f.Err == "" || !cmp.Equal(f.Spec, spec("10.0.0.1:80")) {
			t.Errorf("value %q: error %q, spec %+v, want an error and the defaults", value, f.Err, f.Spec)
		}
	}
}

func TestKVKey(t *testing.T) {
	tests := []struct{ key, addr, host string }{
		{"up/web/10.0.0.1:80", "10.0.0.1:80", ""},
		{"up/web/deeper/10.0.0.1:80", "10.0.0.1:80", ""},
		{"10.0.0.1:80", "10.0.0.1:80", ""},
		{"up/web/[2001:DB8::1]:80", "[2001:db8::1]:80", ""},
		{"up/web/[::ffff:10.0.0.1]:80", "10.0.0.1:80", ""},
		{"up/web/App-1.example.com:8080", "app-1.example.com:8080", "app-1.example.com"},
		{"up/web/localhost:80", "localhost:80", "localhost"},
		{"up/web/10.0.0.1", "", ""},
		{"up/web/10.0.0.1:0", "", ""},
		{"up/web/10.0.0.1:65536", "", ""},
		{"up/web/10.0.0.1:+80", "", ""},
		{"up/web/10.0.0.999:80", "", ""},
		{"up/web/-bad:80", "", ""},
		{"up/web/sp ace:80", "", ""},
		{"up/web/:80", "", ""},
		{"up/web/ünï:80", "", ""},
	}
	for _, tt := range tests {
		f := decodeKV(tt.key, nil)
		if f.Spec.Addr != tt.addr || f.Spec.Host != tt.host || (f.Err == "") != (tt.addr != "") {
			t.Errorf("key %q: address %q host %q error %q, want %q %q", tt.key, f.Spec.Addr, f.Spec.Host, f.Err, tt.addr, tt.host)
		}
	}
	if f := decodeKV("up/web/", nil); f != nil {
		t.Errorf("directory key gave %+v", f)
	}
}

// entry is one KV pair of an answer.
func entry(key, value string, modify int) string {
	v := "null"
	if value != "" {
		v = `"` + base64.StdEncoding.EncodeToString([]byte(value)) + `"`
	}
	return fmt.Sprintf(`{"LockIndex":0,"Key":%q,"Flags":0,"Value":%s,"CreateIndex":1,"ModifyIndex":%d}`, key, v, modify)
}

func TestKVAnswersAreCompared(t *testing.T) {
	d := newKVDecoder(100)
	read := func(entries ...string) (moved []string) {
		t.Helper()
		changed, err := d.decode(strings.NewReader("[" + strings.Join(entries, ",") + "]"))
		if err != nil {
			t.Fatal(err)
		}
		var a Answer
		if d.fillAnswer(&a); changed {
			moved = a.KV.Moved
			d.commit()
		}
		return moved
	}
	check := func(got []string, want ...string) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("moved (-want +got):\n%s", d)
		}
	}
	a, b, c := entry("u/10.0.0.1:1", "", 5), entry("u/10.0.0.2:1", "{}", 6), entry("u/10.0.0.3:1", `{"weight":2}`, 7)
	check(read(a, b, c), "u/10.0.0.1:1", "u/10.0.0.2:1", "u/10.0.0.3:1")
	first := d.set.Items[2]
	check(read(a, b, c))
	check(read(c, b, a)) // order means nothing
	check(read(a, entry("u/10.0.0.2:1", "{}", 60), c))
	check(read(a, entry("u/10.0.0.2:1", `{"weight":3}`, 6), c), "u/10.0.0.2:1")
	if d.set.Items[2] != first {
		t.Error("an entry that did not move was decoded again")
	}
	check(read(a, c), "u/10.0.0.2:1")
	check(read(a, entry("u/10.0.0.2:9", "", 1), c, c), "u/10.0.0.2:9")
	if !d.absent() {
		t.Error("404 is no change")
	}
}

func TestKVAnswerThatFailsLeavesNoTrace(t *testing.T) {
	d := newKVDecoder(100)
	good := "[" + entry("u/10.0.0.1:1", "", 5) + "," + entry("u/10.0.0.2:1", "", 5) + "]"
	if _, err := d.decode(strings.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	d.commit()
	for n := range len(good) {
		if _, err := d.decode(strings.NewReader(good[:n])); err == nil {
			t.Fatalf("no error for the first %d bytes", n)
		}
	}
	for _, bad := range []string{`{}`, good + "x", `[{"Key":"a/1.1.1.1:1","Value":"%%"}]`, `["x"]`, `[{"Key":5}]`} {
		if _, err := d.decode(strings.NewReader(bad)); err == nil {
			t.Errorf("no error for %s", bad)
		}
	}
	if changed, err := d.decode(strings.NewReader(good)); changed || err != nil {
		t.Errorf("changed %v error %v after failures, want neither", changed, err)
	}
}

func TestCatalogAnswer(t *testing.T) {
	body := `[
	 {"Node":"n1","Address":"10.0.0.1","ServiceID":"a","ServiceAddress":"","ServicePort":80,"ServiceTags":["weight=5","x"]},
	 {"Node":"n2","Address":"10.0.0.2","ServiceID":"b","ServiceAddress":"10.1.0.2","ServicePort":81,"ServiceTags":["max_fails=0","fail_timeout=1m30s","down","backup","max_conns=9"]},
	 {"Node":"n3","Address":"10.0.0.3","ServiceID":"c","ServicePort":0,"ServiceTags":null},
	 {"Node":"n4","Address":"","ServiceID":"d","ServiceAddress":"","ServicePort":80},
	 {"Node":"n5","Address":"host.example","ServiceID":"e","ServicePort":80,"ServiceTags":["weight=0","fail_timeout=abc","max_fails="]}]`
	d := &serviceDecoder{max: 100}
	if _, err := d.decode(strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	want := []*Found{
		{Key: "a@n1", Spec: spec("10.0.0.1:80", func(s *upstream.Spec) { s.Weight, s.WeightFrom = 5, "tag" })},
		{Key: "b@n2", SaysMaxFails: true, SaysFailTimeout: true, Spec: spec("10.1.0.2:81", func(s *upstream.Spec) {
			s.MaxFails, s.FailTimeout, s.MaxConns = 0, 90*time.Second, 9
			s.Down, s.DownWhy, s.Backup = true, "tag", true
		})},
		{Key: "c@n3", Err: `invalid port "0": want 1 to 65535`},
		{Key: "d@n4", Err: "has neither a service address nor a node address"},
		{
			Key: "e@n5", Spec: spec("host.example:80", func(s *upstream.Spec) { s.Host = "host.example" }),
			Notes: []string{`tag "weight=0": invalid number`, `tag "fail_timeout=abc": ` + badTime("abc"), `tag "max_fails=": invalid number`},
		},
	}
	if d := cmp.Diff(want, d.next); d != "" {
		t.Errorf("entries (-want +got):\n%s", d)
	}
}

func badTime(s string) string {
	_, err := ParseSeconds(s)
	return err.Error()
}

func TestHealthStates(t *testing.T) {
	const weights = `"Weights":{"Passing":10,"Warning":3}`
	tests := []struct {
		name, weights, tags, checks string
		upsync                      bool
		weight                      int
		down                        string
	}{
		{"passing", weights, `[]`, `[{"CheckID":"c","Status":"passing"}]`, false, 10, ""},
		{"no checks", weights, `null`, `null`, false, 10, ""},
		{"warning lowers the weight", weights, `[]`, `[{"CheckID":"c","Status":"warning"},{"CheckID":"d","Status":"passing"}]`, false, 3, ""},
		{"warning with weight 0", `"Weights":{"Passing":10,"Warning":0}`, `[]`, `[{"CheckID":"c","Status":"warning"}]`, false, 10, "warning"},
		{"warning as upsync has it", weights, `[]`, `[{"CheckID":"c","Status":"warning"}]`, true, 1, "warning"},
		{"any check counts", weights, `[]`, `[{"CheckID":"c","Status":"passing"},{"CheckID":"node","Status":"critical"}]`, false, 10, "critical"},
		{"the worst check counts", weights, `[]`, `[{"CheckID":"c","Status":"critical"},{"CheckID":"d","Status":"warning"}]`, false, 10, "critical"},
		{"node maintenance", weights, `[]`, `[{"CheckID":"_node_maintenance","Status":"critical"}]`, false, 10, "maintenance"},
		{"service maintenance", weights, `[]`, `[{"CheckID":"_service_maintenance:a","Status":"critical"}]`, false, 10, "maintenance"},
		{"unknown state", weights, `[]`, `[{"CheckID":"c","Status":"odd"}]`, false, 10, "odd"},
		{"tag beats weights", weights, `["weight=7"]`, `[]`, false, 7, ""},
		{"tag beats warning weight", weights, `["weight=7"]`, `[{"CheckID":"c","Status":"warning"}]`, false, 7, ""},
		{"no weights", `"X":1`, `[]`, `[]`, false, 1, ""},
		{"tag down stays", weights, `["down"]`, `[{"CheckID":"c","Status":"passing"}]`, false, 10, "tag"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := `[{"Node":{"Node":"n","Address":"10.0.0.1","Meta":{"a":"b"}},"Service":{"ID":"a","Address":"","Port":80,"Tags":` +
				tt.tags + `,` + tt.weights + `},"Checks":` + tt.checks + `}]`
			d := &serviceDecoder{max: 100, health: true, upsync: tt.upsync}
			if _, err := d.decode(strings.NewReader(body)); err != nil {
				t.Fatal(err)
			}
			got := d.next[0]
			if got.Spec.Weight != tt.weight || got.Spec.DownWhy != tt.down || got.Spec.Down != (tt.down != "") {
				t.Errorf("weight %d down %v %q, want %d %q", got.Spec.Weight, got.Spec.Down, got.Spec.DownWhy, tt.weight, tt.down)
			}
		})
	}
}

func TestServiceTagFilter(t *testing.T) {
	body := `[{"ServiceID":"a","Address":"10.0.0.1","ServicePort":1,"ServiceTags":["v1"]},{"ServiceID":"b","Address":"10.0.0.1","ServicePort":2,"ServiceTags":["v2"]}]`
	d := &serviceDecoder{max: 100, tag: "v2"}
	if _, err := d.decode(strings.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	if len(d.next) != 1 || d.next[0].Key != "b@" {
		t.Errorf("entries %+v, want the one tagged v2", d.next)
	}
}

func TestParseSeconds(t *testing.T) {
	good := map[string]time.Duration{"10": 10 * time.Second, "10s": 10 * time.Second, "1m": time.Minute, "1h30m": 90 * time.Minute, "0": 0, "1d": 24 * time.Hour}
	for s, want := range good {
		if got, err := ParseSeconds(s); got != want || err != nil {
			t.Errorf("%q: %v %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "s", "-1", "1x", "500ms", "1s1m", "99999999999", "1.5s", "1s1s"} {
		if got, err := ParseSeconds(s); err == nil {
			t.Errorf("%q: %v, want an error", s, got)
		}
	}
}
