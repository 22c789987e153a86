package exec_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"spillway/scaler/cloud/cloudtest"
	"spillway/scaler/cloud/exec"
)

// The example in shell is a driver like any other.
func TestShellExamplePassesTheSuite(t *testing.T) {
	t.Parallel()
	script, err := filepath.Abs("../../../configs/examples/exec-driver.sh")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(script); err != nil { // also tells go test on what its cached result depends
		t.Fatal(err)
	}
	cloudtest.Run(t, cloudtest.Setup{
		New: func(t *testing.T) cloudtest.Account {
			d, err := exec.New(t.Context(), exec.Options{
				Command: []string{"sh", script},
				Env:     []string{"EXEC_DRIVER_DIR=" + t.TempDir()},
				Timeout: 20 * time.Second,
			})
			if err != nil {
				t.Fatal(err)
			}
			return cloudtest.Account{Driver: d}
		},
		Many: 12,
	})
}
