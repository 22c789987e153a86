package docker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/client"
)

// Image implements Runtime. Callers that want one image on one engine at the
// same time share one pull, which ends when the last of them has gone. An
// image by digest cannot come from a mirror named here, because it could not
// be given its name; the engine's own registry-mirrors can do that.
func (x *Engines) Image(ctx context.Context, e Engine, name string, sources []string) error {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return fmt.Errorf("%w: image %q: %w", ErrInvalid, name, err)
	}
	l := x.lane(e)
	what := fmt.Sprintf("get image %q", name)
	if len(sources) == 0 {
		sources = []string{name}
	}
	present := false
	err = l.short(ctx, what, func(ctx context.Context, api *client.Client) (err error) {
		present, err = l.present(ctx, api, name)
		return err
	})
	if present || err != nil {
		return err
	}
	return l.pulls.share(ctx, name+"\x00"+strings.Join(sources, "\x00"), x.opts.Pull, func(ctx context.Context) error {
		return l.long(ctx, what, func(ctx context.Context, api *client.Client) error {
			g := getting{lane: l, api: api, name: name, ref: reference.TagNameOnly(ref)}
			return g.fromAny(ctx, sources)
		})
	})
}

// Has says whether the image is on the engine.
func (x *Engines) Has(ctx context.Context, e Engine, name string) (bool, error) {
	l := x.lane(e)
	present := false
	err := l.short(ctx, fmt.Sprintf("look for image %q", name), func(ctx context.Context, api *client.Client) (err error) {
		present, err = l.present(ctx, api, name)
		return err
	})
	return present, err
}

func (l *lane) present(ctx context.Context, api *client.Client, name string) (bool, error) {
	_, err := within(ctx, l.opts.Call, func(ctx context.Context) (image.InspectResponse, error) {
		return api.ImageInspect(ctx, name)
	})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// getting is one image on its way to one engine.
type getting struct {
	lane *lane
	api  *client.Client
	name string          // as asked for
	ref  reference.Named // the same in full, with its tag or digest
}

// fromAny tries the sources in their order. An engine that cannot be reached
// ends it: no other source would help.
func (g *getting) fromAny(ctx context.Context, sources []string) error {
	var failed []error
	for _, source := range sources {
		err := g.from(ctx, source)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || unreachable(err) {
			return err
		}
		failed = append(failed, fmt.Errorf("from %q: %w", source, err))
	}
	return fmt.Errorf("%w: %w", ErrNoImage, errors.Join(failed...))
}

func (g *getting) from(ctx context.Context, source string) error {
	if path, ok := strings.CutPrefix(source, "file:"); ok {
		return g.load(ctx, path)
	}
	from, err := g.at(source)
	if err != nil {
		return err
	}
	if err := g.pull(ctx, from); err != nil || from.String() == g.ref.String() {
		return err
	}
	_, err = within(ctx, g.lane.opts.Call, func(ctx context.Context) (any, error) {
		return nil, g.api.ImageTag(ctx, from.String(), g.ref.String())
	})
	return err
}

// at is the image as a source has it. A bare host is a mirror of everything.
func (g *getting) at(source string) (reference.Named, error) {
	text := source
	if !strings.Contains(source, "/") && source != g.name {
		text = source + "/" + reference.Path(g.ref) + strings.TrimPrefix(g.ref.String(), g.ref.Name())
	}
	from, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return nil, err
	}
	from = reference.TagNameOnly(from)
	if _, pinned := g.ref.(reference.Digested); pinned && from.String() != g.ref.String() {
		return nil, errors.New("an image by digest can only come under its own name")
	}
	return from, nil
}

func (g *getting) pull(ctx context.Context, from reference.Named) error {
	auth, err := g.auth(reference.Domain(from))
	if err != nil {
		return err
	}
	return watch(ctx, g.lane.opts.PullIdle, func(ctx context.Context, w *watchdog) error {
		body, err := g.api.ImagePull(ctx, from.String(), image.PullOptions{RegistryAuth: auth})
		if err != nil {
			return err
		}
		defer body.Close()
		return readProgress(w.reader(body))
	})
}

// auth is in the form of the X-Registry-Auth header.
func (g *getting) auth(host string) (string, error) {
	user, password := g.lane.opts.Auth(host)
	if user == "" && password == "" {
		return "", nil
	}
	b, err := json.Marshal(registry.AuthConfig{Username: user, Password: password, ServerAddress: host})
	return base64.URLEncoding.EncodeToString(b), err
}

// load sends an archive and then looks whether the image was in it.
func (g *getting) load(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = watch(ctx, g.lane.opts.PullIdle, func(ctx context.Context, w *watchdog) error {
		answer, err := g.api.ImageLoad(ctx, w.reader(f))
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		return readProgress(w.reader(answer.Body))
	})
	if err != nil {
		return err
	}
	present, err := g.lane.present(ctx, g.api, g.name)
	if err == nil && !present {
		err = fmt.Errorf("the archive has no image %q", g.name)
	}
	return err
}

// readProgress reads the messages of a pull or a load to their end. The engine
// answers 200 before it begins: what fails later is in the last message.
func readProgress(r io.Reader) error {
	d := json.NewDecoder(r)
	for {
		var m struct {
			Error  string `json:"error"`
			Detail struct {
				Message string `json:"message"`
			} `json:"errorDetail"`
		}
		err := d.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("cannot read the engine's progress: %w", err)
		case m.Detail.Message != "":
			return errors.New(m.Detail.Message)
		case m.Error != "":
			return errors.New(m.Error)
		}
	}
}
