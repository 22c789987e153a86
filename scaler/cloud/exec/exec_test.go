package exec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/exec"
)

// program describes itself and does body for every other call.
const program = `case $SPILLWAY_OP in
describe) echo "{\"description\":{\"name\":\"test\",\"max_batch\":5,\"user_data_max\":100,$ABILITIES\"list_lag_ms\":1500}}" ;;
*) eval "$BODY" ;;
esac`

func options(body string) exec.Options {
	return exec.Options{Command: []string{"sh", "-c", program}, Env: []string{"BODY=" + body, "ABILITIES="}, Timeout: 20 * time.Second}
}

func open(t *testing.T, o exec.Options) cloud.Driver {
	t.Helper()
	d, err := exec.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func request() cloud.CreateRequest {
	return cloud.CreateRequest{
		Token: "t-1", Type: "small", Zone: "a", Count: 2, Names: []string{"w-1", "w-2"},
		Tags: map[string]string{"k": "v", "a": "b c"}, UserData: []byte("#!\n\x00"),
	}
}

func TestAnswers(t *testing.T) {
	const machine = `{"id":"i-1","state":"running"}`
	const ok = cloud.Kind(-1)
	tests := map[string]struct {
		body         string
		create, list cloud.Kind
		text         string // in the error
	}{
		"machines":                     {`echo '{"machines":[` + machine + `]}'`, ok, ok, ""},
		"nothing and success":          {`true`, cloud.Ambiguous, cloud.Transient, "cannot use its answer: EOF"},
		"nothing and failure":          {`echo no route >&2; exit 3`, cloud.Ambiguous, cloud.Transient, "program failed: exit status 3; it said: no route"},
		"an error":                     {`echo '{"error":{"kind":"quota","what":"cpu","message":"32 of 32"}}'`, cloud.Quota, cloud.Quota, "quota (cpu): 32 of 32"},
		"an error and failure":         {`echo '{"error":{"kind":"auth"}}'; exit 1`, cloud.Auth, cloud.Auth, "the program refused"},
		"an error and words":           {`echo why >&2; echo '{"error":{"kind":"auth"}}'`, cloud.Auth, cloud.Auth, "it said: why"},
		"an error of no kind":          {`echo '{"error":{"kind":"bad luck"}}'`, cloud.Ambiguous, cloud.Transient, `unknown kind "bad luck"`},
		"machines and failure":         {`echo '{"machines":[` + machine + `]}'; exit 1`, cloud.Ambiguous, cloud.Transient, "exit status 1"},
		"killed":                       {`kill -9 $$`, cloud.Ambiguous, cloud.Transient, "signal: killed"},
		"no JSON":                      {`echo machines: i-1`, cloud.Ambiguous, cloud.Transient, "invalid character"},
		"half of it":                   {`printf '{"machines":[` + machine + `'`, cloud.Ambiguous, cloud.Transient, "unexpected EOF"},
		"more than one":                {`echo '{"machines":[` + machine + `]} {}'`, cloud.Ambiguous, cloud.Transient, "something follows it"},
		"a machine without an id":      {`echo '{"machines":[{"state":"running"}]}'`, cloud.Ambiguous, cloud.Transient, "id"},
		"a machine twice":              {`echo '{"machines":[` + machine + "," + machine + `]}'`, cloud.Ambiguous, cloud.Transient, "twice"},
		"an unknown state":             {`echo '{"machines":[{"id":"i-1","state":"on fire"}]}'`, cloud.Ambiguous, cloud.Transient, `unknown state "on fire"`},
		"words of more than one line":  {`echo one >&2; echo two >&2; exit 1`, cloud.Ambiguous, cloud.Transient, "one\ntwo"},
		"fields that are new":          {`echo '{"machines":[{"id":"i-1","state":"running","gpu":8}],"next":1}'`, ok, ok, ""},
		"an answer before the reading": {`exec 0<&-; echo '{"machines":[` + machine + `]}'`, ok, ok, ""},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			d := open(t, options(c.body))
			_, err := d.Create(t.Context(), request())
			check(t, "Create", err, c.create, ok, c.text)
			_, err = d.List(t.Context(), nil)
			check(t, "List", err, c.list, ok, c.text)
		})
	}
}

func check(t *testing.T, what string, err error, want, ok cloud.Kind, text string) {
	t.Helper()
	var e *cloud.Error
	switch {
	case want == ok && err != nil:
		t.Errorf("%s: %v", what, err)
	case want == ok:
	case !errors.As(err, &e) || e.Kind != want || !strings.Contains(err.Error(), text):
		t.Errorf("%s: error %v, want kind %v and the text %q", what, err, want, text)
	}
}

func TestCreateCountsWhatItGot(t *testing.T) {
	for body, want := range map[string]int{
		`echo '{"machines":[]}'`: 0,
		`echo '{"machines":[{"id":"1","state":"pending"},{"id":"2","state":"pending"}]}'`:                              2,
		`echo '{"machines":[{"id":"1","state":"pending"},{"id":"2","state":"pending"},{"id":"3","state":"pending"}]}'`: 0,
	} {
		made, err := open(t, options(body)).Create(t.Context(), request())
		if len(made) != want || (want == 0) != (cloud.KindOf(err) == cloud.Ambiguous) {
			t.Errorf("%s: %d machines, error %v; want %d", body, len(made), err, want)
		}
	}
}

func TestWaitIsTold(t *testing.T) {
	d := open(t, options(`echo '{"error":{"kind":"rate_limited","after_ms":2500}}'`))
	var e *cloud.Error
	if err := d.Delete(t.Context(), "i-1"); !errors.As(err, &e) || e.After != 2500*time.Millisecond || e.What != "i-1" {
		t.Errorf("error %#v, want to wait 2.5s", e)
	}
}

func TestListLeavesOutWhatHasOtherTags(t *testing.T) {
	d := open(t, options(`echo '{"machines":[{"id":"1","state":"running","tags":{"k":"v"}},{"id":"2","state":"running"}]}'`))
	found, err := d.List(t.Context(), map[string]string{"k": "v"})
	if err != nil || len(found) != 1 || found[0].ID != "1" {
		t.Errorf("listed %v, error %v; want machine 1 alone", found, err)
	}
}

func TestQuestion(t *testing.T) {
	dir := t.TempDir()
	o := options(`cat >"$OUT/input"; env | grep -a ^SPILLWAY_ | sort >"$OUT/env"; echo '{"machines":[{"id":"1","state":"running"}]}'`)
	o.Env = append(o.Env, "OUT="+dir)
	t.Setenv("SECRET_OF_OURS", "x")
	if _, err := open(t, o).Create(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal([]byte(read(t, dir, "input")), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"version": 1.0, "op": "create",
		"request": map[string]any{
			"token": "t-1", "type": "small", "zone": "a", "spot": false, "count": 2.0,
			"names": []any{"w-1", "w-2"}, "tags": map[string]any{"k": "v", "a": "b c"}, "user_data": "IyEKAA==",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
	wantEnv := "SPILLWAY_COUNT=2\nSPILLWAY_ID=\nSPILLWAY_NAMES=w-1\nSPILLWAY_OP=create\nSPILLWAY_SPOT=false\nSPILLWAY_TAGS=a=b c\n" +
		"SPILLWAY_TOKEN=t-1\nSPILLWAY_TYPE=small\nSPILLWAY_ZONE=a\n"
	if diff := cmp.Diff(wantEnv, read(t, dir, "env")); diff != "" {
		t.Errorf("environment, of lines with our names (-want +got):\n%s", diff)
	}
}

func TestProgramSeesLittleOfOurEnvironment(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SECRET_OF_OURS", "x")
	o := options(`env >"$OUT/env"; echo '{}'`)
	o.Env = append(o.Env, "OUT="+dir)
	if err := open(t, o).Delete(t.Context(), "i-1"); err != nil {
		t.Fatal(err)
	}
	if env := read(t, dir, "env"); strings.Contains(env, "SECRET_OF_OURS") || !strings.Contains(env, "PATH=") {
		t.Errorf("environment of the program:\n%s", env)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWordsOfMoreThanOneLineAreRefused(t *testing.T) {
	dir := t.TempDir()
	d := open(t, options(`touch "`+dir+`/called"; echo '{}'`))
	r := request()
	r.Tags = map[string]string{"k": "v\nSPILLWAY_OP=delete"}
	_, err := d.Create(t.Context(), r)
	check(t, "Create", err, cloud.Invalid, -1, "more than one line")
	_, err = d.List(t.Context(), map[string]string{"a=b": "c"})
	check(t, "List", err, cloud.Invalid, -1, "has a =")
	check(t, "Delete", d.Delete(t.Context(), "i-1\n"), cloud.Invalid, -1, "more than one line")
	if _, err := os.Stat(filepath.Join(dir, "called")); err == nil {
		t.Error("the program was called")
	}
}

func TestNewRefusesProgramsThatCannotDescribeThemselves(t *testing.T) {
	for name, command := range map[string][]string{
		"none":           nil,
		"missing":        {"/no/such/program"},
		"fails":          {"false"},
		"says nothing":   {"true"},
		"no description": {"echo", `{"machines":[]}`},
		"no name":        {"echo", `{"description":{"max_batch":1}}`},
		"no batch":       {"echo", `{"description":{"name":"x"}}`},
		"no rate":        {"echo", `{"description":{"name":"x","max_batch":1,"limits":{"list":{"burst":1}}}}`},
		"refuses":        {"echo", `{"error":{"kind":"auth","message":"no key"}}`},
	} {
		if _, err := exec.New(t.Context(), exec.Options{Command: command}); err == nil || !strings.HasPrefix(err.Error(), "cannot use a driver program") && !strings.HasPrefix(err.Error(), "cannot use driver program") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestDescriptionIsTaken(t *testing.T) {
	o := options("")
	o.Env[1] = `ABILITIES="client_token":true,"token_zonal":true,"limits":{"create":{"rate":0.5,"burst":3,"machines":true}},`
	want := cloud.Description{
		Name: "test", MaxBatch: 5, UserDataMax: 100, ClientToken: true, TokenZonal: true, ListLag: 1500 * time.Millisecond,
		Limits: map[string]cloud.Limit{"create": {Rate: 0.5, Burst: 3, Machines: true}},
	}
	if diff := cmp.Diff(want, open(t, o).Describe()); diff != "" {
		t.Errorf("description (-want +got):\n%s", diff)
	}
}

func TestAbilities(t *testing.T) {
	for _, stops := range []bool{false, true} {
		for _, watches := range []bool{false, true} {
			o := options(`echo '{"events":[{"id":"i-1","kind":"reclaim","at":"2026-03-01T12:00:00Z"}]}'`)
			o.Env[1] = fmt.Sprintf(`ABILITIES="stop":%t,"events":%t,`, stops, watches)
			d := open(t, o)
			s, canStop := d.(cloud.Stopper)
			w, canWatch := d.(cloud.Watcher)
			if canStop != stops || canWatch != watches {
				t.Fatalf("stops %t, watches %t; want %t, %t", canStop, canWatch, stops, watches)
			}
			if canStop && (s.Stop(t.Context(), "i-1") != nil || s.Start(t.Context(), "i-1") != nil) {
				t.Error("Stop or Start failed")
			}
			if !canWatch {
				continue
			}
			events, err := w.Events(t.Context())
			want := []cloud.Event{{ID: "i-1", Kind: "reclaim", At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
			if diff := cmp.Diff(want, events); err != nil || diff != "" {
				t.Errorf("events, error %v (-want +got):\n%s", err, diff)
			}
		}
	}
}
