package join

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// loadOrCreate returns the files of a directory, made together by create if
// one of them is missing. Several processes may do so at once: one makes them.
func loadOrCreate(dir string, names []string, create func() (map[string][]byte, error)) (map[string][]byte, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, err
	}
	files, err := load(dir, names)
	if !errors.Is(err, fs.ErrNotExist) {
		return files, err
	}
	if len(files) > 0 {
		// To make a new key beside an old certificate would lock every machine
		// out that trusts the old one: a person must look.
		return nil, fmt.Errorf("it is incomplete: %w", err)
	}
	if files, err = create(); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := writeSecret(filepath.Join(dir, name), files[name]); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// load reads the named files; on an error it returns those it could read.
func load(dir string, names []string) (map[string][]byte, error) {
	files := map[string][]byte{}
	var missing error
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			missing = err
			continue
		}
		files[name] = text
	}
	return files, missing
}

// writeSecret writes a file that only we can read, whole or not at all.
func writeSecret(path string, text []byte) error {
	temp, err := tempSecret(filepath.Dir(path), text)
	if err != nil {
		return err
	}
	defer os.Remove(temp) // fails after the rename, as it should
	return os.Rename(temp, path)
}

// tempSecret writes a new file of mode 0600.
func tempSecret(dir string, text []byte) (path string, err error) {
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	return f.Name(), errors.Join(err, f.Sync(), f.Close())
}
