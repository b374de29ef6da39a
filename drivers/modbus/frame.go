package modbus

import "fmt"

// verdict is what a framer says about the bytes received so far.
type verdict uint8

const (
	more    verdict = iota // the reply is not complete
	reply                  // a frame that answers the request
	foreign                // a whole frame that answers something else
	invalid                // a whole frame for this request that is no valid answer to it
	broken                 // no frame at all, and no way to find the next one
)

// found is a verdict with the place of the frame: size bytes after skip bytes that belong to nothing.
type found struct {
	verdict    verdict
	skip, size int
	why        error // for invalid and broken
}

// framer finds the reply to request among the bytes received. It is pure: it sees all bytes since the last frame.
type framer func(request, received []byte) found

func (f found) frame(received []byte) []byte { return received[f.skip : f.skip+f.size] }

func brokenf(format string, args ...any) found {
	return found{verdict: broken, why: fmt.Errorf(format, args...)}
}
