package peers

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// coreTime is one processor's time in /proc/stat, in ticks.
type coreTime struct {
	idle, total int64
}

// readCore reads the line of one processor; iowait counts as idle.
func readCore(cpu int) (coreTime, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return coreTime{}, fmt.Errorf("cannot read processor times: %w", err)
	}
	return parseCore(string(text), cpu)
}

func parseCore(text string, cpu int) (coreTime, error) {
	name := "cpu" + strconv.Itoa(cpu)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 9 || f[0] != name {
			continue
		}
		var c coreTime
		for i, s := range f[1:9] { // user nice system idle iowait irq softirq steal
			v, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return coreTime{}, fmt.Errorf("cannot read processor times %q: %w", line, err)
			}
			c.total += v
			if i == 3 || i == 4 {
				c.idle += v
			}
		}
		return c, nil
	}
	return coreTime{}, fmt.Errorf("cannot read processor times: no line %q", name)
}

// busySince is the share of the time in which the processor did anything.
func (c coreTime) busySince(before coreTime) float64 {
	total := c.total - before.total
	if total <= 0 {
		return 0
	}
	return 1 - float64(c.idle-before.idle)/float64(total)
}
