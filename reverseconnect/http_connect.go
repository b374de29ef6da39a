package reverseconnect

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
)

// maxProxyAnswer bounds the header of the answer to CONNECT.
const maxProxyAnswer = 8 << 10

// connectHTTP asks for a connection with CONNECT (RFC 9110, 9.3.6).
func connectHTTP(nc io.ReadWriter, address string, who *login) error {
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("the name of the client cannot stand in an HTTP request")
	}
	request := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if who != nil {
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(who.user+":"+who.password)) + "\r\n"
	}
	if _, err := io.WriteString(nc, request+"\r\n"); err != nil {
		return err
	}
	header, err := readHeader(nc)
	if err != nil {
		return err
	}
	return judgeAnswer(header, who)
}

// readHeader reads up to the empty line, byte for byte: what follows belongs to the client.
func readHeader(nc io.Reader) (string, error) {
	header, b := make([]byte, 0, 256), make([]byte, 1)
	for !bytes.HasSuffix(header, []byte("\r\n\r\n")) && !bytes.HasSuffix(header, []byte("\n\n")) {
		if len(header) >= maxProxyAnswer {
			return "", proxyRefusal("answered without an end")
		}
		if _, err := io.ReadFull(nc, b); err != nil {
			return "", err
		}
		header = append(header, b...)
		if len(header) == len("HTTP/") && string(header) != "HTTP/" {
			return "", proxyRefusal("is not an HTTP proxy")
		}
	}
	return string(header), nil
}

// judgeAnswer reads the status line, such as HTTP/1.1 200 Connection established.
func judgeAnswer(header string, who *login) error {
	line, _, _ := strings.Cut(header, "\n")
	_, status, _ := strings.Cut(strings.TrimRight(line, "\r"), " ")
	code, _, _ := strings.Cut(status, " ")
	switch {
	case len(code) == 3 && code[0] == '2':
		return nil
	case code == "407" && who == nil:
		return proxyRefusal("wants a user name and password, and none are configured")
	case code == "407":
		return proxyRefusal("does not accept the user name and password")
	}
	return proxyRefusal("answered " + quote(status))
}
