package uatcp

// Stage is how far a TransportConnection got.
type Stage uint8

// The stages in their order.
const (
	StageNoHello Stage = iota // the client has not said Hello
	StageHello                // Hello was acknowledged
	StageChannel              // a SecureChannel was opened
)

// String names the stage for log lines.
func (s Stage) String() string {
	switch s {
	case StageNoHello:
		return "no hello"
	case StageHello:
		return "hello"
	case StageChannel:
		return "channel"
	}
	return "unknown"
}

// Report says how a TransportConnection went. It is all that the dialling side of reverse connect needs to know.
type Report struct {
	Stage     Stage
	PeerError *Error // the Error message that the client sent, nil if none
	Err       error  // why it ended, nil for a clean close
	Refused   bool   // this side ended it because the peer is not the one it is meant for
}
