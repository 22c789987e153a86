package join

import (
	"encoding/json"
	"slices"
)

// Daemon renders the engine's daemon.json. The same values give the same text.
func (c Config) Daemon() []byte {
	file := struct {
		Labels  []string `json:"labels,omitempty"`
		Mirrors []string `json:"registry-mirrors,omitempty"`
	}{Mirrors: c.Mirrors}
	for k, v := range c.Labels {
		file.Labels = append(file.Labels, k+"="+v)
	}
	slices.Sort(file.Labels)
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		panic("BUG: cannot encode labels: " + err.Error())
	}
	return append(text, '\n')
}
