package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// edit sets fields of a key's value and keeps all others, also those nobody
// here knows. An empty value, or one that is no JSON object (gateways keep
// such a server's last good value), becomes one with these fields alone.
//
// Names count in any case, as gateways read them.
func edit(value []byte, set map[string]int) ([]byte, error) {
	fields := map[string]json.RawMessage{}
	if json.Unmarshal(value, &fields) != nil || fields == nil {
		fields = map[string]json.RawMessage{}
	}
	if _, given := field(fields, "down"); !given {
		fields["down"] = json.RawMessage("0")
	}
	for name, n := range set {
		maps.DeleteFunc(fields, func(have string, _ json.RawMessage) bool { return strings.EqualFold(have, name) })
		fields[name] = fmt.Append(nil, n)
	}
	return encode(fields)
}

// encode writes weight and down first, for those who read.
func encode(fields map[string]json.RawMessage) ([]byte, error) {
	names := slices.Sorted(maps.Keys(fields))
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	var b bytes.Buffer
	for i, name := range names {
		quoted, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		b.WriteByte("{,"[min(i, 1)])
		b.Write(quoted)
		b.WriteByte(':')
		b.Write(fields[name])
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func rank(name string) int {
	switch name {
	case "weight":
		return 0
	case "down":
		return 1
	}
	return 2
}

func field(fields map[string]json.RawMessage, name string) (json.RawMessage, bool) {
	for have, v := range fields {
		if strings.EqualFold(have, name) {
			return v, true
		}
	}
	return nil, false
}

// isDown says whether a value takes its server out, in any of the ways in
// which gateways read a 1.
func isDown(value []byte) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(value, &fields) != nil {
		return false
	}
	v, _ := field(fields, "down")
	switch strings.Trim(string(v), `"`) {
	case "1", "true", "1.0":
		return true
	}
	return false
}
