package configs

import (
	"fmt"
	"strconv"
	"strings"
)

// join appends a key to the path of an option. Keys that are no plain words
// are quoted, so that every path names one option.
func join(path, key string) string {
	if strings.ContainsFunc(key, func(r rune) bool { return notHostRune(r) }) || key == "" {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// item is the path of an element of a list, counted from 0.
func item(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// parent is the path of the section or list that holds an option, "" for a
// top-level key.
func parent(path string) string {
	quoted := false
	for i := len(path) - 1; i > 0; i-- {
		switch c := path[i]; {
		case c == '"' && path[i-1] != '\\':
			quoted = !quoted
		case !quoted && (c == '.' || c == '['):
			return path[:i]
		}
	}
	return ""
}
