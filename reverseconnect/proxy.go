package reverseconnect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// proxy is a server that connects on our behalf. What it says is as little trusted as what a client says.
type proxy struct {
	address     string
	credentials string // file, empty: none
	// connect asks the proxy behind nc for a connection to address. It reads not one byte more than the answer.
	connect func(nc io.ReadWriter, address string, login *login) error
}

// login is what a proxy wants to know before it serves.
type login struct{ user, password string }

// parseProxy checks a Proxy of a Path.
func parseProxy(rawURL, credentials string) (*proxy, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil || u.Host == "":
		return nil, fmt.Errorf("the Proxy %q is not socks5://host:port or http://host:port", rawURL)
	case u.User != nil:
		return nil, errors.New("a Proxy with a user name or password in it is not accepted: they belong into a file")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("the Proxy %q has something behind its port", rawURL)
	}
	p := &proxy{credentials: credentials}
	var standard string
	switch u.Scheme {
	case "socks5":
		p.connect, standard = connectSOCKS5, "1080"
	case "http":
		p.connect, standard = connectHTTP, "8080"
	default:
		return nil, fmt.Errorf("the Proxy %q does not start with socks5:// or http://", rawURL)
	}
	port := u.Port()
	if port == "" {
		port = standard
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || u.Hostname() == "" {
		return nil, fmt.Errorf("the Proxy %q has no valid host and port", rawURL)
	}
	p.address = net.JoinHostPort(u.Hostname(), port)
	return p, nil
}

// dialFunc dials through the proxy. ctx bounds all of it.
func (p *proxy) dialFunc(base dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		who, err := p.login()
		if err != nil {
			return nil, &proxyError{p.address, true, err}
		}
		nc, err := base(ctx, network, p.address)
		if err != nil {
			return nil, &proxyError{p.address, false, err}
		}
		late := context.AfterFunc(ctx, func() { nc.Close() })
		err = p.connect(nc, address, who)
		if !late() {
			err = ctx.Err()
		}
		if err != nil {
			nc.Close()
			return nil, &proxyError{p.address, true, err}
		}
		return nc, nil
	}
}

// proxyError says that a client was not reached because of the proxy.
type proxyError struct {
	address string
	reached bool // there is a connection to the proxy
	err     error
}

func (e *proxyError) Error() string { return "proxy " + e.address + ": " + e.err.Error() }
func (e *proxyError) Unwrap() error { return e.err }

// reason says it in words.
func (e *proxyError) reason(t *Target) string {
	who := "proxy " + e.address + ": "
	_, refused := errors.AsType[proxyRefusal](e.err)
	switch {
	case refused:
		return who + e.err.Error()
	case !e.reached:
		return who + dialReason(e.err, t)
	case isTimeout(e.err):
		return who + fmt.Sprintf("no answer within %v", t.ConnectTimeout)
	case isReset(e.err), isClosed(e.err):
		return who + "closed the connection"
	}
	return who + quote(e.err.Error())
}

// proxyRefusal is why a proxy does not connect us, in words that are fit for a log line.
type proxyRefusal string

func (r proxyRefusal) Error() string { return string(r) }

// Bounds of a file of credentials. A name or password is as long as RFC 1929 lets it be.
const (
	maxCredentialsFile = 1024
	maxCredential      = 255
)

// login reads the credentials, nil without a file. It says nothing of what is in the file.
func (p *proxy) login() (*login, error) {
	if p.credentials == "" {
		return nil, nil
	}
	f, err := os.Open(p.credentials)
	if err != nil {
		return nil, proxyRefusal("credentials: " + quote(err.Error()))
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, proxyRefusal("credentials: " + quote(err.Error()))
	case !info.Mode().IsRegular():
		return nil, proxyRefusal(fmt.Sprintf("credentials: %s is not a file", quote(p.credentials)))
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return nil, proxyRefusal(fmt.Sprintf("credentials: %s may be read by others than its owner (mode %04o); chmod 600 it", quote(p.credentials), info.Mode().Perm()))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxCredentialsFile+1))
	if err != nil {
		return nil, proxyRefusal("credentials: " + quote(err.Error()))
	}
	user, password, ok := strings.Cut(strings.TrimRight(string(data), "\r\n"), ":")
	if len(data) > maxCredentialsFile || !ok || !credential(user) || !credential(password) {
		return nil, proxyRefusal(fmt.Sprintf("credentials: %s does not hold one line of user:password, each 1 to %d bytes", quote(p.credentials), maxCredential))
	}
	return &login{user, password}, nil
}

// credential tells whether both kinds of proxies can take s.
func credential(s string) bool {
	return s != "" && len(s) <= maxCredential && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
