package securechannel

import (
	"encoding/binary"
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// Send sends the response to the request with that identifier. appendBody appends it, from the NodeID of its encoding on,
// to the slice it is given, which must not be used elsewhere; it runs without a lock. Send waits for other responses
// being sent, at most the write deadline each.
//
// An error that carries BadResponseTooLarge means that the client would not accept so large a response; nothing was sent
// and the channel goes on. After any other error the connection is closed.
func (c *Channel) Send(requestID uint32, appendBody func(dst []byte) []byte) error {
	buffer := uatcp.GetBuffer(max(symmetricBody, int(c.responseSize.Load())))
	defer buffer.Free()
	buffer.B = appendBody(buffer.B[:symmetricBody])
	c.noteSize(len(buffer.B))
	if err := c.checkResponse(len(buffer.B) - symmetricBody); err != nil {
		return err
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
		buffer.B = c.sealChunk(token, uatcp.Final, requestID, buffer.B)
		return c.conn.Write(buffer.B, deadline)
	}
	return c.sendChunks(token, requestID, buffer.B[symmetricBody:], deadline)
}

// noteSize remembers about how large responses are, so that the buffer for the next one need not grow.
func (c *Channel) noteSize(size int) {
	const margin = signatureSize + 16 // what sealing adds
	last := c.responseSize.Load()
	if next := max(int32(size+margin), last-last/16); next != last {
		c.responseSize.Store(next)
	}
}

// checkResponse holds a response body of size bytes against what the client announced in its Hello.
// Part 6 (1.05), 7.1.2.3
func (c *Channel) checkResponse(size int) error {
	maxSize, maxChunks := c.conn.PeerLimits()
	chunks := (size + c.maxBody - 1) / c.maxBody
	if maxSize > 0 && uint64(size) > uint64(maxSize) || maxChunks > 0 && uint64(chunks) > uint64(maxChunks) {
		return &Error{Code: ua.StatusBadResponseTooLarge, Op: "response larger than the client accepts"}
	}
	return nil
}

// sendChunks splits a body over several chunks. c.mu is held throughout, because the chunks of one message follow
// each other. Part 6 (1.05), 6.7.3
func (c *Channel) sendChunks(token *securityToken, requestID uint32, body []byte, deadline time.Time) error {
	buffer := uatcp.GetBuffer(int(c.conn.SendSize()))
	defer buffer.Free()
	for len(body) > 0 {
		n, isFinal := min(c.maxBody, len(body)), byte(uatcp.Intermediate)
		if n == len(body) {
			isFinal = uatcp.Final
		}
		buffer.B = append(buffer.B[:symmetricBody], body[:n]...)
		buffer.B = c.sealChunk(token, isFinal, requestID, buffer.B)
		if err := c.conn.Write(buffer.B, deadline); err != nil {
			return err
		}
		body = body[n:]
	}
	return nil
}

// sealChunk fills in the headers in front of the body, pads, signs and encrypts. c.mu is held.
func (c *Channel) sealChunk(token *securityToken, isFinal byte, requestID uint32, chunk []byte) []byte {
	h := uatcp.Header{Type: uatcp.TypeMessage, IsFinal: isFinal}.Append(chunk[:0])
	h = binary.LittleEndian.AppendUint32(h, c.id)
	h = binary.LittleEndian.AppendUint32(h, token.id)
	sequenceHeader{c.sent.next(), requestID}.append(h)
	return token.out.seal(chunk)
}
