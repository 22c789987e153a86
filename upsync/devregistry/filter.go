package devregistry

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// filterTerm is one comparison of a filter: Selector == "value".
var filterTerm = regexp.MustCompile(`^\s*([A-Za-z.]+(?:\["?[^\]"]+"?\])?)\s*(==|!=)\s*("(?:[^"]*)"|` + "`[^`]*`" + `|[^\s"]+)\s*$`)

// parseFilter compiles the small part of Consul's filter language the
// registry knows: comparisons of Service and Node fields joined by "and".
// Anything else is a 400, so that no test relies on a filter that was not
// applied.
func parseFilter(text string) (func(*healthEntry) bool, error) {
	if text == "" {
		return func(*healthEntry) bool { return true }, nil
	}
	var terms []func(*healthEntry) bool
	for _, part := range strings.Split(text, " and ") {
		term, err := parseTerm(part)
		if err != nil {
			return nil, err
		}
		terms = append(terms, term)
	}
	return func(e *healthEntry) bool {
		for _, t := range terms {
			if !t(e) {
				return false
			}
		}
		return true
	}, nil
}

func parseTerm(text string) (func(*healthEntry) bool, error) {
	m := filterTerm.FindStringSubmatch(text)
	if m == nil {
		return nil, badRequest("the development registry does not know the filter %q: want comparisons joined by and", text)
	}
	field, err := selector(m[1])
	if err != nil {
		return nil, err
	}
	want := strings.Trim(m[3], "\"`")
	equal := m[2] == "=="
	return func(e *healthEntry) bool { return (field(e) == want) == equal }, nil
}

func selector(name string) (func(*healthEntry) string, error) {
	if key, ok := strings.CutPrefix(name, "Service.Meta"); ok && key != "" {
		key = strings.Trim(key, ".[]\"")
		return func(e *healthEntry) string { return e.Service.Meta[key] }, nil
	}
	fields := map[string]func(*healthEntry) string{
		"Service.ID":      func(e *healthEntry) string { return e.Service.ID },
		"Service.Service": func(e *healthEntry) string { return e.Service.Service },
		"Service.Address": func(e *healthEntry) string { return e.Service.Address },
		"Service.Port":    func(e *healthEntry) string { return strconv.Itoa(e.Service.Port) },
		"Node.Node":       func(e *healthEntry) string { return e.Node.Node },
		"Node.Address":    func(e *healthEntry) string { return e.Node.Address },
	}
	if f := fields[name]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("Failed to create boolean expression evaluator: Selector %q is not valid", name)
}
