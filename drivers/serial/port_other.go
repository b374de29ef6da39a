//go:build !linux

package serial

import (
	"errors"

	"github.com/edgeua/edgeua/drivers"
)

// Open reports that there are no serial ports in this build.
func Open(Config) (drivers.Link, error) {
	return nil, errors.New("serial ports are not supported in this build; use Linux")
}
