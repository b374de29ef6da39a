package pki

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// Bounds on one directory of the trust list. What is beyond them is left out with a warning.
const (
	maxFiles   = 500
	maxEntries = 1 << 16 // names read at all
	maxBytes   = 4 << 20 // of all files together
)

const (
	// lookEvery is how often the files of an unchanged directory are compared: writing into an existing
	// file does not change the directory.
	lookEvery = time.Second
	// settleTime is the coarsest time stamp of a file system (FAT). A directory that changed more recently
	// may change again without a new stamp.
	settleTime = 2 * time.Second
)

// directory keeps the parsed files of one directory, and reads again only what changed. Its methods are
// called by the Store with its lock held.
type directory[T any] struct {
	path  string
	parse func([]byte) ([]T, error)
	log   *slog.Logger

	info     fs.FileInfo // of the directory when it was last looked at; nil if it could not be
	lookedAt time.Time
	settled  bool
	files    []parsedFile[T] // by name
	trouble  string          // the last problem reported about the directory itself
}

// parsedFile is one file as it was last read.
type parsedFile[T any] struct {
	name  string
	info  fs.FileInfo
	items []T
	size  int
}

// refresh brings the content up to date and tells whether it changed. An unchanged directory costs one
// stat, and once per second one per file.
func (d *directory[T]) refresh(now time.Time) bool {
	if d.path == "" {
		return false
	}
	info, err := os.Stat(d.path)
	if err == nil && d.settled && sameFile(info, d.info) && now.Sub(d.lookedAt) < lookEvery {
		return false
	}
	d.lookedAt = now
	var entries []fs.FileInfo
	trouble := ""
	switch {
	case err != nil:
	case info.IsDir():
		entries, trouble, err = d.list()
	case info.Mode().IsRegular(): // old configurations name one CRL file
		entries = []fs.FileInfo{info}
	default:
		err = errors.New("neither a directory nor a file")
	}
	if errors.Is(err, fs.ErrNotExist) {
		trouble = "does not exist: nothing is read from it"
		info, err = nil, nil
	}
	if err != nil {
		// What was good before stays good: a failing disk must not lock everybody out, nor let the revoked in.
		d.report(fmt.Sprintf("cannot be read, its last content stays in force: %v", err))
		d.info, d.settled = nil, false
		return false
	}
	d.info = info
	d.settled = info != nil && now.Sub(info.ModTime()) > settleTime
	changed, cut := d.update(entries)
	if cut != "" {
		trouble = cut
	}
	d.report(trouble)
	return changed
}

// list gives the files worth reading, in the order of their names, and says in words what it left out.
// Hidden names are passed over in silence.
func (d *directory[T]) list() (list []fs.FileInfo, trouble string, err error) {
	f, err := os.Open(d.path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	all, err := f.ReadDir(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	if len(all) == maxEntries {
		trouble = fmt.Sprintf("holds %d files or more, of which only some are looked at: remove what is not needed", maxEntries)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name() < all[j].Name() })
	for _, entry := range all {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			continue // gone in the meantime
		}
		if len(list) == maxFiles {
			if trouble == "" {
				trouble = fmt.Sprintf("holds more than %d files: those after %q are left out; remove what is not needed", maxFiles, list[maxFiles-1].Name())
			}
			return list, trouble, nil
		}
		list = append(list, info)
	}
	return list, trouble, nil
}

// update takes over the listed files, reading those that are new or changed, and says in words what it left out.
func (d *directory[T]) update(entries []fs.FileInfo) (changed bool, trouble string) {
	known := make(map[string]parsedFile[T], len(d.files))
	for _, file := range d.files {
		known[file.name] = file
	}
	changed = len(entries) != len(d.files)
	files := make([]parsedFile[T], 0, len(entries))
	total := 0
	for _, info := range entries {
		file, ok := known[info.Name()]
		if !ok || !sameFile(info, file.info) {
			file = d.read(info, file.items)
			changed = true
		}
		if total += file.size; total > maxBytes {
			trouble = fmt.Sprintf("holds more than %d MiB: files from %q on are left out", maxBytes>>20, file.name)
			break
		}
		files = append(files, file)
	}
	d.files = files
	return changed, trouble
}

// read parses one file. A file that was good and is broken now keeps what it held: it may be half
// written, and a CRL must not lose its force by being damaged.
func (d *directory[T]) read(info fs.FileInfo, before []T) parsedFile[T] {
	file := parsedFile[T]{name: info.Name(), info: info, items: before}
	path := filepath.Join(d.path, file.name)
	if d.info != nil && d.info.Mode().IsRegular() {
		path = d.path
	}
	if !info.Mode().IsRegular() {
		d.log.Warn("entry of the trust list left out: it is not a regular file", "path", path)
		return file
	}
	data, opened, err := readFile(path)
	if err == nil && !os.SameFile(info, opened) {
		err = errNotRegular // exchanged for a link since it was listed
	}
	if err == nil {
		file.size = len(data)
		var items []T
		if items, err = d.parse(data); err == nil {
			file.items = items
			return file
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		file.info = nil // moved since it was listed: it may come back as it was, and is then read
		return file
	}
	d.log.Warn("file of the trust list left out", "path", path, "kept_previous", len(before) > 0, "err", err)
	return file
}

// report logs a problem of the directory once, until it changes.
func (d *directory[T]) report(trouble string) {
	if trouble != "" && trouble != d.trouble {
		d.log.Warn("directory of the trust list "+trouble, "path", d.path)
	}
	d.trouble = trouble
}

// sameFile tells that neither the file behind a name nor its stamp changed.
func sameFile(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) &&
		a.Size() == b.Size() && a.Mode() == b.Mode() && a.ModTime().Equal(b.ModTime())
}
