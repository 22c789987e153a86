package metrics

import "github.com/prometheus/client_golang/prometheus"

// metric is the place of a metric in the table below.
type metric int

// Every metric of the gateway, in the order of definitions.
const (
	connectionsAccepted metric = iota
	connectionsClosed
	connections
	connectionsRefused
	connectionHandoffs
	acceptExhausted
	badRequests
	localResponses
	clientTimeouts
	requestsCanceled
	tunnelsOpened
	tunnels
	receivedBytes
	sentBytes
	panics
	loopConnections
	loopBatches
	loopEvents

	requests
	requestDuration
	upstreamDuration
	gatewayOverhead
	upstreamRetries
	upstreamErrors
	upstreamCanceled
	upstreamConnections
	upstreamOpened
	upstreamClosed
	upstreamReuses
	upstreamReceivedBytes
	upstreamSentBytes

	capacityOrdered
	capacityETA

	serverUp
	serverInflight
	serverWeight
	serverFails
	serverHeld
	serverShare
	serverLatency
	upstreamPanic
	probes
	ejections

	syncIndex
	syncLastSuccess
	syncConvergence
	syncApply
	syncErrors
	syncDecisions
	syncRejected
	syncOverrides
	syncFrozen
	syncFlapping
	syncSource

	configReloadOK
	configReloadTime
	accessLogDropped
	accessLogErrors
	buildInfo
	metricCount
)

const (
	counter   = prometheus.CounterValue
	gauge     = prometheus.GaugeValue
	histogram = prometheus.UntypedValue // marks a histogram in the table, never exposed as untyped
)

// definition is how a metric is named and explained to its reader.
type definition struct {
	name   string
	kind   prometheus.ValueType
	help   string
	labels []string
}

// definitions returns the one table of all names.
func definitions() [metricCount]definition {
	of := func(labels ...string) []string { return labels }
	return [metricCount]definition{
		connectionsAccepted: {"spillway_connections_accepted_total", counter, "Client connections accepted.", nil},
		connectionsClosed:   {"spillway_connections_closed_total", counter, "Client connections closed.", nil},
		connections:         {"spillway_connections", gauge, "Client connections open now.", nil},
		connectionsRefused:  {"spillway_connections_refused_total", counter, "Client connections closed unread, by the limit that was reached (max_connections, per_address).", of("reason")},
		connectionHandoffs:  {"spillway_connection_handoffs_total", counter, "Client connections given to a less loaded loop.", nil},
		acceptExhausted:     {"spillway_accept_exhausted_total", counter, "Times accepting paused because the process was out of file descriptors.", nil},
		badRequests:         {"spillway_bad_requests_total", counter, "Requests refused because they are no valid HTTP or exceed a limit, by the status answered.", of("code")},
		localResponses:      {"spillway_local_responses_total", counter, "Responses made by the gateway itself, by status.", of("code")},
		clientTimeouts:      {"spillway_client_timeouts_total", counter, "Client connections or exchanges ended by a timer, by the timer (header, body, idle, send, tunnel, linger).", of("kind")},
		requestsCanceled:    {"spillway_requests_canceled_total", counter, "Requests whose client left before the answer (499).", nil},
		tunnelsOpened:       {"spillway_tunnels_opened_total", counter, "Connections upgraded to tunnels.", nil},
		tunnels:             {"spillway_tunnels", gauge, "Tunnels open now.", nil},
		receivedBytes:       {"spillway_received_bytes_total", counter, "Bytes received from clients.", nil},
		sentBytes:           {"spillway_sent_bytes_total", counter, "Bytes sent to clients.", nil},
		panics:              {"spillway_panics_total", counter, "Panics recovered in event loops. Any is a bug.", nil},
		loopConnections:     {"spillway_loop_connections", gauge, "Client connections each event loop owns now.", of("loop")},
		loopBatches:         {"spillway_loop_batches_total", counter, "Batches of events each loop received.", of("loop")},
		loopEvents:          {"spillway_loop_events_total", counter, "Events each loop received.", of("loop")},

		requests:              {"spillway_requests_total", counter, "Requests routed to an upstream, by the status the client was answered (499: it left before).", of("upstream", "code")},
		requestDuration:       {"spillway_request_duration_seconds", histogram, "Time from a request's first byte to the last byte of its answer.", of("upstream")},
		upstreamDuration:      {"spillway_upstream_duration_seconds", histogram, "Time from choosing a server to the last byte of its answer, over all tries.", of("upstream")},
		gatewayOverhead:       {"spillway_gateway_overhead_seconds", histogram, "Time the gateway itself added to a request.", of("upstream")},
		upstreamRetries:       {"spillway_upstream_retries_total", counter, "Further attempts at a request, by what made them necessary (error, timeout, invalid, status, stale).", of("upstream", "reason")},
		upstreamErrors:        {"spillway_upstream_errors_total", counter, "Failed attempts, by how they failed (connect, connect_timeout, read_timeout, send_timeout, reset, invalid, no_server).", of("upstream", "reason")},
		upstreamCanceled:      {"spillway_upstream_canceled_total", counter, "Exchanges with servers ended because the client left.", of("upstream")},
		upstreamConnections:   {"spillway_upstream_connections", gauge, "Connections to servers open now, by state (active, idle).", of("upstream", "state")},
		upstreamOpened:        {"spillway_upstream_connections_opened_total", counter, "Connections to servers opened.", of("upstream")},
		upstreamClosed:        {"spillway_upstream_connections_closed_total", counter, "Connections to servers closed.", of("upstream")},
		upstreamReuses:        {"spillway_upstream_connection_reuses_total", counter, "Requests sent on a connection that had served before.", of("upstream")},
		upstreamReceivedBytes: {"spillway_upstream_received_bytes_total", counter, "Bytes received from servers.", of("upstream")},
		upstreamSentBytes:     {"spillway_upstream_sent_bytes_total", counter, "Bytes sent to servers.", of("upstream")},

		capacityOrdered: {"spillway_upstream_capacity_ordered", gauge, "Units of capacity that a scaler announced for the upstream and that are still to come.", of("upstream")},
		capacityETA:     {"spillway_upstream_capacity_eta_timestamp_seconds", gauge, "When that capacity is expected.", of("upstream")},

		serverUp:       {"spillway_upstream_server_up", gauge, "1 if the server may get requests, 0 if it is down, failed, unproven, unhealthy or ejected.", of("upstream", "server")},
		serverInflight: {"spillway_upstream_server_inflight", gauge, "Exchanges now at the server.", of("upstream", "server")},
		serverWeight:   {"spillway_upstream_server_weight", gauge, "Weight of the server.", of("upstream", "server")},
		serverFails:    {"spillway_upstream_server_fails", gauge, "Failures of the server counted and not yet forgiven.", of("upstream", "server")},

		serverHeld:    {"spillway_upstream_server_held", gauge, "1 for what is held against a server (unproven, unhealthy, ejected), also while it is pardoned. No series: nothing.", of("upstream", "server", "reason")},
		serverShare:   {"spillway_upstream_server_share", gauge, "Part of its weight that a server gets while it starts slowly. No series: all.", of("upstream", "server")},
		serverLatency: {"spillway_upstream_server_latency_seconds", gauge, "Time to the head of an answer by which peak_ewma judges a server. No series: nothing is known.", of("upstream", "server")},
		upstreamPanic: {"spillway_upstream_panic", gauge, "1 while so few servers are admitted that all of them get requests.", of("upstream")},
		probes:        {"spillway_health_probes_total", counter, "Probes of servers, by outcome (good, bad).", of("upstream", "outcome")},
		ejections:     {"spillway_outlier_ejections_total", counter, "Ejections of servers, by reason (unreachable, gateway_failures, server_errors, success_rate, latency).", of("upstream", "reason")},

		syncIndex:       {"spillway_upsync_index", gauge, "Index of the registry the current servers were read at.", of("upstream")},
		syncLastSuccess: {"spillway_upsync_last_success_timestamp_seconds", gauge, "When the source of the servers last answered.", of("upstream")},
		syncConvergence: {"spillway_upsync_convergence_seconds", histogram, "Time from the head of the source's answer to its change being judged and published.", of("upstream")},
		syncApply:       {"spillway_upsync_apply_seconds", histogram, "Time from a change being decoded to the last event loop serving from it.", of("upstream")},
		syncErrors:      {"spillway_upsync_errors_total", counter, "Failed reads of the source, by reason.", of("upstream", "reason")},
		syncDecisions:   {"spillway_upsync_decisions_total", counter, "Server lists judged, by verdict.", of("upstream", "verdict")},
		syncRejected:    {"spillway_upsync_rejected_total", counter, "Entries of server lists that were not used, or not wholly.", of("upstream")},
		syncOverrides:   {"spillway_upsync_overrides", gauge, "Orders of operators about servers that hold.", of("upstream")},
		syncFrozen:      {"spillway_upsync_frozen", gauge, "1 while an operator keeps the set of servers as it is.", of("upstream")},
		syncFlapping:    {"spillway_upsync_flapping", gauge, "Servers left out because they come and go.", of("upstream")},
		syncSource:      {"spillway_upsync_source", gauge, "1 for where the current servers come from; state=\"dump\" is a last-known-good file.", of("upstream", "state")},

		configReloadOK:   {"spillway_config_last_reload_successful", gauge, "1 if the configuration was accepted when it was last read.", nil},
		configReloadTime: {"spillway_config_last_reload_success_timestamp_seconds", gauge, "When the configuration was last read and accepted.", nil},
		accessLogDropped: {"spillway_access_log_dropped_lines_total", counter, "Access log lines lost because the file was too slow or full.", nil},
		accessLogErrors:  {"spillway_access_log_write_errors_total", counter, "Failed writes to the access log.", nil},
		buildInfo:        {"spillway_build_info", gauge, "Always 1; the labels say what is running.", of("version", "revision", "goversion")},
	}
}

// Names returns the names of all metrics of the gateway, for checks of
// dashboards and alert rules. A histogram's series have _bucket, _sum and
// _count behind the name.
func Names() []string {
	var names []string
	for _, d := range definitions() {
		names = append(names, d.name)
	}
	return names
}
