package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"spillway/configs"
	"spillway/gateway/metrics"
)

// pages are the texts a reader begins with.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range append(files, "../../README.md", "../../configs/REFERENCE.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = string(text)
	}
	return all
}

func TestLinksOfThePagesLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	for file, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			}
		}
	}
}

func TestConfigurationsInThePagesAreValid(t *testing.T) {
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	n := 0
	for file, text := range pages(t) {
		for _, m := range block.FindAllStringSubmatch(text, -1) {
			n++
			if _, err := loadChecked(configs.Source{Path: file, Data: []byte(m[1])}); err != nil {
				t.Errorf("%v", err)
			}
		}
	}
	if n < 2 {
		t.Errorf("%d configurations found", n)
	}
}

func TestMetricsInThePagesExist(t *testing.T) {
	known := map[string]bool{}
	for _, name := range metrics.Names() {
		known[name] = true
	}
	for file, text := range pages(t) {
		for _, name := range regexp.MustCompile(`\bspillway_[a-z_]+[a-z]`).FindAllString(text, -1) {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				name = strings.TrimSuffix(name, suffix)
			}
			if !known[name] {
				t.Errorf("%s names %s, which is no metric", file, name)
			}
		}
	}
}
