// Package configs declares every option of Spillway once: the structs, their
// defaults, where a value may come from and what is allowed.
//
// Load reads one YAML document (JSON is YAML), lays environment and flags over
// it (flag > environment > file > default) and validates the result. A mistake
// is answered with file, line and column, what was found, what is allowed and
// the nearest name; all mistakes of a file are reported at once.
//
// The comment above each field is its documentation: REFERENCE.md and
// schema.json are generated from the fields, their tags and Default, and a
// test fails while they are out of date (go test ./configs -rewrite).
//
// The package opens no file but the configuration, reads no secret from a
// token file, resolves no name, keeps no state and starts no goroutine. It
// imports no other package of this module: cmd maps the structs to the options
// of the packages that do the work.
package configs
