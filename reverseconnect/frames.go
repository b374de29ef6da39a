package reverseconnect

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uatcp"
)

const (
	// minChunk is the least that a MSG chunk holds before its body: headers, SecureChannelId, TokenId, sequence header.
	minChunk = 24
	// What the server may let the client build up from chunks, whatever it acknowledges.
	maxMessageSize = 16 << 20
	maxChunkCount  = 4096
)

// readFrame reads one frame of at most limit bytes into buf, or into a new buffer if that is too small.
func readFrame(r net.Conn, buf []byte, limit uint32) ([]byte, error) {
	var head [uatcp.HeaderSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size, err := frameSize(head[:], limit)
	if err != nil {
		return nil, err
	}
	if uint32(cap(buf)) < size {
		buf = make([]byte, size)
	}
	frame := buf[:size]
	copy(frame, head[:])
	r.SetReadDeadline(time.Now().Add(frameTimeout))
	if _, err := io.ReadFull(r, frame[uatcp.HeaderSize:]); err != nil {
		return nil, err
	}
	r.SetReadDeadline(time.Time{})
	return frame, nil
}

// frameSize returns the size of the frame that begins with head.
func frameSize(head []byte, limit uint32) (uint32, error) {
	size := binary.LittleEndian.Uint32(head[4:])
	if size < uatcp.HeaderSize || size > limit {
		return 0, &uatcp.StatusError{Code: ua.StatusBadTCPMessageTooLarge, Op: fmt.Sprintf("frame of %d bytes, at most %d may come", size, limit)}
	}
	return size, nil
}

// frameType returns the type of a frame.
func frameType(frame []byte) uatcp.MessageType {
	return uatcp.MessageType(binary.LittleEndian.Uint32(frame) & 0xFFFFFF)
}

// copyFrames hands frames on as long as inspect agrees. inspect returns what to send instead of the frame.
func copyFrames(to, from net.Conn, limit uint32, inspect func(frame []byte) ([]byte, error)) error {
	buf := make([]byte, limit)
	for {
		frame, err := readFrame(from, buf, limit)
		if err != nil {
			return err
		}
		if frame, err = inspect(frame); err != nil {
			return err
		}
		if _, err := to.Write(frame); err != nil {
			return err
		}
	}
}

// inspector lets frames of a server pass to a gopcua client only if that can digest them: gopcua v0.9.0 allocates
// what an Acknowledge announces, takes security policy and certificate from the server's answer, and decodes in
// goroutines of its own where nothing catches it.
type inspector struct {
	receiveLimit, sendLimit uint32      // what the client said in Hello
	note                    func(error) // told of an Error before the client is

	acknowledged bool // owned by the goroutine that copies from the server

	mu         sync.Mutex
	policy     string // guarded by mu; of the client's last OpenSecureChannel
	thumbprint string // guarded by mu; of the certificate it expects of the server
}

func newInspector(hello *uatcp.Hello, note func(error)) *inspector {
	return &inspector{receiveLimit: hello.ReceiveBufferSize, sendLimit: hello.SendBufferSize, note: note}
}

// fromClient remembers which server the client wants to talk to, and how.
func (i *inspector) fromClient(frame []byte) ([]byte, error) {
	if frameType(frame) != uatcp.TypeOpenSecureChannel {
		return frame, nil
	}
	h, err := parseAsymmetricHeader(frame)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.policy, i.thumbprint = string(h.policy), string(h.thumbprint)
	return frame, nil
}

// fromServer checks a frame of the server.
func (i *inspector) fromServer(frame []byte) ([]byte, error) {
	switch t := frameType(frame); {
	case t == uatcp.TypeError:
		e, err := uatcp.ParseError(frame[uatcp.HeaderSize:])
		if err != nil {
			return nil, err
		}
		i.note(&ServerError{Code: e.Code, Reason: e.Reason})
		return e.Append(nil), nil
	case t == uatcp.TypeAcknowledge && !i.acknowledged:
		i.acknowledged = true
		return i.acknowledge(frame)
	case t == uatcp.TypeOpenSecureChannel && i.acknowledged:
		return frame, i.opened(frame)
	case t == uatcp.TypeMessage && i.acknowledged:
		return frame, checkChunk(frame)
	case t == uatcp.TypeCloseSecureChannel && i.acknowledged:
		return nil, io.EOF
	}
	return nil, &uatcp.StatusError{Code: ua.StatusBadTCPMessageTypeInvalid, Op: "message out of turn"}
}

// acknowledge bounds what the server acknowledges by what the client has offered. Part 6 (1.05), 7.1.2.4
func (i *inspector) acknowledge(frame []byte) ([]byte, error) {
	ack, err := uatcp.ParseAcknowledge(frame[uatcp.HeaderSize:])
	if err != nil {
		return nil, err
	}
	if ack.ReceiveBufferSize < uatcp.MinBufferSize || ack.ReceiveBufferSize > i.sendLimit ||
		ack.SendBufferSize < uatcp.MinBufferSize || ack.SendBufferSize > i.receiveLimit {
		return nil, broken("acknowledged buffer sizes that were not offered")
	}
	ack.MaxMessageSize = min(ack.MaxMessageSize, maxMessageSize)
	ack.MaxChunkCount = min(ack.MaxChunkCount, maxChunkCount)
	return ack.Append(nil), nil
}

// opened checks that the channel is the one the client asked for: same policy, and the certificate that the client
// encrypted its request for. Part 6 (1.05), 6.7.2.3
func (i *inspector) opened(frame []byte) error {
	h, err := parseAsymmetricHeader(frame)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if string(h.policy) != i.policy {
		return broken("answered with another security policy than it was asked for")
	}
	if i.policy == ua.SecurityPolicyURINone {
		return nil
	}
	if sum := sha1.Sum(firstCertificate(h.certificate)); string(sum[:]) != i.thumbprint {
		return broken("answered with another certificate than the client expects")
	}
	return nil
}

// checkChunk checks what can be seen of a chunk from outside. Part 6 (1.05), 6.7.2.2
func checkChunk(frame []byte) error {
	if len(frame) < minChunk {
		return &uatcp.StatusError{Code: ua.StatusBadDecodingError, Op: "chunk without room for its headers"}
	}
	if !bytes.ContainsRune([]byte{uatcp.Final, uatcp.Intermediate, uatcp.Abort}, rune(frame[3])) {
		return &uatcp.StatusError{Code: ua.StatusBadTCPMessageTypeInvalid, Op: "chunk of unknown kind"}
	}
	return nil
}

// asymmetricHeader is the security header of an OpenSecureChannel message, as slices of it. Part 6 (1.05), 6.7.2.3
type asymmetricHeader struct {
	policy, certificate, thumbprint []byte
}

func parseAsymmetricHeader(frame []byte) (h asymmetricHeader, err error) {
	const channelID = 4
	rest := frame[uatcp.HeaderSize:]
	if len(rest) < channelID || frame[3] != uatcp.Final {
		return h, errAsymmetricHeader
	}
	rest = rest[channelID:]
	for _, field := range []*[]byte{&h.policy, &h.certificate, &h.thumbprint} {
		if *field, rest, err = takeBytes(rest); err != nil {
			return h, err
		}
	}
	if len(rest) < 8 { // sequence header
		return h, errAsymmetricHeader
	}
	return h, nil
}

var errAsymmetricHeader = &uatcp.StatusError{Code: ua.StatusBadDecodingError, Op: "broken header of OpenSecureChannel"}

// takeBytes takes a ByteString from b. Part 6 (1.05), 5.2.2.7
func takeBytes(b []byte) (field, rest []byte, err error) {
	const null = 0xFFFFFFFF
	if len(b) < 4 {
		return nil, nil, errAsymmetricHeader
	}
	n, rest := binary.LittleEndian.Uint32(b), b[4:]
	if n == null {
		return nil, rest, nil
	}
	if n > uint32(len(rest)) { // unsigned: negative lengths end here too
		return nil, nil, errAsymmetricHeader
	}
	return rest[:n], rest[n:], nil
}

// firstCertificate returns the first of a chain of DER certificates, which is the sender's own.
func firstCertificate(chain []byte) []byte {
	if len(chain) < 4 || chain[0] != 0x30 || chain[1] != 0x82 { // a SEQUENCE with two bytes of length
		return chain
	}
	return chain[:min(len(chain), 4+int(binary.BigEndian.Uint16(chain[2:])))]
}
