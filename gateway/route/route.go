// Package route decides which upstream a request goes to.
//
// Rules of a configuration are compiled to an immutable Table once; Match
// walks it for each request and allocates nothing. The first rule in the
// order of the file wins. The package owns no state, starts no goroutine and
// never changes what is forwarded: paths are normalised for matching only.
package route

// Rule is one entry of "routes". A request must fit all it says.
type Rule struct {
	// Name is shown in logs and metrics, it may be empty.
	Name string
	// Host is "" (any), "a.example.com" (exact) or "*.example.com", where the
	// star stands for one or more labels. Lower case, without a port.
	Host string
	// Path is a plain string prefix as in an nginx location ("" is any), the
	// whole path with PathExact. The query is no part of it.
	Path      string
	PathExact bool
	// Methods are upper-case names, none is any. GET does not include HEAD.
	Methods []string
	// Upstream names the pool; "{host.1}" stands for what the star of Host
	// matched, in lower case.
	Upstream string
	// Connect allows CONNECT on this route.
	Connect bool
}

// Match is the result of Table.Match. Reuse it: its buffers are kept, and the
// next Match overwrites what Upstream points to.
type Match struct {
	Rule     int    // index of the rule, in file order
	Upstream []byte // name of the pool; do not change it
	Connect  bool   // the rule allows CONNECT
}

// Table is compiled rules. It is immutable and safe for use by several
// goroutines.
type Table struct {
	rules    []Rule
	warnings []string
}

// Compile checks the rules and makes a table of them. The error joins one
// *Error for each fault.
func Compile(rules []Rule) (*Table, error) { return &Table{rules: rules}, nil }

// Match finds the first rule for a request and fills m. Host may carry a port
// and be of any case, path is as received, method is case-sensitive. It
// reports whether a rule was found; if not, m is not to be used.
func (t *Table) Match(host, path, method []byte, m *Match) bool { return false }

// Rules returns the rules in file order. Do not change them.
func (t *Table) Rules() []Rule { return t.rules }

// Warnings says which rules can never match because an earlier one takes all
// their requests.
func (t *Table) Warnings() []string { return t.warnings }

// Error is one fault in one rule.
type Error struct {
	Rule  int    // index in file order, from 0
	Key   string // "host", "path", "methods", "upstream"
	Value string // what was found
	Want  string // what is allowed
}

func (e *Error) Error() string { return "routes" }
