package join

import "sync"

// maxTold bounds what is remembered. Beyond it stages are told once more,
// which is no harm.
const maxTold = 1 << 16

// told remembers the stages of machines that were passed on.
type told struct {
	mu     sync.Mutex
	stages map[[2]string]bool
}

// first reports whether a stage of a machine is news.
func (t *told) first(machine, stage string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := [2]string{machine, stage}
	if t.stages[key] {
		return false
	}
	if len(t.stages) >= maxTold {
		clear(t.stages)
	}
	t.stages[key] = true
	return true
}
