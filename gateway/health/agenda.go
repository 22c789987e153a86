package health

import (
	"container/heap"
	"time"
)

// event is something that happens at a time, once, unless it is set again.
type event struct {
	do    func(now time.Time)
	at    time.Time
	place int // in the agenda plus one, 0 if it does not stand there
}

// agenda holds the events to come, the next one first.
type agenda struct{ events eventHeap }

// set puts e down for at, instead of when it stood there before.
func (a *agenda) set(e *event, at time.Time) {
	e.at = at
	if e.place > 0 {
		heap.Fix(&a.events, e.place-1)
		return
	}
	heap.Push(&a.events, e)
}

// strike takes e out.
func (a *agenda) strike(e *event) {
	if e.place > 0 {
		heap.Remove(&a.events, e.place-1)
	}
}

// due takes out the next event if it is due, nil if none is.
func (a *agenda) due(now time.Time) *event {
	if len(a.events) == 0 || a.events[0].at.After(now) {
		return nil
	}
	return heap.Pop(&a.events).(*event)
}

// next is when the next event is due, if there is one.
func (a *agenda) next() (at time.Time, ok bool) {
	if len(a.events) == 0 {
		return time.Time{}, false
	}
	return a.events[0].at, true
}

// eventHeap implements heap.Interface.
type eventHeap []*event

func (h eventHeap) Len() int           { return len(h) }
func (h eventHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

func (h eventHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

func (h *eventHeap) Push(x any) {
	e := x.(*event)
	*h = append(*h, e)
	e.place = len(*h)
}

func (h *eventHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.place = 0
	return e
}
