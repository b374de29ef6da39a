package modbussim

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// Serve answers Modbus TCP on a listener, which it closes, until ctx ends or the listener fails.
func Serve(ctx context.Context, l net.Listener, m *Map) error {
	return accept(ctx, l, func(conn net.Conn) { ServeConn(ctx, conn, m) })
}

// ServeRTUOverTCP answers Modbus RTU frames on the connections of a listener, as a device server with a serial line
// behind it does.
func ServeRTUOverTCP(ctx context.Context, l net.Listener, m *Map) error {
	return accept(ctx, l, func(conn net.Conn) { _ = ServeRTU(ctx, conn, m) })
}

// ServeASCIIOverTCP does the same for Modbus ASCII.
func ServeASCIIOverTCP(ctx context.Context, l net.Listener, m *Map) error {
	return accept(ctx, l, func(conn net.Conn) { _ = ServeASCII(ctx, conn, m) })
}

// accept serves each connection on a goroutine of its own, and closes them all when ctx ends.
func accept(ctx context.Context, l net.Listener, serve func(net.Conn)) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return errors.Join(err, l.Close())
		}
		tasks.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			serve(conn)
		})
	}
}

// ServeConn answers Modbus TCP on one connection, which it closes, until the peer is done or ctx ends.
func ServeConn(ctx context.Context, conn net.Conn, m *Map) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	var in, pdu, out [300]byte
	for {
		if _, err := io.ReadFull(conn, in[:6]); err != nil {
			return
		}
		length := int(binary.BigEndian.Uint16(in[4:]))
		if length < 2 || length > 254 {
			return
		}
		request := in[:6+length]
		if _, err := io.ReadFull(conn, request[6:]); err != nil {
			return
		}
		x := m.exchange(pdu[:0], request[6], request[7:])
		x.ID += binary.BigEndian.Uint16(in[:])
		frame := append(out[:0], byte(x.ID>>8), byte(x.ID), 0, 0, 0, byte(len(x.PDU)+1), x.Unit)
		frame = append(frame, x.PDU...)
		if !m.send(ctx, conn, &x, request, frame) {
			return
		}
	}
}

// ServeUDP answers Modbus over UDP until ctx ends or the socket, which it closes, fails.
func ServeUDP(ctx context.Context, conn net.PacketConn, m *Map) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var in [300]byte
	for {
		n, from, err := conn.ReadFrom(in[:])
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case n < 8 || n != 6+int(binary.BigEndian.Uint16(in[4:])):
			continue
		}
		if request := in[:n]; !m.answerTCP(ctx, datagram{conn, from}, request) {
			return errors.Join(conn.Close())
		}
	}
}

// datagram writes to one peer.
type datagram struct {
	net.PacketConn
	to net.Addr
}

func (d datagram) Write(p []byte) (int, error) { return d.WriteTo(p, d.to) }

// answerTCP answers one request with an MBAP header; false ends the connection.
func (m *Map) answerTCP(ctx context.Context, w io.Writer, request []byte) bool {
	x := m.exchange(nil, request[6], request[7:])
	x.ID += binary.BigEndian.Uint16(request)
	frame := append(make([]byte, 0, 300), byte(x.ID>>8), byte(x.ID), 0, 0, 0, byte(len(x.PDU)+1), x.Unit)
	return m.send(ctx, w, &x, request, append(frame, x.PDU...))
}

// ServeRTU answers Modbus RTU until reading fails. Requests to units that are not in the map are ignored, as on a line
// with several slaves.
func ServeRTU(ctx context.Context, line io.ReadWriter, m *Map) error {
	return m.serveLine(ctx, line, nextRTU, m.serveRTU)
}

// ServeASCII does the same for Modbus ASCII.
func ServeASCII(ctx context.Context, line io.ReadWriter, m *Map) error {
	return m.serveLine(ctx, line, nextASCII, m.serveASCII)
}

// serveLine cuts requests out of what a line brings.
func (m *Map) serveLine(ctx context.Context, line io.ReadWriter, next func([]byte) (int, int), serve func(context.Context, io.Writer, []byte) bool) error {
	var received []byte
	var buf [256]byte
	for {
		n, err := line.Read(buf[:])
		if err != nil {
			return err
		}
		received = append(received, buf[:n]...)
		for {
			skip, size := next(received)
			received = received[skip:]
			if size == 0 {
				break
			}
			if !serve(ctx, line, received[:size]) {
				return nil
			}
			received = received[size:]
		}
	}
}

func (m *Map) serveRTU(ctx context.Context, line io.Writer, request []byte) bool {
	if !m.knows(request[0]) {
		return true
	}
	x := m.exchange(nil, request[0], request[1:len(request)-2])
	if request[0] == 0 { // nobody answers a broadcast
		return true
	}
	frame := appendCRC(append([]byte{x.Unit}, x.PDU...))
	return m.send(ctx, line, &x, request, frame)
}

func (m *Map) serveASCII(ctx context.Context, line io.Writer, request []byte) bool {
	b, err := hex.DecodeString(string(request[1 : len(request)-2]))
	if err != nil || len(b) < 3 || sum(b) != 0 || !m.knows(b[0]) {
		return true
	}
	x := m.exchange(nil, b[0], b[1:len(b)-1])
	if b[0] == 0 {
		return true
	}
	frame := append([]byte{x.Unit}, x.PDU...)
	frame = append(frame, -sum(frame))
	return m.send(ctx, line, &x, request, fmt.Appendf(nil, ":%X\r\n", frame))
}

func sum(b []byte) (s byte) {
	for _, c := range b {
		s += c
	}
	return s
}

// nextASCII finds a request between a colon and CR LF: bytes to skip, and its size, 0 if it is not complete.
func nextASCII(b []byte) (skip, size int) {
	end := bytes.Index(b, []byte("\r\n"))
	if end < 0 {
		return max(0, bytes.LastIndexByte(b, ':')), 0
	}
	colon := bytes.LastIndexByte(b[:end], ':')
	if colon < 0 {
		return end + 2, 0
	}
	return colon, end + 2 - colon
}

func (m *Map) knows(id byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.units[id] != nil || id == 0
}

// nextRTU finds a request: bytes to skip, and its size, 0 if it is not complete.
func nextRTU(b []byte) (skip, size int) {
	for skip = range b {
		size = requestSize(b[skip:])
		if size == 0 || size > len(b)-skip {
			return skip, 0
		}
		if size > 0 && crc(b[skip:skip+size]) == 0 {
			return skip, size
		}
	}
	return len(b), 0
}

// requestSize is 0 if it cannot be told yet, and less than 0 if this is no request.
func requestSize(b []byte) int {
	switch {
	case len(b) < 4:
		return 0
	case b[1] == 7 || b[1] == 11 || b[1] == 12 || b[1] == 17:
		return 4
	case b[1] == 20 || b[1] == 21:
		return 5 + int(b[2])
	case len(b) < 6:
		return 0
	case b[1] == 24:
		return 6
	case len(b) < 7:
		return 0
	case b[1] == 43:
		return 7
	case len(b) < 8:
		return 0
	case b[1] >= 1 && b[1] <= 6:
		return 8
	case b[1] == 8:
		return 8
	case b[1] == 15 || b[1] == 16:
		return 9 + int(b[6])
	case b[1] == 22:
		return 10
	case b[1] == 23 && len(b) < 11:
		return 0
	case b[1] == 23:
		return 13 + int(b[10])
	}
	return -1
}

func crc(b []byte) uint16 {
	sum := uint16(0xFFFF)
	for _, c := range b {
		sum ^= uint16(c)
		for range 8 {
			if sum&1 != 0 {
				sum = sum>>1 ^ 0xA001
			} else {
				sum >>= 1
			}
		}
	}
	return sum
}

func appendCRC(b []byte) []byte {
	sum := crc(b)
	return append(b, byte(sum), byte(sum>>8))
}

// exchange answers a request and applies the next fault of the script.
func (m *Map) exchange(dst []byte, id byte, pdu []byte) Exchange {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	if m.Trace != nil {
		m.Trace(id, pdu)
	}
	x := Exchange{Unit: id, PDU: m.answer(dst, id, pdu), drop: m.mute[id]}
	if len(m.script) > 0 {
		if fault := m.script[0]; fault != nil {
			fault(&x)
		}
		m.script = m.script[1:]
	}
	return x
}

// send puts the answer on the wire; false ends the connection.
func (m *Map) send(ctx context.Context, w io.Writer, x *Exchange, request, frame []byte) bool {
	if !pause(ctx, x.Delay) {
		return false
	}
	if x.drop {
		return !x.close
	}
	out := x.shape(request, m.replayed(x, frame))
	if x.split > 0 && x.split < len(out) {
		if _, err := w.Write(out[:x.split]); err != nil || !pause(ctx, x.pause) {
			return false
		}
		out = out[x.split:]
	}
	_, err := w.Write(out)
	return err == nil && !x.close
}

// replayed returns the frame, or the one before in its stead.
func (m *Map) replayed(x *Exchange, frame []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if x.replay {
		return slices.Clone(m.previous)
	}
	m.previous = append(m.previous[:0], frame...)
	return frame
}

func (x *Exchange) shape(request, frame []byte) []byte {
	if x.echo {
		frame = bytes.Clone(request)
	}
	if x.flip > 0 {
		frame[x.flip-1] ^= 0x10
	}
	if x.cut > 0 {
		frame = frame[:min(x.cut, len(frame))]
	}
	if x.times > 1 {
		frame = bytes.Repeat(frame, x.times)
	}
	if len(x.before)+len(x.after) > 0 {
		frame = slices.Concat(x.before, frame, x.after)
	}
	return frame
}

func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
