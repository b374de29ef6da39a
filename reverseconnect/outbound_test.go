package reverseconnect

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// listener is a client's listener on a real port that reads the ReverseHello of whoever calls.
func callee(t *testing.T) (address string, heard <-chan uatcp.ReverseHello, callers <-chan string) {
	t.Helper()
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rhe, from := make(chan uatcp.ReverseHello, 10), make(chan string, 10)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := nl.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer nc.Close()
				if hello, err := uatcp.ReadReverseHello(nc, 5*time.Second); err == nil {
					from <- nc.RemoteAddr().String()
					rhe <- hello
					_, _ = nc.Read(make([]byte, 1)) // until the Manager stops
				}
			})
		}
	})
	t.Cleanup(func() { nl.Close(); serving.Wait() })
	return nl.Addr().String(), rhe, from
}

// connects runs a Manager with one target until the client hears its ReverseHello.
func connects(t *testing.T, target Target, heard <-chan uatcp.ReverseHello) {
	t.Helper()
	w := newWorld(t, func(_ *world, cfg *ManagerConfig) { cfg.Dial = nil }, target)
	select {
	case rhe := <-heard:
		if rhe.EndpointURL != target.EndpointURL {
			t.Errorf("announced %+v", rhe)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("no call; %+v", w.m.Snapshot()[0])
	}
	w.end(5 * time.Second)
}

func TestPath_SourceAddress(t *testing.T) {
	address, heard, callers := callee(t)
	target := testTarget("opc.tcp://" + address)
	target.Path.SourceAddress = "127.0.0.7"
	connects(t, target, heard)
	if host, _, _ := net.SplitHostPort(<-callers); host != "127.0.0.7" {
		t.Errorf("called from %s", host)
	}
}

func TestPath_Refused(t *testing.T) {
	for _, c := range []struct {
		path Path
		want string
	}{
		{Path{SourceAddress: "localhost"}, "not an IP address"},
		{Path{Interface: strings.Repeat("x", 16)}, "Interface"},
		{Path{UserTimeout: -1}, "UserTimeout"},
		{Path{ProxyCredentials: "/file"}, "no Proxy"},
		{Path{Proxy: "localhost:1080"}, "Proxy"},
		{Path{Proxy: "https://localhost:1080"}, "socks5:// or http://"},
		{Path{Proxy: "socks5://me:secret@localhost:1080"}, "a file"},
		{Path{Proxy: "socks5://localhost:0"}, "port"},
		{Path{Proxy: "socks5://localhost:65536"}, "port"},
		{Path{Proxy: "socks5://:1080"}, "host"},
		{Path{Proxy: "socks5://"}, "socks5://host:port"},
		{Path{Proxy: "http://localhost:8080/path"}, "behind its port"},
		{Path{Proxy: "http://local host"}, "Proxy"},
	} {
		target := testTarget(client1)
		target.Path = c.path
		if _, err := NewManager(ManagerConfig{Targets: []Target{target}}); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want %q", c.path, err, c.want)
		}
	}
}

func credentials(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "proxy.credentials")
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return file
}

// proxyServer is a proxy on a real port that serves each connection with handle.
func proxyServer(t *testing.T, handle func(net.Conn) error) string {
	t.Helper()
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := nl.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer nc.Close()
				if err := handle(nc); err != nil {
					t.Errorf("proxy: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() { nl.Close(); serving.Wait() })
	return nl.Addr().String()
}

// splice carries bytes both ways until either side ends.
func splice(a, b net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(a, b); a.Close() })
	_, _ = io.Copy(b, a)
	b.Close()
	both.Wait()
}

// socks5 is a proxy as RFC 1928 and RFC 1929 describe it, written apart from the code under test.
func socks5(user, password string, resolve map[string]string) func(net.Conn) error {
	return func(nc net.Conn) error {
		r := bufio.NewReader(nc)
		head := make([]byte, 2)
		if _, err := io.ReadFull(r, head); err != nil {
			return err
		}
		methods := make([]byte, head[1])
		if _, err := io.ReadFull(r, methods); err != nil {
			return err
		}
		if user == "" {
			fmt.Fprint(nc, "\x05\x00")
		} else {
			if !strings.Contains(string(methods), "\x02") {
				fmt.Fprint(nc, "\x05\xff")
				return nil
			}
			fmt.Fprint(nc, "\x05\x02")
			want := fmt.Sprintf("\x01%c%s%c%s", len(user), user, len(password), password)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(r, got); err != nil {
				return err
			}
			if string(got) != want {
				fmt.Fprint(nc, "\x01\x01")
				return nil
			}
			fmt.Fprint(nc, "\x01\x00")
		}
		request := make([]byte, 4)
		if _, err := io.ReadFull(r, request); err != nil {
			return err
		}
		var host string
		switch request[3] {
		case 1:
			b := make([]byte, 4)
			if _, err := io.ReadFull(r, b); err != nil {
				return err
			}
			host = net.IP(b).String()
		case 3:
			n, err := r.ReadByte()
			if err != nil {
				return err
			}
			b := make([]byte, n)
			if _, err := io.ReadFull(r, b); err != nil {
				return err
			}
			host = resolve[string(b)]
		}
		port := make([]byte, 2)
		if _, err := io.ReadFull(r, port); err != nil {
			return err
		}
		far, err := net.Dial("tcp", net.JoinHostPort(host, fmt.Sprint(binary.BigEndian.Uint16(port))))
		if err != nil {
			fmt.Fprint(nc, "\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00")
			return nil
		}
		fmt.Fprint(nc, "\x05\x00\x00\x03\x04here\x12\x34")
		splice(nc, far)
		return nil
	}
}

// httpProxy is a proxy for CONNECT on net/http's parser.
func httpProxy(authorization string) func(net.Conn) error {
	return func(nc net.Conn) error {
		req, err := http.ReadRequest(bufio.NewReader(nc))
		switch {
		case err != nil:
			return err
		case req.Method != http.MethodConnect:
			return fmt.Errorf("method %s", req.Method)
		case req.Header.Get("Proxy-Authorization") != authorization:
			fmt.Fprint(nc, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n")
			return nil
		}
		far, err := net.Dial("tcp", req.Host)
		if err != nil {
			fmt.Fprint(nc, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
			return nil
		}
		fmt.Fprint(nc, "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
		splice(nc, far)
		return nil
	}
}

func TestProxy_Connects(t *testing.T) {
	address, heard, _ := callee(t)
	_, port, _ := net.SplitHostPort(address)
	file := credentials(t, "joe:se:cret\n", 0o600)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("joe:se:cret"))
	names := map[string]string{"client.invalid": "127.0.0.1"}
	for name, c := range map[string]struct {
		proxy, url string
		file       string
		serve      func(net.Conn) error
	}{
		"socks5":          {"socks5://", "opc.tcp://" + address, "", socks5("", "", nil)},
		"socks5 resolves": {"socks5://", "opc.tcp://client.invalid:" + port, "", socks5("", "", names)},
		"socks5 password": {"socks5://", "opc.tcp://" + address, file, socks5("joe", "se:cret", nil)},
		"http":            {"http://", "opc.tcp://" + address, "", httpProxy("")},
		"http password":   {"http://", "opc.tcp://" + address, file, httpProxy(basic)},
	} {
		t.Run(name, func(t *testing.T) {
			target := testTarget(c.url)
			target.Path = Path{Proxy: c.proxy + proxyServer(t, c.serve), ProxyCredentials: c.file}
			connects(t, target, heard)
		})
	}
}

// TestProxy_Hostile has everything that a proxy may do instead of connecting.
func TestProxy_Hostile(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct{ scheme, answer, want string }{
		{"socks5", "", "closed the connection"},
		{"socks5", "\x05", "closed the connection"},
		{"socks5", "HTTP/1.1 400 Bad Request\r\n\r\n", "is not a SOCKS5 proxy"},
		{"socks5", "\x04\x00", "is not a SOCKS5 proxy"},
		{"socks5", "\x05\xff", "wants a user name and password"},
		{"socks5", "\x05\x02", "not supported (2)"}, // was not offered
		{"socks5", "\x05\x01", "not supported (1)"},
		{"socks5", "\x05\x00\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", "connection refused"},
		{"socks5", "\x05\x00\x05\x02\x00\x01\x00", "not allowed by its rules"},
		{"socks5", "\x05\x00\x05\xee\x00\x01\x00", "failure 238"},
		{"socks5", "\x05\x00\x05\x00\x00\x09\x00\x00\x00\x00\x00\x00", "does not speak SOCKS5"},
		{"socks5", "\x05\x00\x09\x00\x00\x01\x00\x00\x00\x00\x00\x00", "does not speak SOCKS5"},
		{"socks5", "\x05\x00\x05\x00\x00\x03\xffshort", "closed the connection"},
		{"http", "", "closed the connection"},
		{"http", "\x05\x00\x05\x00\x00\x01", "is not an HTTP proxy"},
		{"http", "HTTP/1.1 200", "closed the connection"},
		{"http", "HTTP/1.1 403 Forbid\x1b[2Jden\r\n\r\n", `answered "403 Forbid\x1b[2Jden"`},
		{"http", "HTTP/1.1 403 " + long[:5000] + "\r\n\r\n", `..."`[:3]},
		{"http", "HTTP/1.1 200 " + long, "answered without an end"},
		{"http", "HTTP/1.1\r\n\r\n", `answered ""`},
		{"http", "HTTP/1.1 20\r\n\r\n", `answered "20"`},
		{"http", "HTTP/1.1 407 Authentication\r\n\r\n", "none are configured"},
		{"http", long, "is not an HTTP proxy"},
	} {
		target := testTarget(client1)
		target.Path.Proxy = c.scheme + "://proxy.test:1"
		near, far := net.Pipe()
		go func() {
			go io.Copy(io.Discard, far)
			_, _ = io.WriteString(far, c.answer)
			far.Close()
		}()
		p, err := parseProxy(target.Path.Proxy, "")
		if err != nil {
			t.Fatal(err)
		}
		err = p.connect(near, "client.test:48061", nil)
		near.Close()
		if err == nil {
			t.Errorf("%s %.40q: connected", c.scheme, c.answer)
			continue
		}
		reason := dialReason(&proxyError{p.address, true, err}, &target)
		if !strings.HasPrefix(reason, "proxy proxy.test:1: ") || !strings.Contains(reason, c.want) || len(reason) > 300 {
			t.Errorf("%s %.40q: %s, want %s", c.scheme, c.answer, reason, c.want)
		}
	}
}

// Every cut of a good answer fails and hangs nobody; what follows it belongs to the client.
func TestProxy_Truncated(t *testing.T) {
	for scheme, answer := range map[string]string{
		"socks5": "\x05\x00\x05\x00\x00\x03\x04here\x12\x34",
		"http":   "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n",
	} {
		p, err := parseProxy(scheme+"://p:1", "")
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(answer) + 1 {
			tail := ""
			if n == len(answer) {
				tail = "HEL"
			}
			nc := &script{in: strings.NewReader(answer[:n] + tail)}
			err := p.connect(nc, "client.test:48061", nil)
			if left, _ := io.ReadAll(nc.in); (err == nil) != (n == len(answer)) || err == nil && string(left) != tail {
				t.Errorf("%s cut at %d: %v, %q left", scheme, n, err, left)
			}
		}
	}
}

// script answers without listening.
type script struct{ in io.Reader }

func (s *script) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *script) Write(b []byte) (int, error) { return len(b), nil }

func FuzzProxyAnswer(f *testing.F) {
	f.Add(true, []byte("\x05\x00\x05\x00\x00\x03\x04here\x12\x34"))
	f.Add(true, []byte("\x05\x02\x01\x00\x05\x00\x00\x04aaaaaaaaaaaaaaaa\x12\x34"))
	f.Add(false, []byte("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"))
	f.Add(false, []byte("HTTP/1.0 407 \n\n"))
	f.Fuzz(func(t *testing.T, socks bool, answer []byte) {
		connect := connectHTTP
		if socks {
			connect = connectSOCKS5
		}
		target := testTarget(client1)
		if err := connect(&script{in: strings.NewReader(string(answer))}, "client.test:1", &login{"u", "p"}); err != nil {
			if reason := dialReason(&proxyError{"p:1", true, err}, &target); len(reason) > 4*maxReason+100 || strings.ContainsAny(reason, "\r\n\x1b\x00") {
				t.Errorf("%q", reason)
			}
		}
	})
}

func TestProxy_Credentials(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"readable by others": {"joe:secret", 0o644, "chmod 600"},
		"group":              {"joe:secret", 0o640, "chmod 600"},
		"no colon":           {"joe", 0o600, "user:password"},
		"no user":            {":secret", 0o600, "user:password"},
		"no password":        {"joe:", 0o600, "user:password"},
		"long":               {"joe:" + strings.Repeat("x", 256), 0o600, "user:password"},
		"huge":               {"joe:" + strings.Repeat("x", 5000), 0o600, "user:password"},
		"two lines":          {"joe:secret\nmore", 0o600, "user:password"},
	} {
		p := &proxy{address: "p:1", credentials: credentials(t, c.text, c.mode)}
		_, err := p.login()
		target := testTarget(client1)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(dialReason(&proxyError{"p:1", true, err}, &target), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := &proxy{credentials: filepath.Join(t.TempDir(), "none")}
	if _, err := p.login(); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
	p.credentials = t.TempDir()
	if _, err := p.login(); err == nil {
		t.Error("a directory is accepted")
	}
	wrong := testTarget(client1)
	wrong.Path = Path{Proxy: "socks5://" + proxyServer(t, socks5("joe", "right", nil)), ProxyCredentials: credentials(t, "joe:wrong", 0o600)}
	if _, err := wrong.dialFunc(nil)(t.Context(), "tcp", "127.0.0.1:1"); err == nil || !strings.Contains(dialReason(err, &wrong), "does not accept the user name and password") {
		t.Error(err)
	}
}

// ConnectTimeout bounds the whole chain: a proxy that is reached and then says nothing costs no more than one that is not.
func TestProxy_SilentIsBounded(t *testing.T) {
	for _, scheme := range []string{"socks5", "http"} {
		synctest.Test(t, func(t *testing.T) {
			target := testTarget(client1)
			target.Path.Proxy = scheme + "://proxy.test:1"
			w := newWorld(t, nil, target)
			p := w.ring()
			if p.address != "proxy.test:1" {
				t.Errorf("dialled %s", p.address)
			}
			go io.Copy(io.Discard, p)
			time.Sleep(DefaultConnectTimeout)
			s := w.wantState(Waiting)
			if want := "proxy proxy.test:1: no answer within 5s"; s.LastError != want || s.LastErrorTime.Sub(p.calledAt) != DefaultConnectTimeout {
				t.Errorf("%q after %v", s.LastError, s.LastErrorTime.Sub(p.calledAt))
			}
			for _, d := range w.dialled() {
				if d.address != "proxy.test:1" {
					t.Errorf("went round the proxy to %s", d.address)
				}
			}
			w.end(0)
		})
	}
}

func TestProxy_AddressForms(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:48061":               "\x05\x01\x00\x01\xc0\x00\x02\x01\xbb\xbd",
		"[::ffff:192.0.2.1]:1":          "\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x01",
		"[2001:db8::1]:1":               "\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01",
		"c.test:4840":                   "\x05\x01\x00\x03\x06c.test\x12\xe8",
		"[fe80::1%eth0]:1":              "",
		strings.Repeat("x", 256) + ":1": "",
	} {
		got, err := socksRequest(address)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", address, got, err)
		}
	}
	for _, address := range []string{"a\r\nb:1", "a b:1", "ä.test:1"} {
		if err := connectHTTP(&script{in: strings.NewReader("HTTP/1.1 200 OK\r\n\r\n")}, address, nil); err == nil {
			t.Errorf("%q is sent", address)
		}
	}
}
