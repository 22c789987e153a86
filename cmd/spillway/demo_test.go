package main

import (
	"testing"
)

func TestDemoSaysWhatItShows(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"demo"}, {"demo", "everything"}, {"demo", "scale", "extra"}, {"demo", "crash", "--kills", "3"}} {
		if code := runSpillway(t, args...).exit(); code != exitUsage {
			t.Errorf("%q: exit code %d, want %d", args, code, exitUsage)
		}
	}
}

func TestWhereToCrash(t *testing.T) {
	for text, ok := range map[string]bool{
		"before:1": true, "after:12": true, "before:register": true, "after:delete-machine": true,
		"before": false, "before:": false, "during:1": false, "7": false,
	} {
		crash, err := crashAt(text)
		if (err == nil) != ok || (crash != nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	if crash, err := crashAt(""); crash != nil || err != nil {
		t.Errorf("nowhere: %v", err)
	}
}
