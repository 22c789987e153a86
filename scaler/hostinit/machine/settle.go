package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settle makes files and routes what they shall be and waits until they have
// stayed so for Hold: clouds rewrite names, times, routes and package sources
// some seconds after a boot.
func (m *Machine) settle(ctx context.Context) error {
	hold := seconds(m.c.Hold)
	stable := m.h.Now()
	for {
		wrong, err := m.restore(ctx)
		if err != nil {
			return err
		}
		if len(wrong) > 0 {
			m.h.Log.Info("settling", "written_again", strings.Join(wrong, ", "))
			stable = m.h.Now()
		}
		left := hold - m.h.Now().Sub(stable)
		if left <= 0 {
			return nil
		}
		if pause(ctx, min(left, time.Second)) != nil {
			return fmt.Errorf("the machine does not settle: %s", strings.Join(wrong, ", "))
		}
	}
}

// restore mends what differs and names it.
func (m *Machine) restore(ctx context.Context) (wrong []string, err error) {
	for _, f := range m.c.Files {
		if !m.owns(f.Path) {
			continue
		}
		have, err := os.ReadFile(f.Path)
		if err == nil && string(have) == f.Text {
			continue
		}
		wrong = append(wrong, f.Path)
		if err := m.rewrite(ctx, f); err != nil {
			return wrong, err
		}
	}
	for _, route := range m.c.Routes {
		there, err := m.hasRoute(ctx, route)
		if err != nil {
			return wrong, err
		}
		if there {
			continue
		}
		wrong = append(wrong, "route "+route)
		if err := m.procs.run(ctx, "ip", append([]string{"route", "replace"}, strings.Fields(route)...)...); err != nil {
			return wrong, err
		}
	}
	return wrong, nil
}

// owns reports whether a file is the machine's own.
func (m *Machine) owns(path string) bool {
	return len(m.h.Owns) == 0 || slices.ContainsFunc(m.h.Owns, func(dir string) bool {
		return strings.HasPrefix(filepath.Clean(path), dir+"/")
	})
}

func (m *Machine) rewrite(ctx context.Context, f File) error {
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return err
	}
	if err := writeFile(f.Path, []byte(f.Text), f.mode()); err != nil {
		return err
	}
	if f.After == "" {
		return nil
	}
	return m.procs.run(ctx, "sh", "-c", f.After)
}

// mode is the file's; one that cannot be read is that of a file for all to
// read.
func (f *File) mode() os.FileMode {
	m, err := strconv.ParseUint(f.Mode, 8, 12)
	if err != nil {
		return 0o644
	}
	return os.FileMode(m)
}

// hasRoute asks the kernel for a route "CIDR via ADDRESS".
func (m *Machine) hasRoute(ctx context.Context, route string) (bool, error) {
	prefix, via, _ := strings.Cut(route, " via ")
	out, err := m.procs.output(ctx, "ip", "-o", "route", "show", prefix)
	if err != nil {
		return false, err
	}
	return strings.Contains(" "+out, " via "+strings.TrimSpace(via)+" "), nil
}

// CheckRoute returns what is wrong with a route "CIDR via ADDRESS".
func CheckRoute(route string) error {
	prefix, via, ok := strings.Cut(route, " via ")
	_, err := netip.ParsePrefix(prefix)
	_, viaErr := netip.ParseAddr(via)
	if !ok || errors.Join(err, viaErr) != nil {
		return fmt.Errorf("cannot use route %q: want CIDR via ADDRESS", route)
	}
	return nil
}

// writeFile replaces a file, whole or not at all.
func writeFile(path string, text []byte, mode os.FileMode) error {
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, text) {
		return nil
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails after the rename, as it should
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Chmod(mode), temp.Close()); err != nil {
		return fmt.Errorf("cannot write %q: %w", path, err)
	}
	return os.Rename(temp.Name(), path)
}
