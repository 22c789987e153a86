package cloud

import (
	"context"
	"fmt"
	"sync"
)

// MoneyPerHour is Error.What of a Create that Budget refused.
const MoneyPerHour = "money/hour"

// Budget refuses a Create, with an error of kind Quota, if all that is bought
// would cost more than most an hour after it. committed is what everything but
// this request costs already, orders on their way included: an order is
// written down before it is sent, so that two at a time know of each other.
// Prices are those of Offerings, read once and again for an offering it does
// not know. Nothing is bought whose price is not known.
//
// A batch is refused as a whole: to shrink it would be another request under
// the same token.
func Budget(d Driver, most float64, committed func(r CreateRequest) float64) Driver {
	prices := &priceList{d: d}
	return Intercept(d, func(ctx context.Context, c *Call, next func(context.Context) error) error {
		if c.Op != OpCreate {
			return next(ctx)
		}
		price, err := prices.of(ctx, c.Request)
		if err != nil {
			return err
		}
		now, more := committed(*c.Request), price*float64(c.Request.Count)
		if more > 0 && now+more > most {
			text := fmt.Sprintf("%.4g an hour is committed, %.4g more would pass the limit of %.4g", now, more, most)
			return &Error{Kind: Quota, Op: OpCreate, What: MoneyPerHour, Err: errorText(text)}
		}
		return next(ctx)
	})
}

type priceList struct {
	d Driver

	mu    sync.Mutex
	known map[offeringKey]float64
}

type offeringKey struct {
	typ, zone string
	spot      bool
}

func (p *priceList) of(ctx context.Context, r *CreateRequest) (float64, error) {
	k := offeringKey{r.Type, r.Zone, r.Spot}
	if price, ok := p.lookup(k); ok {
		return price, nil
	}
	all, err := p.d.Offerings(ctx)
	if err != nil {
		// Nothing was asked for, whatever kind of error that is.
		return 0, &Error{Kind: Transient, Op: OpCreate, What: "price", Err: err}
	}
	p.learn(all)
	if price, ok := p.lookup(k); ok {
		return price, nil
	}
	return 0, invalid("type", fmt.Sprintf("%q in zone %q has no price", r.Type, r.Zone))
}

func (p *priceList) lookup(k offeringKey) (float64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	price, ok := p.known[k]
	return price, ok
}

func (p *priceList) learn(all []Offering) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = make(map[offeringKey]float64, len(all))
	for _, o := range all {
		p.known[offeringKey{o.Type, o.Zone, o.Spot}] = o.PriceHour
	}
}
