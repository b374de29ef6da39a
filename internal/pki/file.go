package pki

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxFile bounds every file of certificates, keys or CRLs that is read.
const maxFile = 64 << 10

var (
	errNotRegular = errors.New("is not a regular file")
	errTooLarge   = fmt.Errorf("is larger than %d KiB", maxFile>>10)
)

// localPath turns a configured path, written with either separator, into one of this system.
func localPath(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Clean(strings.ReplaceAll(path, `\`, string(filepath.Separator)))
}

// readFile reads one bounded regular file. Opening never blocks, not even on a pipe.
func readFile(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, info, errNotRegular
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = errTooLarge
	}
	return data, info, err
}

// pendingPath is where the next content of path is written before it takes its place.
func pendingPath(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
}

// writePending puts data on the disk beside path. Links are neither followed nor kept.
func writePending(path string, data []byte, mode fs.FileMode) error {
	pending := pendingPath(path)
	if err := os.Remove(pending); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(pending, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil { // the disk may be full
		err = errors.Join(err, os.Remove(pending))
	}
	return err
}

// commitPending gives the pending content its name, durably.
func commitPending(path string) error {
	if err := os.Rename(pendingPath(path), path); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// writeFile replaces path at once: after a power loss it holds the old or the new content, never a mix.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	if err := writePending(path, data, mode); err != nil {
		return err
	}
	return commitPending(path)
}

func syncDirectory(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	// Some file systems cannot sync a directory; their renames are as durable as they get.
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
