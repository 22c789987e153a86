package devregistry

import "sync"

// topic is something a blocking query waits on.
type topic struct {
	kind topicKind
	name string
}

type topicKind uint8

const (
	topicKey      topicKind = iota // one KV key
	topicPrefix                    // every KV key with the prefix
	topicService                   // instances and checks of one service
	topicServices                  // any service
	topicNode                      // one node, its services and checks
	topicNodes                     // any node
	topicChecks                    // any check
	topicSession                   // one session
	topicSessions                  // any session
)

// touched collects what one write changed.
type touched struct {
	topics   []topic
	keys     []string // KV keys, matched against topicKey and topicPrefix
	sessions []string // sessions made, renewed or gone: their timers follow
	checks   []string // TTL checks of the own node whose timers follow
	tombs    bool     // tombstones were left
}

func (t *touched) add(kind topicKind, name string) {
	t.topics = append(t.topics, topic{kind, name})
}

func (t *touched) key(key string) { t.keys = append(t.keys, key) }

// waiter is one blocking query that waits. wake holds at most one token: a
// waiter that is woken reads the state again anyway.
type waiter struct {
	topic topic
	wake  chan struct{}
	// abandoned is set before the last wake: the state was replaced and the
	// query returns what is there, as Consul does after a restore.
	abandoned bool
}

// watchers are the blocking queries that wait, by topic.
type watchers struct {
	mu       sync.Mutex
	byTopic  map[topic]map[*waiter]struct{}
	prefixes int
}

func (w *watchers) init() { w.byTopic = make(map[topic]map[*waiter]struct{}) }

// add registers a waiter. The caller holds the state's read lock, so that no
// write falls between what it read and the registration.
func (w *watchers) add(t topic) *waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	set := w.byTopic[t]
	if set == nil {
		set = make(map[*waiter]struct{})
		w.byTopic[t] = set
		if t.kind == topicPrefix {
			w.prefixes++
		}
	}
	wt := &waiter{topic: t, wake: make(chan struct{}, 1)}
	set[wt] = struct{}{}
	return wt
}

func (w *watchers) remove(wt *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	set := w.byTopic[wt.topic]
	delete(set, wt)
	if len(set) > 0 || w.byTopic[wt.topic] == nil {
		return
	}
	delete(w.byTopic, wt.topic)
	if wt.topic.kind == topicPrefix {
		w.prefixes--
	}
}

func (w *watchers) notify(t *touched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, topic := range t.topics {
		w.wake(topic)
	}
	for _, key := range t.keys {
		w.wakeKey(key)
	}
}

// wakeKey costs one lookup for each prefix of the key, however many watches
// there are.
func (w *watchers) wakeKey(key string) {
	w.wake(topic{topicKey, key})
	if w.prefixes == 0 {
		return
	}
	for i := 0; i <= len(key); i++ {
		w.wake(topic{topicPrefix, key[:i]})
	}
}

func (w *watchers) wake(t topic) {
	for wt := range w.byTopic[t] {
		select {
		case wt.wake <- struct{}{}:
		default:
		}
	}
}

// abandon wakes every query for good: the state they wait on is gone.
func (w *watchers) abandon() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for t, set := range w.byTopic {
		for wt := range set {
			wt.abandoned = true
		}
		w.wake(t)
	}
}

func (w *watchers) isAbandoned(wt *waiter) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return wt.abandoned
}
