//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// The echo's protocol: two little-endian UInt32, the size of the request and
// the size of the answer, then the rest of the request. It stands for the least
// that any server on TCP has to do.

// serveEcho prints its address and answers until ctx ends.
func serveEcho(ctx context.Context, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	fmt.Fprintln(out, "echo", l.Addr())
	for {
		nc, err := l.Accept()
		if err != nil {
			return nil
		}
		go echo(nc)
	}
}

func echo(nc net.Conn) {
	defer nc.Close()
	buf := make([]byte, 64<<10)
	for {
		if _, err := io.ReadFull(nc, buf[:8]); err != nil {
			return
		}
		request, answer := binary.LittleEndian.Uint32(buf), binary.LittleEndian.Uint32(buf[4:])
		if request < 8 || request > uint32(len(buf)) || answer > uint32(len(buf)) {
			return
		}
		if _, err := io.ReadFull(nc, buf[8:request]); err != nil {
			return
		}
		if _, err := nc.Write(buf[:answer]); err != nil {
			return
		}
	}
}

// echoClient asks for answers of a size.
type echoClient struct {
	nc              net.Conn
	request, answer []byte
}

func dialEcho(addr string, request, answer int) (*echoClient, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &echoClient{nc: nc, request: make([]byte, max(request, 8)), answer: make([]byte, answer)}
	binary.LittleEndian.PutUint32(c.request, uint32(len(c.request)))
	binary.LittleEndian.PutUint32(c.request[4:], uint32(answer))
	return c, nil
}

func (c *echoClient) roundTrip() error {
	if _, err := c.nc.Write(c.request); err != nil {
		return err
	}
	_, err := io.ReadFull(c.nc, c.answer)
	return err
}

func (c *echoClient) close() { c.nc.Close() }
