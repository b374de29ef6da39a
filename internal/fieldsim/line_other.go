//go:build !linux

package fieldsim

import (
	"errors"
	"io"
	"time"
)

// openLine says that there are no pseudo-terminals in this build.
func openLine(time.Duration) (line, error) {
	return line{}, errors.New("serial lines can only be simulated on Linux")
}

// line is one end of a serial line.
type line struct {
	io.ReadWriter
	path string
	end  func() error
}
