package docker

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
)

// ensureNetwork makes a bridge network of that name unless there is one. The
// lock matters: engines before 25 let two requests at once make two networks
// of one name, after which the name is ambiguous and useless.
func (l *lane) ensureNetwork(ctx context.Context, api *client.Client, name, cluster string) error {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Call)
	defer cancel()
	select {
	case l.networks <- struct{}{}:
		defer func() { <-l.networks }()
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err := api.NetworkInspect(ctx, name, network.InspectOptions{})
	if !errdefs.IsNotFound(err) {
		return err
	}
	_, err = api.NetworkCreate(ctx, name, network.CreateOptions{
		Driver: "bridge", Attachable: true, Labels: map[string]string{LabelCluster: cluster},
	})
	if errdefs.IsConflict(err) {
		return nil
	}
	return err
}
