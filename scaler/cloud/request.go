package cloud

import (
	"fmt"
	"slices"
)

// Check returns an error of kind Invalid if no provider of that description
// could grant the request. Drivers call it before they send anything. Whether
// type and zone exist is for them to find out.
func (r *CreateRequest) Check(d Description) error {
	switch {
	case r.Token == "":
		return invalid("empty token", "a batch is named by it")
	case r.Count < 1:
		return invalid("count", fmt.Sprintf("%d machines make no batch", r.Count))
	case r.Count > d.MaxBatch:
		return invalid("count", fmt.Sprintf("%d machines are more than the %d of one batch", r.Count, d.MaxBatch))
	case len(r.Names) != r.Count:
		return invalid("names", fmt.Sprintf("%d names for %d machines", len(r.Names), r.Count))
	case twice(r.Names):
		return invalid("names", "one is empty or given twice")
	case d.UserDataMax > 0 && len(r.UserData) > d.UserDataMax:
		return invalid("user-data", fmt.Sprintf("%d bytes are more than %d", len(r.UserData), d.UserDataMax))
	}
	return nil
}

func invalid(field, why string) error {
	return &Error{Kind: Invalid, Op: OpCreate, What: field, Err: errorText(why)}
}

// errorText is an error that says no more than its text.
type errorText string

func (e errorText) Error() string { return string(e) }

func twice(names []string) bool {
	s := slices.Clone(names)
	slices.Sort(s)
	return slices.Contains(s, "") || len(slices.Compact(s)) < len(names)
}

// HasTags reports whether the machine bears all the tags.
func (m *Machine) HasTags(tags map[string]string) bool {
	for k, v := range tags {
		if got, ok := m.Tags[k]; !ok || got != v {
			return false
		}
	}
	return true
}
