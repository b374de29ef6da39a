package uatcp

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/gopcua/opcua/ua"
)

// ErrIdle is returned by ReadChunk when the idle deadline passed before the first byte of a frame. The connection is
// still sound: ReadChunk may be called again.
var ErrIdle = errors.New("opcua: no message before the idle deadline")

// Chunk is one received frame.
type Chunk struct {
	Header
	Bytes []byte // the whole frame with its header; valid until the next ReadChunk, and may be written to
}

// frameReader cuts the byte stream into frames.
//
// While nothing is under way it holds only its small first buffer. A frame that does not fit there gets a pooled buffer,
// which goes back when the next frame is asked for.
type frameReader struct {
	limit   uint32        // largest frame in bytes
	timeout time.Duration // for a frame from its first byte on
	budget  *Budget       // pays for large while the peer is not authenticated
	idle    time.Time     // deadline for the first byte of a frame, zero = none
	armed   time.Time     // the read deadline that nc has now

	first      [firstBuffer]byte
	large      *Buffer // nil, or the buffer in use instead of first
	charged    *Budget // the budget that paid for large
	start, end int     // received bytes not yet consumed
}

// SetIdleDeadline sets the time until which ReadChunk waits for the first byte of a frame; zero is no limit.
// It belongs to the reading goroutine.
func (c *Conn) SetIdleDeadline(t time.Time) { c.frames.idle = t }

// LimitFrames bounds the frames read from now on: their size in bytes, never above the negotiated one, and the time from
// first to last byte. An authenticated peer's bytes no longer count against Config.Unauthenticated. It belongs to the reading goroutine.
func (c *Conn) LimitFrames(size uint32, timeout time.Duration, authenticated bool) {
	c.frames.limit, c.frames.timeout = min(size, c.receiveSize), timeout
	c.frames.budget = c.cfg.Unauthenticated
	if authenticated {
		c.frames.budget = nil
	}
}

// ReadChunk returns the next frame. An Error message from the peer is returned as *Error; io.EOF means that the
// peer closed between two frames. Any other error but ErrIdle is final and is to be passed to Fail. A reader calls
// ReadChunk until it fails, because that gives the buffers back.
func (c *Conn) ReadChunk() (Chunk, error) {
	chunk, err := c.readChunk()
	if err != nil && err != ErrIdle {
		c.frames.drop()
		c.frames.start, c.frames.end = 0, 0
	}
	return chunk, err
}

func (c *Conn) readChunk() (Chunk, error) {
	f := &c.frames
	f.release()
	if err := f.await(c.nc); err != nil {
		return Chunk{}, err
	}
	// The deadline is absolute: more bytes do not move it. A frame that has already arrived never needs it.
	deadline := time.Time{}
	for f.end < HeaderSize {
		if err := f.read(c.nc, &deadline); err != nil {
			return Chunk{}, err
		}
	}
	h := parseHeader(f.bytes())
	if err := c.checkHeader(h); err != nil {
		return Chunk{}, err
	}
	if err := f.grow(int(h.Size)); err != nil {
		return Chunk{}, err
	}
	for f.end < int(h.Size) {
		if err := f.read(c.nc, &deadline); err != nil {
			return Chunk{}, err
		}
	}
	f.start = int(h.Size)
	chunk := Chunk{Header: h, Bytes: f.bytes()[:h.Size:h.Size]}
	if h.Type == TypeError {
		return Chunk{}, peerError(chunk)
	}
	return chunk, nil
}

// checkHeader decides on a frame before anything is allocated or read for it.
func (c *Conn) checkHeader(h Header) error {
	switch {
	case !c.state.expects(h.Type):
		return &StatusError{Code: ua.StatusBadTCPMessageTypeInvalid, Op: "message of type " + h.Type.String() + " not expected now"}
	case h.Type == TypeMessage && h.IsFinal != Final && h.IsFinal != Intermediate && h.IsFinal != Abort,
		(h.Type == TypeOpenSecureChannel || h.Type == TypeCloseSecureChannel) && h.IsFinal != Final:
		return &StatusError{Code: ua.StatusBadTCPMessageTypeInvalid, Op: "chunk type not valid for " + h.Type.String()}
	case h.Size < HeaderSize:
		return &StatusError{Code: ua.StatusBadDecodingError, Op: "message size below the header's own"}
	case h.Size > c.frames.limit: // unsigned: also where int has 32 bits
		return &StatusError{Code: ua.StatusBadTCPMessageTooLarge, Op: "message size above the buffer size"}
	}
	return nil
}

func peerError(chunk Chunk) error {
	e, err := ParseError(chunk.Bytes[HeaderSize:])
	if err != nil {
		return &Error{Code: ua.StatusBadDecodingError, Reason: "(unreadable)"}
	}
	return e
}

// answerable reports whether a connection that ended with err still has a peer to send an Error to: one that closed,
// fell silent or sent an Error itself has left none, and such errors carry no StatusCode.
func answerable(err error) bool {
	var code ua.StatusCode
	return errors.As(err, &code)
}

// bytes returns the buffer in use, at its full length.
func (f *frameReader) bytes() []byte {
	if f.large != nil {
		return f.large.B[:cap(f.large.B)]
	}
	return f.first[:]
}

// release drops the frame returned last and moves what was read behind it to the front of the smallest buffer.
func (f *frameReader) release() {
	rest := f.bytes()[f.start:f.end]
	f.start, f.end = 0, len(rest)
	if len(rest) <= firstBuffer {
		copy(f.first[:], rest)
		f.drop()
		return
	}
	copy(f.bytes(), rest)
}

// drop gives the large buffer back, if there is one.
func (f *frameReader) drop() {
	if f.large == nil {
		return
	}
	f.charged.Give(cap(f.large.B))
	f.large.Free()
	f.large, f.charged = nil, nil
}

// grow makes room for a frame of size bytes.
func (f *frameReader) grow(size int) error {
	if size <= len(f.bytes()) {
		return nil
	}
	b := GetBuffer(size)
	if !f.budget.Take(cap(b.B)) {
		b.Free()
		return &StatusError{Code: ua.StatusBadTCPNotEnoughResources, Op: "too many bytes from unauthenticated peers"}
	}
	copy(b.B[:cap(b.B)], f.bytes()[:f.end])
	f.drop()
	f.large, f.charged = b, f.budget
	return nil
}

// await waits for the first byte of a frame, until the idle deadline.
func (f *frameReader) await(nc net.Conn) error {
	for f.end == 0 {
		if err := f.arm(nc, f.idle); err != nil {
			return err
		}
		n, err := nc.Read(f.bytes())
		f.end = n
		switch {
		case n > 0:
			return nil // an error beside bytes comes again
		case errors.Is(err, os.ErrDeadlineExceeded):
			return ErrIdle
		case err != nil:
			return err
		}
	}
	return nil
}

// read receives more bytes of the frame under way. The first call fixes the deadline of the frame.
func (f *frameReader) read(nc net.Conn, deadline *time.Time) error {
	if deadline.IsZero() {
		*deadline = time.Now().Add(f.timeout)
	}
	if err := f.arm(nc, *deadline); err != nil {
		return err
	}
	n, err := nc.Read(f.bytes()[f.end:])
	f.end += n
	if n > 0 {
		return nil
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (f *frameReader) arm(nc net.Conn, t time.Time) error {
	if t.Equal(f.armed) {
		return nil
	}
	f.armed = t
	return nc.SetReadDeadline(t)
}
