//go:build linux && !ppc64 && !ppc64le

package serial

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// maxRateError is how far a rate may be off, in percent. A receiver samples a character of eleven bits at its middle.
const maxRateError = 3

// setRate sets any rate that the hardware can make, and finds out whether it did.
func (s *side) setRate(rate int) error {
	t, err := unix.IoctlGetTermios(s.fd, unix.TCGETS2)
	if err != nil {
		return err
	}
	t.Cflag = t.Cflag&^unix.CBAUD | unix.BOTHER
	t.Ispeed, t.Ospeed = uint32(rate), uint32(rate)
	if err := unix.IoctlSetTermios(s.fd, unix.TCSETS2, t); err != nil {
		return err
	}
	if t, err = unix.IoctlGetTermios(s.fd, unix.TCGETS2); err != nil {
		return err
	}
	if got := int(t.Ospeed); 100*max(got-rate, rate-got) > maxRateError*rate {
		return fmt.Errorf("the nearest is %d", got)
	}
	return nil
}
