package load

import "time"

// batchEnd runs after each batch of events.
func (l *lane) batchEnd() {
	if l.origin == 0 || l.finished {
		return
	}
	now := l.loop.Clock()
	if !l.begun {
		if now < l.origin {
			armTimer(l.timerFD, time.Duration(l.origin-now))
			return
		}
		l.start(now)
	}
	if l.pacer != nil && !l.draining { // the last may be due just before the end
		l.pump(now)
	}
	if now >= l.secondEnds {
		l.roll(now)
	}
	switch {
	case now < l.end:
	case l.over(now) || !l.overdue():
		l.drain(now)
	default:
		l.beat()
	}
}

// overdue reports whether a request was due before the end and has not left.
func (l *lane) overdue() bool {
	at, more := l.pacer.Due()
	return more && l.origin+int64(at) < l.end
}

// roll hands over the seconds that have passed. What is answered after the end
// belongs to the last one.
func (l *lane) roll(now int64) {
	for now >= l.secondEnds && l.secondEnds < l.end {
		l.publish()
		l.secondEnds += int64(time.Second)
	}
	l.beat()
}

// beat asks to be woken when the second or the run ends, though nothing else
// happens.
func (l *lane) beat() {
	at := min(l.secondEnds, l.end)
	if l.draining || at <= l.loop.Now() {
		at = l.loop.Now() + int64(50*time.Millisecond)
	}
	l.loop.After(&l.pulse.source, &l.pulse, at)
}

// publish gives the current second to the collector and begins the next.
func (l *lane) publish() {
	s := l.rec.second
	l.rec.second = second{index: s.index + 1, latency: l.run.collector.spare()}
	l.run.collector.seconds <- s
}

// drain waits for what is on its way; it cannot take longer than the timeout.
func (l *lane) drain(now int64) {
	if !l.draining {
		l.draining = true
		l.rec.ended = l.end
		l.use = readThreadUse().since(l.useBefore)
		l.leave()
	}
	if l.inflight > 0 {
		l.beat()
		return
	}
	l.publish()
	l.finished = true
	l.loop.Stop()
}

// leave counts what was due and found no connection.
func (l *lane) leave() {
	if l.pacer == nil {
		return
	}
	for {
		at, more := l.pacer.Due()
		if due := l.origin + int64(at); more && due < l.end {
			l.rec.left(due, l.end)
			l.pacer.Advance()
			continue
		}
		return
	}
}

// cut ends the run early.
func (l *lane) cut(now int64) {
	if l.origin == 0 || now >= l.end {
		return
	}
	l.end = max(now, l.rec.measured+1)
	l.beat()
}

// follow changes the schedule while it runs.
func (l *lane) follow(c *Curve) {
	if l.pacer == nil || l.draining {
		return
	}
	l.pacer.Follow(c)
	l.armed = 0
}

// The rest of worker.

func (l *lane) prepare()      { l.setUp() }
func (l *lane) work()         { l.loop.Run() }
func (l *lane) post(f func()) { l.loop.Post(f) }

func (l *lane) stop() {
	l.loop.Post(func() { l.finished = true })
	l.loop.Stop()
}

func (l *lane) measured() *measure {
	return &measure{rec: &l.rec, use: l.use, lastAnswer: l.lastAnswer}
}
