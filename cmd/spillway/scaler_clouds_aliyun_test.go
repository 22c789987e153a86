//go:build !no_aliyun

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"spillway/configs"
	"spillway/scaler/cloud"
	"spillway/scaler/cloud/aliyun"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/sim"
)

// A provider of the file buys in front of a fake of the cloud.
func TestAliyunProviderOfTheFile(t *testing.T) {
	behind := sim.New(sim.Aliyun(), sim.Options{Clock: cloud.Clock{Now: time.Now}})
	url := cloudfake.New(t, behind, cloudfake.Options{}).Aliyun()
	credentials := filepath.Join(t.TempDir(), "credentials")
	text := "[ops]\ntype = access_key\naccess_key_id = " + cloudfake.AliyunKeyID + "\naccess_key_secret = " + cloudfake.AliyunKeySecret + "\n"
	if err := os.WriteFile(credentials, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ALIBABA_CLOUD_CREDENTIALS_FILE", credentials)
	p := &configs.ScalerProvider{
		Driver:    "aliyun",
		Offerings: []configs.ScalerOffering{{Type: "small", CPU: 1, Spot: true, Zones: []string{"h"}}, {Type: "large", Units: 3, PriceHour: 9}},
		Aliyun: configs.ScalerAliyun{
			Region: "cn-hangzhou", Endpoint: url, STSEndpoint: url, Profile: "ops", RoleARN: "acs:ram::1:role/scaler",
			Image: "m-1", VSwitches: map[string]string{"h": "vsw-h", "i": "vsw-i"},
		},
	}
	d, err := newDriver(t.Context(), &configs.Scaler{Cluster: "prod"}, "ali", p)
	if err != nil {
		t.Fatal(err)
	}
	offerings, err := d.Offerings(t.Context())
	if err != nil || len(offerings) != 3 {
		t.Fatalf("offerings are %v, error %v, want small spot in h and large in h and i", offerings, err)
	}
	if o := offerings[0]; !o.Spot || o.Zone != "h" || o.Units != 2 || o.PriceHour != 0.02 {
		t.Errorf("small is %+v, want the cloud's two units and price", o)
	}
	if o := offerings[2]; o.Zone != "i" || o.Units != 3 || o.PriceHour != 9 || o.CPU != 8 {
		t.Errorf("large is %+v, want the file's three units and price", o)
	}
}

func TestAliyunProviderWithoutRegion(t *testing.T) {
	_, err := newDriver(t.Context(), &configs.Scaler{}, "ali", &configs.ScalerProvider{Driver: "aliyun"})
	if err == nil || !strings.Contains(err.Error(), "region") {
		t.Errorf("error is %v, want one about the region", err)
	}
}

// A scaler that runs keeps machines from being released, and stops when it is
// told to.
func TestAliyunMachinesAreRenewedWhileAScalerRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var looks atomic.Int32
		d := looker(func() { looks.Add(1) })
		done := make(chan struct{})
		go func() {
			renewAliyun(ctx, d, "ali", "prod")
			close(done)
		}()
		time.Sleep(2*time.Hour + time.Minute) //arch:allow sleep: the clock of synctest
		if n := looks.Load(); n != 5 {
			t.Errorf("looked %d times in two hours, want at once and every half hour", n)
		}
		cancel()
		<-done
	})
}

// looker counts how often it is asked to renew.
type looker func()

func (l looker) Renew(context.Context, map[string]string) (int, error) {
	l()
	return 1, nil
}

var _ renewer = (*aliyun.Driver)(nil)
