package reverseconnect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
)

// Numbers of RFC 1928 and RFC 1929.
const (
	socksVersion      = 5
	socksNoLogin      = 0
	socksPassword     = 2
	socksNoMethod     = 0xFF
	socksLoginVersion = 1
	socksConnect      = 1
	socksIPv4         = 1
	socksName         = 3
	socksIPv6         = 4
)

// connectSOCKS5 asks for a connection as RFC 1928 says.
func connectSOCKS5(nc io.ReadWriter, address string, who *login) error {
	request, err := socksRequest(address)
	if err != nil {
		return err
	}
	methods := []byte{socksVersion, 1, socksNoLogin}
	if who != nil {
		methods = []byte{socksVersion, 2, socksNoLogin, socksPassword}
	}
	chosen, err := askSOCKS(nc, methods)
	switch {
	case err != nil:
		return err
	case chosen[0] != socksVersion:
		return proxyRefusal("is not a SOCKS5 proxy")
	case chosen[1] == socksPassword && who != nil:
		if err := socksLogin(nc, who); err != nil {
			return err
		}
	case chosen[1] == socksNoMethod && who == nil:
		return proxyRefusal("wants a user name and password, and none are configured")
	case chosen[1] != socksNoLogin:
		return proxyRefusal(fmt.Sprintf("wants a way to log in that is not supported (%d)", chosen[1]))
	}
	if _, err := nc.Write(request); err != nil {
		return err
	}
	return socksReply(nc)
}

// askSOCKS sends b and reads two bytes.
func askSOCKS(nc io.ReadWriter, b []byte) (answer [2]byte, err error) {
	if _, err = nc.Write(b); err == nil {
		_, err = io.ReadFull(nc, answer[:])
	}
	return answer, err
}

// socksLogin: RFC 1929.
func socksLogin(nc io.ReadWriter, who *login) error {
	b := append([]byte{socksLoginVersion, byte(len(who.user))}, who.user...)
	b = append(append(b, byte(len(who.password))), who.password...)
	answer, err := askSOCKS(nc, b)
	switch {
	case err != nil:
		return err
	case answer != [2]byte{socksLoginVersion, 0}:
		return proxyRefusal("does not accept the user name and password")
	}
	return nil
}

// socksRequest: RFC 1928, 4.
func socksRequest(address string) ([]byte, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, err
	}
	b := []byte{socksVersion, socksConnect, 0}
	switch ip, err := netip.ParseAddr(host); {
	case err != nil && len(host) > maxCredential:
		return nil, errors.New("the name of the client is too long for SOCKS5")
	case err != nil:
		b = append(append(b, socksName, byte(len(host))), host...)
	case ip.Zone() != "":
		return nil, errors.New("an address with a zone means nothing to a proxy")
	case ip.Unmap().Is4():
		b = append(append(b, socksIPv4), ip.Unmap().AsSlice()...)
	default:
		b = append(append(b, socksIPv6), ip.AsSlice()...)
	}
	return binary.BigEndian.AppendUint16(b, uint16(port)), nil
}

// socksReply: RFC 1928, 6. The address in it, from which the proxy calls, is read and left alone.
func socksReply(nc io.Reader) error {
	var head [5]byte // the first byte of the address is the length of a name
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return err
	}
	if head[0] != socksVersion {
		return proxyRefusal("does not speak SOCKS5")
	}
	if head[1] != 0 {
		return proxyRefusal("answered: " + socksReason(head[1]))
	}
	const portLength = 2
	rest := portLength
	switch head[3] {
	case socksIPv4:
		rest += net.IPv4len - 1
	case socksIPv6:
		rest += net.IPv6len - 1
	case socksName:
		rest += int(head[4])
	default:
		return proxyRefusal("does not speak SOCKS5")
	}
	_, err := io.ReadFull(nc, make([]byte, rest))
	return err
}

func socksReason(reply byte) string {
	reasons := []string{
		1: "general failure", 2: "not allowed by its rules", 3: "network unreachable", 4: "host unreachable",
		5: "connection refused", 6: "time to live expired", 7: "command not supported", 8: "kind of address not supported",
	}
	if int(reply) < len(reasons) {
		return reasons[reply]
	}
	return fmt.Sprintf("failure %d", reply)
}
