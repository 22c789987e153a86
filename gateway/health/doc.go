// Package health decides which servers are fit for requests: it probes them,
// compares how they answer, ejects those that do worse than the others, and
// gives those that come back their load slowly.
//
// It owns what is held against a server (upstream.Standing), which pickers
// read, and what people are told of it (upstream.Health). Decisions are pure
// functions of a state, what was seen and the time: state.step (probes),
// outliers (the comparison), ejection.begin (how long), share and leastShare
// (slow start), upstream.Pardon (too few are left). The Monitor feeds them and
// does what they say.
//
// It never touches a request, knows nothing of the engine and of
// configuration, and removes no server. State sits on the server, so it
// survives every change of a registry.
//
// Goroutines: the one that runs Monitor.Run owns all state; each running probe
// has one, at most Options.Probes at a time. While no upstream asks for any of
// it nothing runs but one blocked goroutine.
package health
