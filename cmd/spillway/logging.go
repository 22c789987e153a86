package main

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"spillway/configs"
)

// logger is the application log; a reload may change its level.
type logger struct {
	*slog.Logger
	level *slog.LevelVar
}

func newLogger(w io.Writer, cfg *configs.Log) *logger {
	l := &logger{level: &slog.LevelVar{}}
	l.setLevel(cfg.Level)
	o := &slog.HandlerOptions{Level: l.level}
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(w) {
		l.Logger = slog.New(slog.NewTextHandler(w, o))
	} else {
		l.Logger = slog.New(slog.NewJSONHandler(w, o))
	}
	return l
}

// setLevel takes the levels configs allows.
func (l *logger) setLevel(name string) {
	var level slog.Level
	if level.UnmarshalText([]byte(name)) == nil {
		l.level.Set(level)
	}
}

// slogDefault makes l what packages without a logger of their own use.
func slogDefault(l *logger) { slog.SetDefault(l.Logger) }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
