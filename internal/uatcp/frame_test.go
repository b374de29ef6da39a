package uatcp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"
)

// The wrong messages once the connection is open.
func TestReadChunk_badFrames(t *testing.T) {
	frame := func(kind string, size uint32) []byte { return binary.LittleEndian.AppendUint32([]byte(kind), size) }
	for name, tc := range map[string]struct {
		bytes []byte
		want  ua.StatusCode
	}{
		"second HEL":   {hello(nil), ua.StatusBadTCPMessageTypeInvalid},
		"RHE":          {ReverseHello{"urn:x", testURL}.Append(nil), ua.StatusBadTCPMessageTypeInvalid},
		"ACK":          {(&Acknowledge{}).Append(nil), ua.StatusBadTCPMessageTypeInvalid},
		"unknown":      {frame("XYZF", 10), ua.StatusBadTCPMessageTypeInvalid},
		"chunk type X": {frame("MSGX", 10), ua.StatusBadTCPMessageTypeInvalid},
		"OPN C":        {frame("OPNC", 10), ua.StatusBadTCPMessageTypeInvalid},
		"CLO A":        {frame("CLOA", 10), ua.StatusBadTCPMessageTypeInvalid},
		"size 0":       {frame("MSGF", 0), ua.StatusBadDecodingError},
		"size 7":       {frame("MSGF", 7), ua.StatusBadDecodingError},
		"size 8193":    {frame("MSGF", 8193), ua.StatusBadTCPMessageTooLarge},
		"size 2^31":    {frame("MSGF", 1<<31), ua.StatusBadTCPMessageTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := connect(t, Config{ReceiveBufferSize: 8192}, Config{})
				go c.nc.Write(tc.bytes)
				go func() {
					_, err := s.ReadChunk()
					s.Fail(err)
				}()
				expectError(t, c.nc, tc.want)
			})
		})
	}
}

func TestReadChunk_peerError(t *testing.T) {
	for name, tc := range map[string]struct {
		bytes []byte
		want  Error
	}{
		"error":      {(&Error{ua.StatusBadTCPServerTooBusy, "later"}).Append(nil), Error{ua.StatusBadTCPServerTooBusy, "later"}},
		"unreadable": {[]byte("ERRF\x09\x00\x00\x00x"), Error{ua.StatusBadDecodingError, "(unreadable)"}},
	} {
		t.Run(name, func(t *testing.T) {
			nc, result := accept(t, Config{}) // instead of a Hello, as clients answer a ReverseHello they do not want
			go nc.Write(tc.bytes)
			if b, err := io.ReadAll(nc); len(b) > 0 || err != nil {
				t.Errorf("answered an Error with %x, %v", b, err)
			}
			var peer *Error
			if s := <-result; !errors.As(s.err, &peer) || *peer != tc.want {
				t.Errorf("got %v", s.err)
			}
		})
	}
}

// bytes do not move the deadline of a frame.
func TestA05_frameDeadlineIsAbsolute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := connect(t, Config{FrameTimeout: 10 * time.Second}, Config{})
		start := time.Now()
		result := make(chan error)
		go func() {
			_, err := s.ReadChunk()
			result <- err
		}()
		var writer sync.WaitGroup
		writer.Go(func() {
			frame := append([]byte("MSGF\x64\x00\x00\x00"), make([]byte, 92)...)
			for i := range frame {
				if _, err := c.nc.Write(frame[i : i+1]); err != nil {
					return
				}
				time.Sleep(3 * time.Second)
			}
		})
		if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		s.Close()
		writer.Wait()
	})
}

func TestReadChunk_idleDeadlineCanBeWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := connect(t, Config{}, Config{})
		s.SetIdleDeadline(time.Now().Add(time.Minute))
		if _, err := s.ReadChunk(); err != ErrIdle {
			t.Fatal(err)
		}
		s.SetIdleDeadline(time.Time{})
		go func() {
			time.Sleep(time.Hour)
			c.Write([]byte("MSGF\x09\x00\x00\x00x"), c.WriteDeadline())
		}()
		if chunk, err := s.ReadChunk(); err != nil || string(chunk.Bytes[HeaderSize:]) != "x" {
			t.Errorf("%q, %v", chunk.Bytes, err)
		}
	})
}

// frames returns n MSG frames of growing size and their bodies.
func frames(n int) (stream []byte, bodies [][]byte) {
	for i := range n {
		body := bytes.Repeat([]byte{byte(i)}, i*i*13)
		stream = append(Header{TypeMessage, Final, uint32(HeaderSize + len(body))}.Append(stream), body...)
		bodies = append(bodies, body)
	}
	return stream, bodies
}

// streamConn is a net.Conn that only reads, from r.
type streamConn struct {
	net.Conn
	io.Reader
}

func (c streamConn) Read(b []byte) (int, error)       { return c.Reader.Read(b) }
func (c streamConn) SetReadDeadline(time.Time) error  { return nil }
func (c streamConn) SetWriteDeadline(time.Time) error { return nil }
func (c streamConn) Close() error                     { return nil }

func openConn(r io.Reader) *Conn {
	c := newConn(streamConn{Reader: r}, Config{Unauthenticated: NewBudget(1 << 20)}, stateServer)
	c.open(stateServer, 65535, 65535, 0, 0)
	return c
}

// However the network cuts the stream, the same frames come out.
func TestReadChunk_anyFragmentation(t *testing.T) {
	stream, bodies := frames(60)
	for name, r := range map[string]io.Reader{
		"at once":      bytes.NewReader(stream),
		"byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
		"halves":       iotest.HalfReader(bytes.NewReader(stream)),
		"data and EOF": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		c := openConn(r)
		for i, want := range bodies {
			chunk, err := c.ReadChunk()
			if err != nil || !bytes.Equal(chunk.Bytes[HeaderSize:], want) {
				t.Fatalf("%s: frame %d: %d bytes, %v", name, i, len(chunk.Bytes), err)
			}
		}
		if _, err := c.ReadChunk(); err != io.EOF {
			t.Errorf("%s: end: %v", name, err)
		}
		if c.frames.large != nil || c.cfg.Unauthenticated.Used() != 0 {
			t.Errorf("%s: %d bytes still held", name, c.cfg.Unauthenticated.Used())
		}
	}
}

func TestReadChunk_truncatedAtEveryByte(t *testing.T) {
	stream := append([]byte("MSGF\x64\x00\x00\x00"), make([]byte, 92)...)
	for n := 1; n < len(stream); n++ {
		if _, err := openConn(bytes.NewReader(stream[:n])).ReadChunk(); err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestReadChunk_largeBufferIsGivenBackWhenIdle(t *testing.T) {
	stream, _ := frames(40)
	c := openConn(bytes.NewReader(stream))
	for range 40 {
		if _, err := c.ReadChunk(); err != nil {
			t.Fatal(err)
		}
	}
	if c.frames.large == nil || c.cfg.Unauthenticated.Used() == 0 {
		t.Error("a frame of 19 KiB in the first buffer")
	}
	c.frames.release()
	if c.frames.large != nil || c.cfg.Unauthenticated.Used() != 0 {
		t.Error("large buffer kept while idle")
	}
}

func TestReadChunk_unauthenticatedBudget(t *testing.T) {
	budget := NewBudget(100_000)
	open := func() *Conn {
		c := newConn(streamConn{Reader: io.MultiReader(bytes.NewReader([]byte("MSGF\xFF\xFF\x00\x00")), iotest.ErrReader(io.ErrClosedPipe))}, Config{Unauthenticated: budget}, stateServer)
		c.open(stateServer, 65535, 65535, 0, 0)
		return c
	}
	a, b := open(), open()
	if err := a.frames.grow(65535); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReadChunk(); StatusCodeOf(err) != ua.StatusBadTCPNotEnoughResources {
		t.Errorf("over budget: %v", err)
	}
	b = open()
	b.LimitFrames(65535, time.Second, true)
	if _, err := b.ReadChunk(); err != io.ErrClosedPipe {
		t.Errorf("authenticated: %v", err)
	}
	if _, err := a.ReadChunk(); err != io.ErrClosedPipe || budget.Used() != 0 {
		t.Errorf("%v, %d bytes still booked", err, budget.Used())
	}
}

func FuzzReadChunk(f *testing.F) {
	stream, _ := frames(8)
	f.Add(stream)
	f.Add((&Error{ua.StatusBadTimeout, "x"}).Append(nil))
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, bytewise := openConn(bytes.NewReader(stream)), openConn(iotest.OneByteReader(bytes.NewReader(stream)))
		for {
			a, errA := whole.ReadChunk()
			b, errB := bytewise.ReadChunk()
			if !bytes.Equal(a.Bytes, b.Bytes) || (errA == nil) != (errB == nil) {
				t.Fatalf("fragmentation matters: %x, %v against %x, %v", a.Bytes, errA, b.Bytes, errB)
			}
			if errA != nil {
				break
			}
		}
		if n := whole.cfg.Unauthenticated.Used() + bytewise.cfg.Unauthenticated.Used(); n != 0 {
			t.Errorf("%d bytes still booked", n)
		}
	})
}
