package scaler

import (
	"testing"

	"spillway/scaler/cloud"
	"spillway/scaler/cloud/aliyun"
	"spillway/scaler/cloud/cloudfake"
	"spillway/scaler/cloud/ec2"
	"spillway/scaler/cloud/hetzner"
	"spillway/scaler/cloud/openstack"
)

// frontedClouds are drivers of public clouds, each in front of the simulated
// cloud by the protocol of its own.
func frontedClouds() map[string]func(testing.TB, *world) (cloud.Driver, error) {
	return map[string]func(testing.TB, *world) (cloud.Driver, error){
		"ec2": func(t testing.TB, w *world) (cloud.Driver, error) {
			wire := cloudfake.New(t, w.cloud, cloudfake.Options{Now: w.clock.Now}).EC2(cloudfake.EC2Options{})
			env := wire.Env()
			return ec2.New(ec2.Options{
				Region: "us-east-1", Image: "ami-1", Kinds: []ec2.Kind{{Type: "c2", PriceHour: 0.1}}, ListLag: quick().ListLag,
				Now: w.clock.Now, Getenv: func(name string) string { return env[name] },
			})
		},
		"aliyun": func(t testing.TB, w *world) (cloud.Driver, error) {
			url := cloudfake.New(t, w.cloud, cloudfake.Options{Now: w.clock.Now}).Aliyun()
			env := map[string]string{"ALIBABA_CLOUD_ACCESS_KEY_ID": cloudfake.AliyunKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": cloudfake.AliyunKeySecret}
			return aliyun.New(aliyun.Options{
				Region: cloudfake.AliyunRegion, Endpoint: url, Image: "m-1", Kinds: []aliyun.Kind{{Type: "c2"}},
				VSwitches: map[string]string{"a": "vsw-a", "b": "vsw-b"}, Now: w.clock.Now,
				Credentials: aliyun.CredentialOptions{Getenv: func(name string) string { return env[name] }},
			})
		},
		"openstack": func(t testing.TB, w *world) (cloud.Driver, error) {
			url := cloudfake.New(t, w.cloud, cloudfake.Options{Now: w.clock.Now}).OpenStack()
			return openstack.New(openstack.Options{
				Auth:  openstack.Credentials{URL: url, ApplicationID: cloudfake.OpenStackAppID, ApplicationSecret: cloudfake.OpenStackSecret},
				Image: cloudfake.OpenStackImage, Kinds: []openstack.Kind{{Type: "c2", PriceHour: 0.1}}, ListLag: quick().ListLag,
			})
		},
		"hetzner": func(t testing.TB, w *world) (cloud.Driver, error) {
			url := cloudfake.New(t, w.cloud, cloudfake.Options{Now: w.clock.Now}).Hetzner()
			d, err := hetzner.New(hetzner.Options{
				Endpoint: url, Token: cloudfake.HetznerToken, Image: "debian-13", Now: w.clock.Now, ListLag: quick().ListLag,
			})
			return rename(d, w.cloud), err
		},
	}
}

// TestCrashMatrixThroughProtocols plays cases of the crash matrix with the
// rented machines ordered through each cloud's protocol: a few of them, each
// fault with another crash, or all with SPILLWAY_CRASH_MATRIX.
func TestCrashMatrixThroughProtocols(t *testing.T) {
	cases := chosenCases(2*crashEffects + 5)
	for name, open := range frontedClouds() {
		t.Run(name, func(t *testing.T) {
			parallel(cases, func(c crashCase) {
				t.Run(c.String(), func(t *testing.T) {
					w := newWorld(t, shortSpike, func(w *world) { w.name, w.seed = name+", "+c.String(), c.seed })
					d, err := open(t, w)
					if err != nil {
						t.Error(err)
						return
					}
					w.clouds["rent"] = w.wrap(d)
					w.restart()
					c.play(w)
				})
			})
		})
	}
}
