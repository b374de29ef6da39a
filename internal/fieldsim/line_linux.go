package fieldsim

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/edgeua/edgeua/internal/ptyline"
	"golang.org/x/sys/unix"
)

// line is one end of a serial line.
type line struct {
	io.ReadWriter
	path string // of the other end, for the master
	end  func() error
}

// openLine makes a line of two pseudo-terminals; character is how long one takes on it.
func openLine(character time.Duration) (line, error) {
	l, err := ptyline.Open(ptyline.Settings{Character: character})
	if err != nil {
		return line{}, err
	}
	far, err := os.OpenFile(l.Far(), os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return line{}, errors.Join(err, l.Close())
	}
	return line{far, l.Near(), func() error { return errors.Join(far.Close(), l.Close()) }}, nil
}
