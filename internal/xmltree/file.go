package xmltree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Load reads and parses a file. It refuses anything but a regular file, and one that is larger than the limit before
// reading it. The error wraps a *[SyntaxError]; errors.Is(err, [fs.ErrNotExist]) tells a missing file.
func Load(file string, lim Limits) (*Element, error) {
	p := parser{file: file, lim: lim.orDefault()}
	info, err := os.Stat(file) // before opening: opening a named pipe would block
	switch {
	case err != nil:
		return nil, p.unreadable(err)
	case info.IsDir():
		return nil, p.fail("is a directory, not an XML file")
	case !info.Mode().IsRegular():
		return nil, p.fail("is not a regular file")
	case info.Size() > int64(p.lim.Bytes):
		return nil, p.tooBig(info.Size())
	}
	data, err := readUpTo(file, p.lim.Bytes+1)
	if err != nil {
		return nil, p.unreadable(err)
	}
	return Parse(file, data, lim)
}

func readUpTo(file string, limit int) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(limit)))
}

// unreadable wraps the operating system's reason without repeating the path.
func (p *parser) unreadable(err error) error {
	reason := err
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		reason = path.Err
	}
	return &missingError{SyntaxError{File: p.file, Msg: fmt.Sprintf("cannot be read: %v", reason)}, err}
}

// missingError is a SyntaxError that still knows the operating system's error.
type missingError struct {
	SyntaxError
	err error
}

func (e *missingError) Unwrap() []error { return []error{&e.SyntaxError, e.err} }
