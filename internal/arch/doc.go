// Package arch holds the rules of this repository that a program can check, and
// its tests check them: which package may import which (Rules), that no exported
// signature shows a type of a dependency, and that tests are honest (no skipped
// test, no sleep as synchronisation, no unfinished code).
//
// A violation names the rule, the place and the reason the rule exists, so that
// the reader can tell whether to move the code or to change the rule.
//
// Rules about imports look at production code: a test may use any dependency.
// The package runs `go list`, reads source files, writes nothing and starts no
// goroutine.
package arch
