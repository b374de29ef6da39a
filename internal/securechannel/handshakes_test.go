package securechannel

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"
)

func TestHandshakes_rate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHandshakes(HandshakeConfig{})
		a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		for range 5 {
			if err := h.admit(a); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.admit(a); !errors.Is(err, ua.StatusBadTCPServerTooBusy) {
			t.Errorf("sixth attempt: %v", err)
		}
		if err := h.admit(b); err != nil {
			t.Errorf("other address: %v", err)
		}
		time.Sleep(200 * time.Millisecond)
		if err := h.admit(a); err != nil {
			t.Errorf("after 200 ms: %v", err)
		}
		if err := h.admit(a); err == nil {
			t.Error("two attempts after 200 ms")
		}
	})
}

func TestHandshakes_lockAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHandshakes(HandshakeConfig{})
		a := netip.MustParseAddr("192.0.2.1")
		for range 9 { // over more than a window: no lock
			h.failed(a)
		}
		time.Sleep(61 * time.Second)
		for range 9 {
			h.failed(a)
		}
		if err := h.admit(a); err != nil {
			t.Fatalf("after 9 failures: %v", err)
		}
		h.failed(a)
		time.Sleep(time.Minute - 1)
		if err := h.admit(a); err == nil {
			t.Error("not locked for 60 s")
		}
		time.Sleep(1)
		if err := h.admit(a); err != nil {
			t.Errorf("after 60 s: %v", err)
		}
	})
}

func TestHandshakes_queue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHandshakes(HandshakeConfig{Queue: 2})
		release := make(chan struct{})
		running, most := 0, 0
		results := make(chan error, 4)
		for range 4 {
			go func() {
				results <- h.do(func() error {
					running++ // only one at a time: the race detector would see it
					most = max(most, running)
					<-release
					running--
					return nil
				})
			}()
			synctest.Wait()
		}
		if err := <-results; !errors.Is(err, ua.StatusBadTCPServerTooBusy) {
			t.Errorf("fourth: %v", err)
		}
		time.Sleep(10 * time.Second) // two gave up waiting
		for range 2 {
			if err := <-results; !errors.Is(err, ua.StatusBadTCPServerTooBusy) {
				t.Errorf("waited too long: %v", err)
			}
		}
		close(release)
		if err := <-results; err != nil || most != 1 {
			t.Errorf("first: %v, %d at a time", err, most)
		}
	})
}

func TestHandshakes_remembersABoundedNumberOfAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHandshakes(HandshakeConfig{})
		for i := range 3 * maxPeers {
			time.Sleep(time.Millisecond)
			_ = h.admit(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		if len(h.peers) != maxPeers {
			t.Errorf("%d addresses", len(h.peers))
		}
		if last := 3*maxPeers - 1; h.peers[netip.AddrFrom4([4]byte{10, 0, byte(last >> 8), byte(last & 255)})] == nil {
			t.Error("forgot the newest address")
		}
	})
}

func TestHandshakes_nilDoesNotLimit(t *testing.T) {
	var h *Handshakes
	h.failed(netip.Addr{})
	if err := h.admit(netip.Addr{}); err != nil {
		t.Error(err)
	}
	if err := h.do(func() error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestAddressOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:4840":                 "192.0.2.1",
		"[::ffff:192.0.2.1]:4840":        "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:4840":    "2001:db8:1:2::",
		"[fe80::1234%eth0]:4840":         "fe80::",
		"[2001:db8:1:2:ffff:4:5:6]:9999": "2001:db8:1:2::",
	} {
		addr, err := netip.ParseAddrPort(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := addressOf(net.TCPAddrFromAddrPort(addr)); got.String() != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	pipe, _ := net.Pipe()
	if got := addressOf(pipe.LocalAddr()); got != (netip.Addr{}) {
		t.Errorf("pipe: %v", got)
	}
	if got := addressOf(nil); got != (netip.Addr{}) {
		t.Errorf("nil: %v", got)
	}
}
