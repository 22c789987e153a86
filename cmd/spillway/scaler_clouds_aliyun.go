//go:build !no_aliyun

package main

import (
	"context"
	"log/slog"
	"time"

	"spillway/configs"
	"spillway/scaler/cloud"
	"spillway/scaler/cloud/aliyun"
)

// newAliyun makes the driver of a provider on Alibaba Cloud. Where machines
// have a time of release, a goroutine renews it until ctx ends.
func newAliyun(ctx context.Context, c *configs.Scaler, name string, p *configs.ScalerProvider) (cloud.Driver, error) {
	d, err := aliyun.New(aliyunOptions(p))
	if err != nil {
		return nil, err
	}
	if p.Aliyun.ReleaseAfter > 0 && !c.DryRun {
		go renewAliyun(ctx, d, name, c.Cluster)
	}
	return d, nil
}

func aliyunOptions(p *configs.ScalerProvider) aliyun.Options {
	a := &p.Aliyun
	o := aliyun.Options{
		Region: a.Region, Endpoint: a.Endpoint,
		Credentials: aliyun.CredentialOptions{Profile: a.Profile, RoleARN: a.RoleARN, ExternalID: a.ExternalID, STS: a.STSEndpoint},
		Image:       a.Image, LaunchTemplate: a.LaunchTemplate, SecurityGroups: a.SecurityGroups, VSwitches: a.VSwitches,
		KeyPair: a.KeyPair, RAMRole: a.RAMRole, DiskType: a.DiskType, DiskGiB: a.DiskGiB, PublicMbit: a.PublicMbit,
		Hardened: a.HardenedMetadata, SpotLimit: a.SpotLimit, ReleaseAfter: a.ReleaseAfter,
	}
	for _, k := range p.Offerings {
		o.Kinds = append(o.Kinds, aliyun.Kind{
			Type: k.Type, Zones: k.Zones, Spot: k.Spot, Units: k.Units, PriceHour: k.PriceHour, MaxPPS: k.MaxPPS,
		})
	}
	return o
}

// renewer moves the release of a cluster's machines on.
type renewer interface {
	Renew(ctx context.Context, tags map[string]string) (moved int, err error)
}

// renewEvery is a small part of the shortest time of release.
const renewEvery = 30 * time.Minute

// renewAliyun keeps the cluster's machines from being released while a scaler
// runs, whether it leads or not: their time is meant for when there is none.
func renewAliyun(ctx context.Context, d renewer, name, cluster string) {
	t := time.NewTicker(renewEvery)
	defer t.Stop()
	for {
		moved, err := d.Renew(ctx, map[string]string{cloud.TagCluster: cluster})
		if err != nil && ctx.Err() == nil {
			slog.Error("cannot renew the release of machines: without it they end", "provider", name, "renewed", moved, "error", err)
		} else if moved > 0 {
			slog.Info("renewed the release of machines", "provider", name, "machines", moved)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
