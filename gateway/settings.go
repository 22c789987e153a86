package gateway

import (
	"fmt"
	"log/slog"

	"spillway/gateway/accesslog"
	"spillway/gateway/engine"
	"spillway/gateway/metrics"
	"spillway/gateway/route"
)

// Settings are what a reload may change.
type Settings struct {
	// Listen are the addresses clients connect to: "host:port" or
	// "unix:/path".
	Listen []string
	// Routes are tried in order.
	Routes []route.Rule
	// Engine holds limits, timeouts and forwarding. The gateway sets Routes,
	// AccessLog and LogFields itself.
	Engine engine.Config
	// AccessLog says where requests are logged.
	AccessLog AccessLog
}

// AccessLog names a log file and its format (see accesslog.Compile). With an
// empty Path nothing is logged.
type AccessLog struct{ Path, Format string }

// engineConfig is what the engine is given of the settings.
func (s *Settings) engineConfig(table *route.Table, log accessLog) *engine.Config {
	cfg := s.Engine
	cfg.Routes = table
	cfg.AccessLog = log.logger
	if log.format != nil {
		cfg.LogFields = log.format.Headers()
	}
	return &cfg
}

// compileRoutes compiles the rules and logs which of them can never match.
func compileRoutes(rules []route.Rule, log *slog.Logger) (*route.Table, error) {
	table, err := route.Compile(rules)
	if err != nil {
		return nil, fmt.Errorf("cannot use routes: %w", err)
	}
	for _, w := range table.Warnings() {
		log.Warn(w)
	}
	return table, nil
}

// accessLog is an open access log; the zero value logs nothing.
type accessLog struct {
	logger *accesslog.Logger
	format *accesslog.Format
}

func openAccessLog(a AccessLog, loops int) (accessLog, error) {
	if a.Path == "" {
		return accessLog{}, nil
	}
	f, err := accesslog.Compile(a.Format)
	if err != nil {
		return accessLog{}, err
	}
	l, err := accesslog.Open(a.Path, f, loops)
	if err != nil {
		return accessLog{}, err
	}
	return accessLog{l, f}, nil
}

func (a accessLog) close() error {
	if a.logger == nil {
		return nil
	}
	return a.logger.Close()
}

// status adds what this log lost to before.
func (a accessLog) status(before metrics.AccessLogStatus) metrics.AccessLogStatus {
	if a.logger != nil {
		before.Dropped += a.logger.Dropped()
		before.WriteErrors += a.logger.WriteErrors()
	}
	return before
}

func (a accessLog) reopen() error {
	if a.logger == nil {
		return nil
	}
	return a.logger.Reopen()
}
