package signal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Announce tells every registered gateway. It returns the errors of those that
// could not be told; a gateway without the upstream needs not to be.
func (g *Gateways) Announce(ctx context.Context, upstream string, ordered float64, eta time.Time) error {
	body := fmt.Sprintf(`{"ordered":%g,"eta_ms":%d}`, ordered, eta.UnixMilli())
	if ordered <= 0 {
		body = `{"ordered":0,"eta_ms":0}`
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		errs  []error
		slots = make(chan struct{}, g.opt.Parallel)
	)
	for id, admin := range g.registered() {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := g.post(ctx, admin+"/api/v1/upstreams/"+url.PathEscape(upstream)+"/capacity", body); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("cannot announce to gateway %q: %w", id, err))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (g *Gateways) registered() map[string]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := map[string]string{}
	for id, p := range g.peers {
		if p.left == 0 {
			list[id] = p.admin
		}
	}
	return list
}

// post sends an announcement.
func (g *Gateways) post(ctx context.Context, url, body string) error {
	ctx, cancel := context.WithTimeout(ctx, g.opt.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("cannot ask: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.caller.do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)) // so that the connection can be used again
	if resp.StatusCode/100 != 2 && resp.StatusCode != http.StatusNotFound {
		return fmt.Errorf("answered %d", resp.StatusCode)
	}
	return nil
}
