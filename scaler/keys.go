package scaler

import "sync"

// keys is a set of what is taken; it is safe for concurrent use.
type keys struct {
	mu  sync.Mutex
	set map[string]bool
}

func newKeys() *keys { return &keys{set: map[string]bool{}} }

func (k *keys) take(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.set[key] {
		return false
	}
	k.set[key] = true
	return true
}

func (k *keys) release(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.set, key)
}
