//go:build linux && (ppc64 || ppc64le)

package serial

import "errors"

// setRate is not there: these systems have no TCSETS2.
func (s *side) setRate(int) error { return errors.New("not a standard rate") }
