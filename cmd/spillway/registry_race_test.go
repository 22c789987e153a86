//go:build race

package main_test

// raceDetector says whether the tests run under the race detector; the
// gateway they start is built the same way.
const raceDetector = true
