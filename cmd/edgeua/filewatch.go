package main

import (
	"io/fs"
	"maps"
	"os"
	"time"
)

// watchInterval is how often files are looked at. A change counts when the next
// look finds the same, so that a file that is being written is left alone.
const watchInterval = 2 * time.Second

// fileWatch notices that files have changed. It looks at them now and then: that
// costs nothing, and sees what notifications of the kernel may not: files that
// editors replace, links that are turned, disks of the network, files that are
// not there yet.
type fileWatch struct {
	taken map[string]stamp // as they were read
	last  map[string]stamp // as of the last look
}

// stamp is what changes with a file. The zero stamp is that of no file.
type stamp struct {
	size     int64
	modified time.Time
	mode     fs.FileMode
	info     fs.FileInfo // for its identity
}

func stampOf(file string) stamp {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}
	}
	if info.IsDir() { // what is in it does not matter: logs, state, drafts
		return stamp{mode: info.Mode(), info: info}
	}
	return stamp{info.Size(), info.ModTime(), info.Mode(), info}
}

func (s stamp) same(other stamp) bool {
	if s.info == nil || other.info == nil {
		return s.info == nil && other.info == nil
	}
	return s.size == other.size && s.modified.Equal(other.modified) && s.mode == other.mode && os.SameFile(s.info, other.info)
}

func stamps(files []string) map[string]stamp {
	all := make(map[string]stamp, len(files))
	for _, file := range files {
		all[file] = stampOf(file)
	}
	return all
}

// newFileWatch is made before the files are read.
func newFileWatch(files []string) *fileWatch {
	now := stamps(files)
	return &fileWatch{taken: now, last: now}
}

// take says that the files are going to be read now.
func (w *fileWatch) take(files []string) {
	w.taken = stamps(files)
	w.last = w.taken
}

// add watches further files, which have just been read. One that was modified
// at another time when it was read, if that is known, has changed since.
func (w *fileWatch) add(files []string, read map[string]time.Time) {
	for _, file := range files {
		if _, known := w.taken[file]; known {
			continue
		}
		s := stampOf(file)
		if at, ok := read[file]; ok && !at.Equal(s.modified) {
			s = stamp{}
		}
		w.taken[file] = s
	}
	w.last = w.taken
}

// changed looks, and reports whether the files are others than those that were
// read and have stayed so since the last look.
func (w *fileWatch) changed() bool {
	now := make(map[string]stamp, len(w.taken))
	for file := range w.taken {
		now[file] = stampOf(file)
	}
	settled := maps.EqualFunc(now, w.last, stamp.same)
	w.last = now
	return settled && !maps.EqualFunc(now, w.taken, stamp.same)
}
