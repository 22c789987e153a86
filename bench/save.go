package bench

import (
	"fmt"
	"io"
	"os"
)

// saveAs writes a file, or nothing if no path is given.
func saveAs(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("cannot save report: %w", err)
	}
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("cannot save report %q: %w", path, err)
	}
	return nil
}
