package securechannel_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
)

// wire is the client's end of a connection that something happens to.
type wire struct {
	net.Conn
	read  func(b []byte, before int) (int, error) // sees what arrives and how many bytes came before
	bytes int
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if w.read != nil && n > 0 {
		n, err = w.read(b[:n], w.bytes)
	}
	w.bytes += n
	return n, err
}

// through serves one connection and returns the client's end of it behind read.
func (r *rig) through(read func(b []byte, before int) (int, error)) (*wire, <-chan securechanneltest.Result) {
	nc, result := securechanneltest.Serve(r.transport, &r.cfg, nil)
	return &wire{Conn: nc, read: read}, result
}

// talk opens a channel through w and exchanges one message. It returns how many bytes the server sent.
func talk(t *testing.T, r *rig, s suite, w *wire, result <-chan securechanneltest.Result) (int, error) {
	t.Helper()
	defer func() { w.Close(); <-result }()
	c, err := connect(t, w, r.clientConfig(s))
	if err != nil {
		return w.bytes, err
	}
	body := []byte("some bytes")
	got, err := exchange(c, body)
	if err == nil && !bytes.Equal(got, body) {
		t.Errorf("got %q without an error", got)
	}
	c.HangUp()
	return w.bytes, err
}

// intact talks without disturbance and returns how many bytes the server sent.
func intact(t *testing.T, r *rig, s suite) int {
	t.Helper()
	w, result := r.through(nil)
	size, err := talk(t, r, s, w, result)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// A changed bit anywhere in what the server sends is noticed. The Acknowledge is not secured.
func TestClient_tampering(t *testing.T) {
	const acknowledge = 28
	for _, s := range []suite{suites[1], encrypted, suites[6]} {
		t.Run(s.name, func(t *testing.T) {
			r := newRig()
			size := intact(t, r, s)
			for at := acknowledge; at < size; at += 23 {
				synctest.Test(t, func(t *testing.T) {
					flip := func(b []byte, before int) (int, error) {
						if at >= before && at < before+len(b) {
							b[at-before] ^= 1 << (at % 8)
						}
						return len(b), nil
					}
					w, result := r.through(flip)
					if _, err := talk(t, r, s, w, result); err == nil {
						t.Errorf("bit %d of byte %d flipped: not noticed", at%8, at)
					}
				})
			}
		})
	}
}

// Wherever the connection ends, the client says so and does not hang.
func TestClient_truncation(t *testing.T) {
	for _, s := range []suite{suites[0], encrypted} {
		r := newRig()
		size := intact(t, r, s)
		for limit := 0; limit < size; limit += 1 + limit/20 {
			synctest.Test(t, func(t *testing.T) {
				cut := func(b []byte, before int) (int, error) {
					if before+len(b) > limit {
						return limit - before, io.EOF
					}
					return len(b), nil
				}
				w, result := r.through(cut)
				if _, err := talk(t, r, s, w, result); err == nil {
					t.Errorf("%s: nothing noticed when cut after %d of %d bytes", s.name, limit, size)
				}
			})
		}
	}
}

// Whichever read or write of the client fails: it says so.
func TestClient_failEveryReadAndWrite(t *testing.T) {
	const operations = 6 // three each: Hello, OPN, MSG
	for n := range operations + 2 {
		synctest.Test(t, func(t *testing.T) {
			r := newRig()
			nc, result := securechanneltest.Serve(r.transport, &r.cfg, nil)
			broken := &failConn{Conn: nc, left: n}
			_, err := talk(t, r, encrypted, &wire{Conn: broken}, result)
			if (err == nil) != (n >= operations) {
				t.Errorf("operation %d: %v", n, err)
			}
		})
	}
}

// FuzzClient gives arbitrary bytes to a client, instead of the answer to OPN and behind one that is good, without security.
func FuzzClient(f *testing.F) {
	frame := func(body string) []byte {
		return append([]byte("MSGF\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x05\x00\x00\x00"), body...)
	}
	f.Add(true, frame("body"))
	f.Add(false, []byte("OPNF\x40\x00\x00\x00\x01\x00\x00\x00"))
	f.Add(true, []byte("ERRF\x10\x00\x00\x00\x00\x00\x08\x80\xFF\xFF\xFF\xFF"))
	r := newRig()
	f.Fuzz(func(t *testing.T, open bool, b []byte) {
		nc, done := r.peer(t, suites[0], func(p *securechanneltest.Server) error {
			err := p.ReadOpen()
			if err == nil && open {
				err = p.AnswerOpen()
			}
			if err == nil {
				_, err = p.Net.Write(b)
			}
			return err
		})
		defer func() { nc.Close(); <-done }()
		c, err := connect(t, nc, r.clientConfig(suites[0]))
		if !open {
			if err == nil && !bytes.HasPrefix(b, []byte("OPNF")) {
				t.Errorf("%q opened a channel", b)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for total := 0; ; {
			response, err := c.Next()
			if err != nil {
				return
			}
			if total += len(response.Body); total > len(b) {
				t.Fatalf("%d bytes of responses from %d", total, len(b))
			}
		}
	})
}
