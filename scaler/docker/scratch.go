package docker

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"strings"
	"time"
)

// scratchUser runs what is in a scratch image: nobody, by number because there
// is no passwd file.
const scratchUser = "65534:65534"

// ScratchImage writes an archive, as `docker load` takes it, of an image that
// holds one static binary and nothing else but an empty /tmp. The binary is
// placed at entrypoint[0], an absolute path; cmd are the default arguments
// behind the entrypoint. It is run as nobody.
//
// The same arguments give the same bytes and so the same image id. The binary
// is read whole into memory.
//
// The format is the one of https://github.com/moby/docker-image-spec
// (v1.2, "Combined Image JSON + Filesystem Changeset Format").
func ScratchImage(w io.Writer, name string, binary io.Reader, entrypoint []string, cmd ...string) error {
	if len(entrypoint) == 0 || !path.IsAbs(entrypoint[0]) || path.Clean(entrypoint[0]) == "/" {
		return fmt.Errorf("cannot make image %q: the entrypoint %q is not the absolute path of a file", name, entrypoint)
	}
	if name == "" || strings.Contains(name, "@") {
		return fmt.Errorf("cannot make image %q: not a name with a tag", name)
	}
	layer, err := scratchLayer(entrypoint[0], binary)
	if err != nil {
		return fmt.Errorf("cannot make image %q: %w", name, err)
	}
	if err := writeArchive(w, withTag(name), layer, entrypoint, cmd); err != nil {
		return fmt.Errorf("cannot write image %q: %w", name, err)
	}
	return nil
}

// scratchLayer is a tar of the file, its folders and /tmp.
func scratchLayer(name string, binary io.Reader) ([]byte, error) {
	content, err := io.ReadAll(binary)
	if err != nil {
		return nil, fmt.Errorf("cannot read its binary: %w", err)
	}
	if len(content) == 0 {
		return nil, errors.New("its binary is empty")
	}
	name = strings.TrimPrefix(path.Clean(name), "/")
	var buf bytes.Buffer
	t := tar.NewWriter(&buf)
	for _, dir := range parents(name) {
		if dir != "tmp" {
			err = errors.Join(err, t.WriteHeader(entry(dir+"/", tar.TypeDir, 0o755, 0)))
		}
	}
	err = errors.Join(err, t.WriteHeader(entry("tmp/", tar.TypeDir, 0o1777, 0)), addFile(t, name, 0o755, content), t.Close())
	return buf.Bytes(), err
}

// parents lists the folders above a relative path, the highest first.
func parents(name string) []string {
	var dirs []string
	for i, c := range name {
		if c == '/' {
			dirs = append(dirs, name[:i])
		}
	}
	return dirs
}

// entry has no time and no owner but root, so that archives are reproducible.
func entry(name string, kind byte, mode, size int64) *tar.Header {
	return &tar.Header{Name: name, Typeflag: kind, Mode: mode, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
}

func addFile(t *tar.Writer, name string, mode int64, content []byte) error {
	if err := t.WriteHeader(entry(name, tar.TypeReg, mode, int64(len(content)))); err != nil {
		return err
	}
	_, err := t.Write(content)
	return err
}

// The three documents of the format, as far as they are needed.
type (
	imageConfig struct {
		Architecture string    `json:"architecture"`
		OS           string    `json:"os"`
		Created      time.Time `json:"created"`
		Config       struct {
			User       string
			Env        []string
			Entrypoint []string
			Cmd        []string `json:",omitempty"`
			WorkingDir string
		} `json:"config"`
		RootFS struct {
			Type    string   `json:"type"`
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
		History []imageHistory `json:"history"`
	}
	imageHistory struct {
		Created   time.Time `json:"created"`
		CreatedBy string    `json:"created_by"`
	}
	imageManifest struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
)

func writeArchive(w io.Writer, name string, layer []byte, entrypoint, cmd []string) error {
	config, err := scratchConfig(layer, entrypoint, cmd)
	if err != nil {
		return err
	}
	configName, layerName := digest(config)+".json", digest(layer)+"/layer.tar"
	manifest, err := json.Marshal([]imageManifest{{Config: configName, RepoTags: []string{name}, Layers: []string{layerName}}})
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	return errors.Join(
		addFile(t, configName, 0o644, config),
		t.WriteHeader(entry(digest(layer)+"/", tar.TypeDir, 0o755, 0)),
		addFile(t, layerName, 0o644, layer),
		addFile(t, "manifest.json", 0o644, manifest),
		t.Close(),
	)
}

func scratchConfig(layer []byte, entrypoint, cmd []string) ([]byte, error) {
	epoch := time.Unix(0, 0).UTC()
	c := imageConfig{Architecture: runtime.GOARCH, OS: "linux", Created: epoch}
	c.Config.User, c.Config.WorkingDir = scratchUser, "/"
	c.Config.Env = []string{"PATH=" + path.Dir(path.Clean(entrypoint[0]))}
	c.Config.Entrypoint, c.Config.Cmd = entrypoint, cmd
	c.RootFS.Type, c.RootFS.DiffIDs = "layers", []string{"sha256:" + digest(layer)}
	c.History = []imageHistory{{Created: epoch, CreatedBy: "spillway"}}
	return json.Marshal(c)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// withTag adds the tag that a name without one means.
func withTag(name string) string {
	if strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		return name
	}
	return name + ":latest"
}
