package reverseconnect

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// defaultPort is the port of an opc.tcp URL that names none.
const defaultPort = "4840"

// dialAddress returns the host:port of a URL to dial. The prefix rcp+, which marks a client's reverse connect
// URL in a directory (Part 12, 7.10.22), is accepted.
func dialAddress(rawURL string) (string, error) {
	host, port, err := splitURL(strings.TrimPrefix(rawURL, "rcp+"))
	if err != nil {
		return "", err
	}
	if host == "" {
		return "", fmt.Errorf("%q names no host", rawURL)
	}
	if port == "0" {
		return "", fmt.Errorf("%q names port 0", rawURL)
	}
	return net.JoinHostPort(host, port), nil
}

// checkEndpointURL checks the EndpointUrl that a server announces.
func checkEndpointURL(rawURL string) error {
	host, port, err := splitURL(rawURL)
	switch {
	case err != nil:
		return err
	case host == "" || port == "0":
		return fmt.Errorf("%q names no host or port", rawURL)
	}
	return nil
}

// listenAddress returns the host:port of a URL to listen on: the host may be empty (all addresses) and the
// port 0 (any free one).
func listenAddress(rawURL string) (string, error) {
	host, port, err := splitURL(rawURL)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, port), nil
}

// splitURL takes an opc.tcp URL apart.
func splitURL(rawURL string) (host, port string, err error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil && !strings.Contains(rawURL, "://"): // such as HOST:PORT
		return "", "", fmt.Errorf("%q does not start with opc.tcp://", rawURL)
	case err != nil:
		return "", "", fmt.Errorf("%q is not a URL: %w", rawURL, errors.Unwrap(err))
	case u.Scheme != "opc.tcp":
		return "", "", fmt.Errorf("%q does not start with opc.tcp://", rawURL)
	case u.Opaque != "" || u.Host == "" && u.Path != "":
		return "", "", fmt.Errorf("%q has no // before the host", rawURL)
	case u.User != nil:
		return "", "", errors.New("a URL with a user name or password in it is not accepted")
	}
	if port = u.Port(); port == "" {
		port = defaultPort
	}
	if n, err := strconv.ParseUint(port, 10, 64); err != nil || n > 65535 {
		return "", "", fmt.Errorf("%q: port %s is not 1 to 65535", rawURL, port)
	}
	return u.Hostname(), port, nil
}
