//go:build interop

package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// tshark captures what goes over the loopback interface and has to understand it.
func TestTshark_ReverseHello(t *testing.T) {
	clientPort := freePort(t)
	url := fmt.Sprintf("opc.tcp://127.0.0.1:%d", clientPort)
	fields := []string{
		"opcua.transport.type", "opcua.transport.suri", "opcua.transport.endpoint", "opcua.transport.ver",
		"opcua.transport.rbs", "opcua.transport.sbs", "opcua.transport.scid",
	}
	args := []string{"-i", "lo", "-f", fmt.Sprintf("tcp port %d", clientPort), "-d", fmt.Sprintf("tcp.port==%d,opcua", clientPort),
		"-Y", "opcua or _ws.malformed", "-l", "-T", "fields", "-E", "separator=|", "-e", "_ws.malformed", "-e", "_ws.expert.message"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	shark := start(t, "tshark", args...)
	shark.waitText("Capturing on", 20*time.Second)

	g := newGateway(t, setup{channel: tcpChannel(freePort(t)), reverse: []string{url}})
	client := start(t, edgeua, g.listenArgs(url, "--read", "i=2258")...)
	client.waitText(`"listening"`, 10*time.Second)
	// The first packets after "Capturing" may be missed; more exchanges follow as the client asks and goes.
	g.serve()
	hello := shark.wait("ReverseHello", 0, 30*time.Second, packet("RHE"))
	if got := strings.Split(hello, "|"); len(got) != 9 || got[0] != "" || got[3] != serverURI || got[4] != g.url() {
		t.Errorf("ReverseHello decoded as %q, want ServerUri %s and EndpointUrl %s", hello, serverURI, g.url())
	}
	greeting := strings.Split(shark.wait("Hello", 0, 10*time.Second, packet("HEL")), "|")
	if greeting[0] != "" || greeting[4] != g.url() || greeting[5] != "0" {
		t.Errorf("Hello decoded as %q", greeting)
	}
	answer := strings.Split(shark.wait("Acknowledge", 0, 10*time.Second, packet("ACK")), "|")
	if answer[0] != "" || answer[5] != "0" || answer[6] == "" || answer[7] == "" {
		t.Errorf("Acknowledge decoded as %q", answer)
	}
	shark.wait("OpenSecureChannel", 0, 10*time.Second, packet("OPN"))
	shark.wait("CloseSecureChannel", 0, 20*time.Second, packet("CLO"))
	for _, line := range strings.Split(shark.tail(1000), "\n") {
		if strings.HasPrefix(line, "Malformed") {
			t.Errorf("tshark cannot decode: %s", line)
		}
	}
}

// packet fits a line whose message type is among those of its frame.
func packet(messageType string) func(string) bool {
	return func(line string) bool {
		columns := strings.Split(line, "|")
		return len(columns) == 9 && slices.Contains(strings.Split(columns[2], ","), messageType)
	}
}
