package fleet

// Edge is one legal transition.
type Edge struct {
	From, To string
	When     string
}

// OrderEdges are the legal transitions of an order.
func OrderEdges() []Edge {
	return []Edge{
		{"intended", "bound", "Create answered with machines, or all of them are listed"},
		{"intended", "ambiguous", "the answer is unknown, or a former leader may have sent it"},
		{"intended", "refused", "no capacity, quota, invalid; or nothing but errors until the deadline Order"},
		{"ambiguous", "bound", "a repetition was answered, or machines are listed"},
		{"ambiguous", "refused", "a complete List after Call and ListLag shows none"},
		{"refused", "bound", "machines of it are listed after all"},
		{"refused", "intended", "the planner tries again (Again)"},
	}
}

// MachineEdges are the legal transitions of a machine.
func MachineEdges() []Edge {
	edges := []Edge{
		{"planned", "requested", "its order is written"},
		{"planned", "failed", "nobody knows its order until the deadline Requested"},
		{"requested", "booting", "the order bound it to a machine"},
		{"requested", "failed", "the order was refused, or made fewer machines"},
		{"booting", "joining", "it runs and has an address"},
		{"booting", "emptied", "no longer wanted"},
		{"booting", "failed", "deadline Boot, or the cloud says so"},
		{"joining", "settled", "init is done and the engine answers"},
		{"joining", "emptied", "no longer wanted"},
		{"joining", "failed", "deadline Join, or the cloud says so"},
		{"settled", "ready", "prepared, or deadline Prepare with an engine that answers"},
		{"settled", "emptied", "no longer wanted"},
		{"settled", "failed", "deadline Prepare with a silent engine, or the cloud says so"},
		{"ready", "cordoned", "asked, or the engine is silent for EngineSilent"},
		{"ready", "draining", "no longer wanted"},
		{"ready", "failed", "the cloud says it failed or was stopped"},
		{"cordoned", "ready", "wanted, and the engine answers"},
		{"cordoned", "draining", "no longer wanted (after Refused, if the cloud would not end it)"},
		{"cordoned", "failed", "the engine is silent for EngineDead and there was no traffic for Spare; or the cloud says so"},
		{"draining", "ready", "wanted again"},
		{"draining", "cordoned", "wanted again, without new containers"},
		{"draining", "emptied", "no instance is left"},
		{"draining", "failed", "the cloud says it failed or was stopped"},
		{"emptied", "ready", "wanted again"},
		{"emptied", "booting", "wanted again, and was never ready"},
		{"emptied", "draining", "not empty after all"},
		{"emptied", "warm-stopped", "to be kept stopped"},
		{"emptied", "deleting", "what is paid is nearly over (Release)"},
		{"warm-stopped", "starting", "wanted again (after Stock, if there was none)"},
		{"warm-stopped", "deleting", "no longer wanted, or cannot be stopped"},
		{"starting", "settled", "runs, and the engine answers"},
		{"starting", "warm-stopped", "no capacity or quota to start it"},
		{"starting", "emptied", "no longer wanted"},
		{"starting", "failed", "deadline Starting, or refused for good"},
		{"deleting", "gone", "Delete was answered, and a complete List after ListLag does not show it; or none has shown it for Lost"},
		{"deleting", "cordoned", "refused for good; it serves on for Refused"},
		{"gone", "deleting", "listed again"},
		{"gone", "failed", "listed, though its order said that it was not made"},
		{"lost", "joining", "listed again"},
		{"lost", "deleting", "unlisted for Lost, without instances and traffic"},
		{"failed", "gone", "it was never made"},
		{"failed", "joining", "it came up late, and is wanted (keep)"},
		{"failed", "quarantined", "it was never ready, and the budget allows it"},
		{"failed", "deleting", "no instance, and no traffic for Spare"},
		{"quarantined", "joining", "it came up late, and is wanted (keep)"},
		{"quarantined", "deleting", "deadline Quarantine, or no longer wanted"},
	}
	for _, from := range []string{
		"booting", "joining", "settled", "ready", "cordoned", "draining", "emptied", "warm-stopped", "starting", "quarantined",
	} {
		edges = append(edges, Edge{from, "lost", "unlisted for longer than ListLag, or the cloud is ending it"})
	}
	return edges
}

// InstanceEdges are the legal transitions of an instance.
func InstanceEdges() []Edge {
	edges := []Edge{
		{"planned", "starting", "its machine is ready"},
		{"planned", "gone", "no longer wanted, or its machine takes none"},
		{"starting", "registering", "its container runs"},
		{"starting", "leaving", "no longer wanted"},
		{"starting", "draining", "no longer wanted, and had served before a restart"},
		{"registering", "checking", "the registry took it, or shows it"},
		{"registering", "starting", "its container ended"},
		{"registering", "leaving", "no longer wanted, and not registered"},
		{"registering", "draining", "no longer wanted, and may be registered"},
		{"checking", "serving", "its check passes"},
		{"checking", "starting", "its container ended"},
		{"checking", "draining", "no longer wanted"},
		{"serving", "starting", "its container ended"},
		{"serving", "draining", "no longer wanted"},
		{"draining", "serving", "wanted again"},
		{"draining", "checking", "wanted again, and had not served yet"},
		{"draining", "leaving", "all gateways told and none in flight; deadline Drain; its container ended"},
		{"leaving", "stopping", "deregistered"},
		{"stopping", "gone", "removed, or ends with its machine"},
		{"failed", "leaving", "a tick later, if nothing is sent to it"},
		{"failed", "draining", "a tick later, if gateways may send to it"},
		{"gone", "stopping", "its container still runs"},
	}
	return append(
		edges,
		Edge{"starting", "failed", "deadline Start, too many errors, or its machine is lost or failed"},
		Edge{"registering", "failed", "deadline Register, too many restarts, or its machine is lost or failed"},
		Edge{"checking", "failed", "deadline Check, too many restarts, or its machine is lost or failed"},
		Edge{"serving", "failed", "too many restarts, or its machine is lost or failed"},
		Edge{"draining", "failed", "its machine is lost or failed"},
	)
}
