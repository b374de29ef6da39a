// Package logfile writes log lines to a file that never grows beyond a number of lines: then it becomes the first of a
// few older files, and a new one begins.
//
// It leaves out levels and formats, which are the caller's slog.Handler's, and files that several processes share.
package logfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// mode is that of the files: what a log tells is for the administrators of the gateway.
const mode = 0o640

// Options bound what is kept.
type Options struct {
	MaxEntries int // lines of one file; at least 1
	MaxBackups int // older files kept, name.1 being the youngest; 0: none
}

// File is a log file. It is safe for concurrent use.
type File struct {
	path string
	opts Options

	mu      sync.Mutex // guards what follows
	file    *os.File   // nil: a new one could not be begun yet
	entries int
	closed  bool
}

// Open continues the file at path, or begins it. Its directory must exist or be creatable.
func Open(path string, opts Options) (*File, error) {
	f := &File{path: path, opts: opts}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, unusable(path, err)
	}
	if err := f.begin(); err != nil {
		return nil, unusable(path, err)
	}
	return f, nil
}

func unusable(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("log file %s cannot be written: %w (its directory must be writable)", path, err)
}

// begin opens the file and counts the lines it has.
func (f *File) begin() error {
	if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, mode)
	if err != nil {
		return err
	}
	if f.entries, err = lines(file); err != nil {
		return errors.Join(err, file.Close())
	}
	f.file = file
	return nil
}

func lines(r io.Reader) (n int, err error) {
	for b := bufio.NewReader(r); err == nil; n++ {
		_, err = b.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			n, err = n-1, nil // the line goes on
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n - 1, err
}

// Write appends one line, which ends with a line feed. What cannot be written is lost, and the next line is tried again.
func (f *File) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, os.ErrClosed
	}
	if f.file != nil && f.entries >= f.opts.MaxEntries {
		f.turn()
	}
	if f.file == nil {
		if err := f.begin(); err != nil {
			return 0, unusable(f.path, err)
		}
	}
	f.entries++
	return f.file.Write(line)
}

// turn makes the file the youngest of the older ones. If that fails, the lines go on in it: better a file too long than
// none.
func (f *File) turn() {
	f.entries = 0
	if f.opts.MaxBackups == 0 {
		_ = f.file.Truncate(0) // if not, it grows
		return
	}
	for n := f.opts.MaxBackups; n > 1; n-- {
		_ = os.Rename(f.backup(n-1), f.backup(n)) // it may not be there yet
	}
	if os.Rename(f.path, f.backup(1)) == nil {
		_ = f.file.Close() // every line has been written
		f.file = nil
	}
}

func (f *File) backup(n int) string { return fmt.Sprintf("%s.%d", strings.TrimSuffix(f.path, "/"), n) }

// Close ends writing for good.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}
