package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// maxURL is the longest text of a ReverseHello: 4 bytes of length and the text stay below 4096 (Part 6 1.05, 7.1.2.6).
const maxURL = 4091

// DefaultPort is the registered port of OPC UA.
const DefaultPort = "4840"

// address is a checked opc.tcp URL.
type address struct {
	text       string // as written
	host, port string // port is never empty
	given      bool   // the port was written
}

// parseAddress checks an opc.tcp URL.
func parseAddress(text string) (address, error) {
	if len(text) > maxURL {
		return address{}, fmt.Errorf("is longer than the %d bytes that fit into a ReverseHello", maxURL)
	}
	u, err := url.Parse(text)
	if err != nil {
		return address{}, errors.New("is not a URL such as opc.tcp://host:4840")
	}
	switch {
	case u.Scheme == "https" || u.Scheme == "opc.https" || u.Scheme == "http":
		return address{}, fmt.Errorf("scheme %s is not supported; only opc.tcp is", u.Scheme)
	case u.Scheme != "opc.tcp":
		return address{}, errors.New("does not start with opc.tcp://")
	case u.User != nil:
		return address{}, errors.New("has a user name in it; users do not belong into a URL")
	case u.Hostname() == "" || strings.ContainsAny(u.Host, " \t*"):
		return address{}, errors.New("has no valid host name; write opc.tcp://host:4840")
	case u.RawQuery != "" || u.Fragment != "":
		return address{}, errors.New("has a ? or # part, which has no meaning here")
	}
	a := address{text: text, host: u.Hostname(), port: u.Port(), given: u.Port() != ""}
	if a.given {
		n, err := strconv.ParseUint(a.port, 10, 16)
		if err != nil || n == 0 {
			return address{}, fmt.Errorf("port %s is not a number from 1 to 65535", a.port)
		}
		a.port = strconv.FormatUint(n, 10)
	} else {
		a.port = DefaultPort
	}
	return a, nil
}

// dial is the host and port for net.Dial.
func (a address) dial() string { return net.JoinHostPort(a.host, a.port) }

// same tells whether two addresses name the same listener.
func (a address) same(b address) bool {
	return strings.EqualFold(a.host, b.host) && a.port == b.port
}

// loopback tells whether the host is this machine by name or number.
func (a address) loopback() bool {
	ip := net.ParseIP(a.host)
	return strings.EqualFold(a.host, "localhost") || ip != nil && ip.IsLoopback()
}

// barePort is how the original reads a short Url without a slash.
func barePort(text string) bool { return len(text) < 6 && !strings.Contains(text, "/") }
