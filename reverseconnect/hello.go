package reverseconnect

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// readFirst reads the first frame of a peer, of at most uatcp.MinBufferSize bytes, within timeout.
func readFirst(nc net.Conn, timeout time.Duration) ([]byte, error) {
	nc.SetReadDeadline(time.Now().Add(timeout))
	var head [uatcp.HeaderSize]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return nil, err
	}
	size, err := frameSize(head[:], uatcp.MinBufferSize)
	if err != nil {
		return nil, err
	}
	frame := make([]byte, size)
	copy(frame, head[:])
	if _, err := io.ReadFull(nc, frame[uatcp.HeaderSize:]); err != nil {
		return nil, err
	}
	nc.SetReadDeadline(time.Time{})
	return frame, nil
}

var errNotHello = &uatcp.StatusError{Code: ua.StatusBadTCPMessageTypeInvalid, Op: "client does not begin with Hello"}

// readHello reads the Hello of a client, and no byte more.
func readHello(client net.Conn) (uatcp.Hello, error) {
	frame, err := readFirst(client, handshakeTimeout)
	if err != nil {
		return uatcp.Hello{}, err
	}
	if frameType(frame) != uatcp.TypeHello {
		return uatcp.Hello{}, errNotHello
	}
	return uatcp.ParseHello(frame[uatcp.HeaderSize:])
}

// errClientGone is returned when a client does not wait for its server any more.
var errClientGone = errors.New("reverseconnect: client hung up, or spoke before the Acknowledge")

// await lets client wait for what next gets until the given time, zero is no limit. next has to end when done is closed.
func await(client net.Conn, until time.Time, next func(done <-chan struct{}) (net.Conn, error)) (net.Conn, error) {
	client.SetReadDeadline(until)
	done := make(chan struct{})
	var gone bool
	go func() { // ends with done, which every path below waits for
		defer close(done)
		n, err := client.Read(make([]byte, 1))
		gone = n > 0 || !errors.Is(err, os.ErrDeadlineExceeded)
	}()
	server, err := next(done)
	client.SetReadDeadline(time.Unix(1, 0))
	<-done
	client.SetReadDeadline(time.Time{})
	switch {
	case gone && err == nil:
		server.Close()
		return nil, errClientGone
	case gone:
		return nil, errClientGone
	}
	return server, err
}
