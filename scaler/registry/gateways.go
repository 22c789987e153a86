package registry

import (
	"context"
	"slices"
	"strings"
)

// MetaAdmin is the key under which a gateway may tell the whole URL of its
// admin server; without it the URL is http:// and the service's address.
const MetaAdmin = "admin"

// Gateways lists the registered gateways by id, passing or not: one that is
// registered is expected to tell what it sees, and its silence has to be
// noticed.
func (c *client) Gateways(ctx context.Context) ([]Gateway, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	found, meta, err := c.api.Health().Service(c.cfg.GatewayService, "", false, c.query(ctx, ""))
	if err == nil {
		err = whole(meta)
	}
	if err != nil {
		return nil, wrap("list", c.cfg.GatewayService, "", err)
	}
	var all []Gateway
	for _, e := range found {
		g := Gateway{ID: e.Service.ID, Admin: strings.TrimSuffix(e.Service.Meta[MetaAdmin], "/")}
		if g.Admin == "" {
			g.Admin = "http://" + addressOf(e)
		}
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b Gateway) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}
