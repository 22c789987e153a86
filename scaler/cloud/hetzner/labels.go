package hetzner

import (
	"maps"
	"slices"
	"strings"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"

	"spillway/scaler/cloud"
)

// Tags are labels. A label's value has at most 63 characters, and a profile's
// hash has 64: what is longer goes on in a second label, named after the first.
const (
	labelMax = 63
	rest     = ".rest"
)

// labels are the tags as the API takes them, or an error of kind Invalid: values
// are letters, digits, dashes, underscores and dots ("Labels").
func labels(op string, tags map[string]string) (map[string]string, error) {
	all := make(map[string]string, len(tags))
	for key, value := range tags {
		if len(value) > labelMax {
			all[key+rest] = value[labelMax:]
			value = value[:labelMax]
		}
		all[key] = value
	}
	check := make(map[string]any, len(all))
	for key, value := range all {
		check[key] = value
	}
	if ok, err := hcloud.ValidateResourceLabels(check); !ok {
		return nil, &cloud.Error{Kind: cloud.Invalid, Op: op, What: "tags", Err: err}
	}
	return all, nil
}

// tagsOf is the inverse of labels. The caller owns the answer.
func tagsOf(labels map[string]string) map[string]string {
	tags := maps.Clone(labels)
	if tags == nil {
		tags = map[string]string{}
	}
	for key, value := range labels {
		first, isRest := strings.CutSuffix(key, rest)
		if _, whole := labels[first]; isRest && whole {
			tags[first] += value
			delete(tags, key)
		}
	}
	return tags
}

// selector asks for labels ("Label Selector"). An empty value has no form of its
// own there: it asks for the key, and List looks at the value.
func selector(labels map[string]string) string {
	var terms []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if value := labels[key]; value != "" {
			terms = append(terms, key+"=="+value)
		} else {
			terms = append(terms, key)
		}
	}
	return strings.Join(terms, ",")
}
