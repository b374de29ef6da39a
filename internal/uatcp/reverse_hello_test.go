package uatcp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"
)

func TestReverseHello_writeAndRead_Part6_7126(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	want := ReverseHello{"urn:" + strings.Repeat("s", MaxReverseHelloText-4), "opc.tcp://" + strings.Repeat("e", MaxReverseHelloText-10)}
	go func() {
		if err := WriteReverseHello(server, want, time.Minute); err != nil {
			t.Error(err)
		}
		server.Write([]byte("next"))
	}()
	if got, err := ReadReverseHello(client, time.Minute); err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	next := make([]byte, 4)
	if _, err := io.ReadFull(client, next); err != nil || string(next) != "next" {
		t.Errorf("read too far: %q, %v", next, err)
	}
}

func TestReverseHello_tooLongToSend(t *testing.T) {
	long := strings.Repeat("x", MaxReverseHelloText+1)
	for _, rhe := range []ReverseHello{{long, "x"}, {"x", long}} {
		if err := WriteReverseHello(nil, rhe, time.Minute); StatusCodeOf(err) != ua.StatusBadTCPEndpointURLInvalid {
			t.Error(err)
		}
	}
}

func TestReadReverseHello_refuses(t *testing.T) {
	long := strings.Repeat("x", 4097)
	good := ReverseHello{"urn:x", testURL}.Append(nil)
	trailing := append(bytes.Clone(good), 0)
	trailing[4]++
	for name, tc := range map[string]struct {
		bytes []byte
		want  ua.StatusCode
	}{
		"HEL":           {hello(nil), ua.StatusBadTCPMessageTypeInvalid},
		"ERR":           {(&Error{}).Append(nil), ua.StatusBadTCPMessageTypeInvalid},
		"long URI":      {ReverseHello{long, "x"}.Append(nil), ua.StatusBadTCPEndpointURLInvalid},
		"long URL":      {ReverseHello{"x", long}.Append(nil), ua.StatusBadTCPEndpointURLInvalid},
		"both too long": {ReverseHello{long, long}.Append(nil), ua.StatusBadTCPMessageTooLarge},
		"size 0":        {[]byte("RHEF\x00\x00\x00\x00"), ua.StatusBadTCPMessageTooLarge},
		"size 2^31":     {[]byte("RHEF\x00\x00\x00\x80"), ua.StatusBadTCPMessageTooLarge},
		"trailing byte": {trailing, ua.StatusBadDecodingError},
	} {
		if got, err := readReverseHello(bytes.NewReader(tc.bytes)); StatusCodeOf(err) != tc.want {
			t.Errorf("%s: %+v, %v, want %s", name, got, err, StatusName(tc.want))
		}
	}
	for n := range good {
		if got, err := readReverseHello(bytes.NewReader(good[:n])); err == nil {
			t.Errorf("%d of %d bytes gave %+v", n, len(good), got)
		}
	}
}

func TestReadReverseHello_deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer server.Close()
		start := time.Now()
		go server.Write([]byte("RHEF"))
		if _, err := ReadReverseHello(client, 5*time.Second); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
