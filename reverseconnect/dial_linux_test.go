package reverseconnect

import (
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel must be told to notice a vanished client within 30 s by default.
func TestTargetDialer_KeepAlive(t *testing.T) {
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	nc, err := targetDialer(&Target{KeepAlive: DefaultKeepAlive}).DialContext(t.Context(), "tcp", nl.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	option := func(level, name int) int {
		var value int
		var failure error
		if err := raw.Control(func(fd uintptr) { value, failure = unix.GetsockoptInt(int(fd), level, name) }); err != nil {
			t.Fatal(err)
		}
		if failure != nil {
			t.Fatal(failure)
		}
		return value
	}
	idle, interval := option(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE), option(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)
	probes, on := option(unix.IPPROTO_TCP, unix.TCP_KEEPCNT), option(unix.SOL_SOCKET, unix.SO_KEEPALIVE)
	if on == 0 || idle != 15 {
		t.Errorf("keepalive %d after %d s", on, idle)
	}
	// With a user timeout Linux gives up at the first probe that is due when it has passed.
	user := time.Duration(option(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)) * time.Millisecond
	noticed := time.Duration(idle) * time.Second
	for n := 0; n < probes || noticed < user; n++ {
		noticed += time.Duration(interval) * time.Second
	}
	if noticed > 30*time.Second || user > 30*time.Second || user < 15*time.Second {
		t.Errorf("noticed after %v (idle %d s, %d probes every %d s, user timeout %v), want at most 30s", noticed, idle, probes, interval, user)
	}
}

func TestTargetDialer_UserTimeout(t *testing.T) {
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	target := &Target{KeepAlive: DefaultKeepAlive, Path: Path{UserTimeout: 7 * time.Second}}
	nc, err := targetDialer(target).DialContext(t.Context(), "tcp", nl.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	if err := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }); err != nil {
		t.Fatal(err)
	}
	if got != 7000 {
		t.Errorf("user timeout %d ms, %v", got, err)
	}
}

func TestTargetDialer_Interface(t *testing.T) {
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	for name, want := range map[string]string{"lo": "", "none0": "interface none0"} {
		target := testTarget("opc.tcp://" + nl.Addr().String())
		target.Path.Interface = name
		nc, err := target.dialFunc(nil)(t.Context(), "tcp", nl.Addr().String())
		switch {
		case want == "" && err == nil:
			nc.Close()
		case err == nil:
			t.Errorf("%s: dialled", name)
		case want == "" || !strings.Contains(dialReason(err, &target), want):
			t.Errorf("%s: %v", name, dialReason(err, &target))
		}
	}
}
