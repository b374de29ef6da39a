package securechannel

import (
	"errors"
	"io"
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// Next returns the next complete request of the client; renewals are handled inside. It returns io.EOF after
// CloseSecureChannel. On any other failure an Error message has been sent where one is due; an Error message from the
// peer comes back as *uatcp.Error. After a failure the connection is closed.
func (c *Channel) Next() (*Request, error) {
	if c.partial.complete {
		c.partial.discard()
		c.whole = message{} // an idle channel keeps nothing of it
	}
	for {
		chunk, err := c.readChunk()
		if err != nil {
			return nil, c.end(err)
		}
		complete, err := c.handle(chunk)
		if err != nil {
			return nil, c.end(err)
		}
		if complete {
			return (*Request)(&c.whole), nil
		}
	}
}

// readChunk waits for a chunk for as long as the channel may live.
func (c *Channel) readChunk() (uatcp.Chunk, error) {
	limits := c.limits()
	authenticated := !c.policy.IsNone() || c.session.Load()
	c.conn.LimitFrames(c.conn.ReceiveSize(), limits.FrameTimeout, authenticated)
	for {
		deadline, _ := c.deadline()
		c.conn.SetIdleDeadline(deadline)
		chunk, err := c.conn.ReadChunk()
		switch {
		case err == io.EOF:
			return chunk, errNoClose
		case err != uatcp.ErrIdle:
			return chunk, err
		}
		// A Session may have become active while we waited.
		if deadline, reason := c.deadline(); !time.Now().Before(deadline) {
			return chunk, reason
		}
	}
}

// Why a channel ends without an Error message: there is nobody to read it.
var (
	errNoClose   = errors.New("opcua: connection closed without CloseSecureChannel")
	errNoSession = errors.New("opcua: SecureChannel without an active Session for too long")
)

// deadline is that of every conversation, or that of a channel which nobody uses.
func (c *Channel) deadline() (time.Time, error) {
	deadline, reason := c.conversation.deadline()
	if !c.session.Load() {
		end := c.opened.Add(time.Duration(c.sessionless.Load()) + c.cfg.SessionlessTimeout)
		if end.Before(deadline) {
			return end, errNoSession
		}
	}
	return deadline, reason
}

// handle processes one chunk and reports whether it completed a request.
func (c *Channel) handle(chunk uatcp.Chunk) (bool, error) {
	if chunk.Type == uatcp.TypeOpenSecureChannel {
		return false, c.handleOpen(chunk)
	}
	content, err := c.unlockChunk(chunk.Bytes)
	if err != nil {
		return false, err
	}
	if chunk.Type == uatcp.TypeCloseSecureChannel {
		return false, io.EOF // Part 4 (1.05), 5.6.3: there is no response
	}
	return c.assemble(chunk.IsFinal, content, c.limits(), c.cfg.Budget)
}
