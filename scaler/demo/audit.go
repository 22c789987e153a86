package demo

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// tokenFaults reads the scalers' audit log, which outlives each of them: a
// token stands for one batch of machines, however often it was sent.
func (w *world) tokenFaults() []string {
	f, err := os.Open(filepath.Join(w.dir, "scaler", "audit.log"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []string{err.Error()}
	}
	defer f.Close()
	return tokenFaults(f)
}

func tokenFaults(audit io.Reader) (faults []string) {
	batches := map[string][]string{}
	lines := bufio.NewScanner(audit)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		var call struct {
			Op, Token string
			Machines  []string
		}
		// A scaler that was killed may have left half a line.
		if json.Unmarshal(lines.Bytes(), &call) != nil || call.Op != "create" || len(call.Machines) == 0 {
			continue
		}
		slices.Sort(call.Machines)
		before, ok := batches[call.Token]
		if ok && !slices.Equal(before, call.Machines) {
			faults = append(faults, fmt.Sprintf("double: token %s stands for %s and for %s", call.Token, strings.Join(before, " "), strings.Join(call.Machines, " ")))
		}
		batches[call.Token] = call.Machines
	}
	if err := lines.Err(); err != nil {
		faults = append(faults, err.Error())
	}
	return faults
}
