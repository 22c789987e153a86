package join

import (
	"encoding/json"
	"maps"
	"slices"
)

// Daemon renders the engine's daemon.json. The same values give the same text.
func (c Config) Daemon() []byte {
	file := maps.Clone(c.Options)
	if file == nil {
		file = map[string]any{}
	}
	var labels []string
	for k, v := range c.Labels {
		labels = append(labels, k+"="+v)
	}
	if slices.Sort(labels); len(labels) > 0 {
		file["labels"] = labels
	}
	if len(c.Mirrors) > 0 {
		file["registry-mirrors"] = c.Mirrors
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		panic("BUG: options that came from JSON cannot go back: " + err.Error())
	}
	return append(text, '\n')
}
