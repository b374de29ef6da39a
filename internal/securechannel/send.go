package securechannel

import (
	"encoding/binary"
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// Send sends a message under that RequestId: a server the response to a request, a client a request with an identifier from
// NextRequestID. appendBody appends it, from the NodeID of its encoding on, to the slice it is given, which must not be
// used elsewhere; it runs without a lock. Send waits for other messages being sent, at most the write deadline each.
//
// An error that carries BadResponseTooLarge or BadRequestTooLarge means that the peer would not accept so large a message;
// nothing was sent and the channel goes on. After any other error the connection is closed.
func (c *conversation) Send(requestID uint32, appendBody func(dst []byte) []byte) error {
	buffer := uatcp.GetBuffer(max(symmetricBody, int(c.messageSize.Load())))
	defer buffer.Free()
	body := appendBody(buffer.B[:symmetricBody])
	if body == nil { // it turned out that there is nothing to send yet
		return nil
	}
	buffer.B = body
	c.noteSize(len(buffer.B))
	if !c.fits(len(buffer.B) - symmetricBody) {
		return c.tooLarge
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	token := c.tokens.sending(time.Now())
	if token == nil {
		c.conn.Close()
		return errTokenExpired
	}
	deadline := c.conn.WriteDeadline()
	if len(buffer.B)-symmetricBody <= c.maxBody {
		h := uatcp.Header{Type: uatcp.TypeMessage, IsFinal: uatcp.Final}
		buffer.B = c.sealChunk(token, h, requestID, buffer.B)
		return c.conn.Write(buffer.B, deadline)
	}
	return c.sendChunks(token, requestID, buffer.B[symmetricBody:], deadline)
}

// noteSize remembers about how large messages are, so that the buffer for the next one need not grow. A rare giant is not
// what the small ones behind it get buffers for.
func (c *conversation) noteSize(size int) {
	const margin = maxSignature + 16 // what sealing adds
	const largest = 64 << 10
	last := c.messageSize.Load()
	if next := max(int32(min(size+margin, largest)), last-last/16); next != last {
		c.messageSize.Store(next)
	}
}

// fits reports whether the peer said in its Hello or Acknowledge that it accepts a body of size bytes.
// Part 6 (1.05), 7.1.2.3 and 7.1.2.4
func (c *conversation) fits(size int) bool {
	maxSize, maxChunks := c.conn.PeerLimits()
	chunks := (size + c.maxBody - 1) / c.maxBody
	return (maxSize == 0 || uint64(size) <= uint64(maxSize)) && (maxChunks == 0 || uint64(chunks) <= uint64(maxChunks))
}

// sendChunks splits a body over several chunks. c.mu is held throughout, because the chunks of one message follow
// each other. Part 6 (1.05), 6.7.3
func (c *conversation) sendChunks(token *securityToken, requestID uint32, body []byte, deadline time.Time) error {
	buffer := uatcp.GetBuffer(int(c.conn.SendSize()))
	defer buffer.Free()
	for len(body) > 0 {
		n, h := min(c.maxBody, len(body)), uatcp.Header{Type: uatcp.TypeMessage, IsFinal: uatcp.Intermediate}
		if n == len(body) {
			h.IsFinal = uatcp.Final
		}
		buffer.B = append(buffer.B[:symmetricBody], body[:n]...)
		buffer.B = c.sealChunk(token, h, requestID, buffer.B)
		if err := c.conn.Write(buffer.B, deadline); err != nil {
			return err
		}
		body = body[n:]
	}
	return nil
}

// sealChunk fills in the headers in front of the body, pads, signs and encrypts. c.mu is held.
func (c *conversation) sealChunk(token *securityToken, header uatcp.Header, requestID uint32, chunk []byte) []byte {
	h := header.Append(chunk[:0])
	h = binary.LittleEndian.AppendUint32(h, c.id)
	h = binary.LittleEndian.AppendUint32(h, token.id)
	sequenceHeader{c.sent.next(), requestID}.append(h)
	return token.out.seal(chunk)
}
