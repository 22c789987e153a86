package arch

import (
	"os/exec"
	"strings"
	"testing"
)

func loadModule(t *testing.T) *Graph {
	t.Helper()
	g, err := Load(moduleRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	if g.of("internal/arch") == nil {
		t.Fatalf("module %q without this package: nothing would be checked", g.Module)
	}
	return g
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("cannot find the module's root: %v", err)
	}
	return strings.TrimSpace(string(out))
}

func report(t *testing.T, found []Violation) {
	t.Helper()
	for _, v := range found {
		t.Error(v)
	}
}

func TestImportsKeepTheRules(t *testing.T) {
	report(t, CheckImports(loadModule(t), Rules))
}

func TestPackagesStandInAgreedFolders(t *testing.T) {
	report(t, CheckFolders(loadModule(t)))
}

func TestExportedSignaturesShowNoDependency(t *testing.T) {
	found, err := CheckExports(loadModule(t), Rules)
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}

func TestTestsAreHonest(t *testing.T) {
	found, err := CheckHonest(loadModule(t))
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}

// Every package that a rule names by its exact path and that exists must be
// spelled as it is; a rule about a misspelt package would check nothing.
func TestRulesNameFoldersThatCanExist(t *testing.T) {
	for _, r := range Rules {
		for _, pattern := range append(append([]string{}, r.Of...), r.Never...) {
			top, _, _ := strings.Cut(strings.TrimSuffix(pattern, "..."), "/")
			if top != "" && !matchAny(Folders, top) {
				t.Errorf("rule %s speaks of %q, which is in no agreed folder", r.Number, pattern)
			}
		}
		if r.Why == "" {
			t.Errorf("rule %s on %v has no reason", r.Number, r.Of)
		}
	}
}
