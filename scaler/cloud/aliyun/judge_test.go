package aliyun_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/sim"
)

// judgeTime is enough to compile the vendor's SDK from nothing on two cores.
const judgeTime = 4 * time.Minute

// The fake that the driver is tested by is itself judged by the vendor's SDK,
// in a module of its own (tools/aliyun-judge).
func TestTheVendorsSDK(t *testing.T) {
	p := sim.Aliyun()
	p.Boot, p.ListLag, p.Limits = sim.Boot{}, 0, nil // machines are what was asked at once
	behind := sim.New(p, sim.Options{Clock: cloud.Clock{Now: time.Now}, Seed: 7})
	url := cloudfake.New(t, behind, cloudfake.Options{}).Aliyun()

	ctx, cancel := context.WithTimeout(t.Context(), judgeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "./...")
	cmd.Dir = filepath.Join("..", "..", "..", "tools", "aliyun-judge")
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off",
		"SPILLWAY_ALIYUN="+url, "SPILLWAY_ALIYUN_REGION="+cloudfake.AliyunRegion,
		"SPILLWAY_ALIYUN_KEY_ID="+cloudfake.AliyunKeyID, "SPILLWAY_ALIYUN_KEY_SECRET="+cloudfake.AliyunKeySecret,
	)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the SDK's tests against the fake: %v\n%s", err, out)
	}
}
