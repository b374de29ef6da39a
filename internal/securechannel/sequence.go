package securechannel

// Sequence numbers wrap between these values under the RSA policies. Part 6 (1.05), 6.7.2.4
const (
	lastSequenceNumber = 4294966271 // UInt32.MaxValue - 1024: behind it a sender may wrap
	wrappedBelow       = 1024       // the first number after the wrap is smaller
)

// sequence follows the sequence numbers of one direction.
type sequence struct {
	last    uint32
	started bool
}

// accept reports whether n may follow, and remembers it. The first number is arbitrary; every other one is the successor,
// or a small number once the last was large enough to wrap. The standard wants the last number before the wrap to be
// greater than the limit; senders exist that stop at it.
func (s *sequence) accept(n uint32) bool {
	successor := n == s.last+1
	wrap := s.last >= lastSequenceNumber && n < wrappedBelow
	if s.started && !successor && !wrap {
		return false
	}
	s.last, s.started = n, true
	return true
}

// next returns the number of the next chunk to send; the first is 1.
func (s *sequence) next() uint32 {
	if s.last > lastSequenceNumber {
		s.last = 0
	}
	s.last++
	return s.last
}
