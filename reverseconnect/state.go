package reverseconnect

import "fmt"

// State is where a Target stands in the diagram of the package comment.
type State uint8

// The states in the order in which a successful call passes through them, and one outside.
const (
	Waiting    State = iota // no socket: a delay runs, or all of MaxSockets are in use
	Dialling                // resolving the name, connecting, sending the ReverseHello
	Announced               // the ReverseHello is sent; the client may take its time
	Negotiated              // the client has sent Hello
	Active                  // a SecureChannel is open
	Disabled                // not called: the Target says so
)

// String returns the name of the state as logs and diagnostics show it.
func (s State) String() string {
	switch s {
	case Waiting:
		return "Waiting"
	case Dialling:
		return "Dialling"
	case Announced:
		return "Announced"
	case Negotiated:
		return "Negotiated"
	case Active:
		return "Active"
	case Disabled:
		return "Disabled"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}
