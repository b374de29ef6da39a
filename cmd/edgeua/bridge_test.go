package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"
	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/reverseconnect"
)

func TestBridge_WrongUsage(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "--map"},
		{[]string{"--map", "urn:a"}, "URN=ADDRESS"},
		{[]string{"--map", "=127.0.0.1:1"}, "URN=ADDRESS"},
		{[]string{"--map", "urn:a=4841"}, "HOST:PORT"},
		{[]string{"--map", "urn:a=127.0.0.1:0", "--map", "urn:a=127.0.0.1:0"}, "two routes"},
		{[]string{"--map", "urn:a,opc.tcp://x:99999=127.0.0.1:0"}, "port 99999"},
		{[]string{"--ports", "4899-4841"}, "FIRST-LAST"},
		{[]string{"--ports", "0-5"}, "FIRST-LAST"},
		{[]string{"--ports", "70000"}, "FIRST-LAST"},
		{[]string{"--ports", "0", "--wait", "0s"}, "--wait"},
		{[]string{"--ports", "0", "--max-clients", "0"}, "--max-clients"},
		{[]string{"--ports", "0", "--addr", "127.0.0.1:0"}, "does not start with opc.tcp://"},
		{[]string{"--ports", "0", "--allow", ""}, "empty ServerUri"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			edgeua(t, append([]string{"bridge"}, tt.args...)...).want(t, exitConfig, tt.want)
		})
	}
}

func TestParseRoute(t *testing.T) {
	for text, want := range map[string]reverseconnect.Route{
		"urn:a=127.0.0.1:1":                          {ServerURI: "urn:a", Address: "127.0.0.1:1"},
		"urn:a=b,c=[::1]:1":                          {ServerURI: "urn:a=b,c", Address: "[::1]:1"},
		"urn:a,b,opc.tcp://x/y,z=q=localhost:4841":   {ServerURI: "urn:a,b", EndpointURL: "opc.tcp://x/y,z=q", Address: "localhost:4841"},
		"http://vendor/gw?id=1,opc.tcp://x=:4841":    {ServerURI: "http://vendor/gw?id=1", EndpointURL: "opc.tcp://x", Address: ":4841"},
		"urn:unusual,opc.tcp//x is part of it=:4841": {ServerURI: "urn:unusual,opc.tcp//x is part of it", Address: ":4841"},
	} {
		if got, err := parseRoute(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestParsePorts(t *testing.T) {
	for text, want := range map[string]reverseconnect.PortRange{
		"0":                 {Host: "127.0.0.1"},
		"4841":              {Host: "127.0.0.1", First: 4841, Last: 4841},
		"4841-4899":         {Host: "127.0.0.1", First: 4841, Last: 4899},
		"0.0.0.0:4841-4899": {Host: "0.0.0.0", First: 4841, Last: 4899},
		"[::1]:0":           {Host: "::1"},
		"localhost:65535":   {Host: "localhost", First: 65535, Last: 65535},
		"localhost:1-65535": {Host: "localhost", First: 1, Last: 65535},
	} {
		if got, err := parsePorts(text); err != nil || *got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

// A gateway without any port calls a bridge; a client that knows nothing of that reads one of its values.
func TestServeAndBridge_OrdinaryClientReads(t *testing.T) {
	defer goleak.VerifyNone(t)
	addr := freeAddress(t)
	main := files(t, map[string]string{
		"TcUaServerConfig.xml": mainFile("opc.tcp://gateway.invalid:4840/line", "<ReverseConnect><Url>opc.tcp://"+addr+"</Url></ReverseConnect>"),
		"edgeua.xml":           `<EdgeUa><Listeners Enabled="0"/><ReverseConnect><Defaults BackoffMin="100" BackoffMax="200"/></ReverseConnect></EdgeUa>`,
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan int, 2)
	out := &watched{}
	go func() {
		ended <- run(ctx, []string{"bridge", "--addr", "opc.tcp://" + addr, "--map", "urn:test:gateway=127.0.0.1:0"}, out, io.Discard)
	}()
	out.wait(t, `"urn:test:gateway" at opc.tcp://127.0.0.1:`)
	out.wait(t, "has not called yet")
	go func() { ended <- run(ctx, []string{"serve", "--config", main}, io.Discard, io.Discard) }()
	out.wait(t, "waiting calls: 1, clients: 0")

	url := regexp.MustCompile(`opc\.tcp://127\.0\.0\.1:\d+/line`).FindString(out.String())
	c, err := opcua.NewClient(url, opcua.SecurityMode(ua.MessageSecurityModeNone), opcua.AutoReconnect(false))
	if err != nil {
		t.Fatal(err)
	}
	connecting, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := c.Connect(connecting); err != nil {
		t.Fatal(err)
	}
	v, err := c.Node(ua.NewNumericNodeID(0, 2259)).Value(connecting) // Server.ServerStatus.State: Running
	if err != nil || v.Value() != int32(0) {
		t.Errorf("read %v, %v", v, err)
	}
	out.wait(t, "clients: 1")
	c.Close(connecting)
	out.wait(t, "waiting calls: 1, clients: 0")
	stop()
	for range 2 {
		if code := <-ended; code != exitOK {
			t.Errorf("a command ended with %d", code)
		}
	}
}

func TestBridge_JSON(t *testing.T) {
	r := edgeua(t, "bridge", "--addr", "opc.tcp://127.0.0.1:0", "--addr", "opc.tcp://127.0.0.1:0",
		"--map", "urn:a=127.0.0.1:0", "--ports", "0", "--json", "--duration", "100ms")
	r.want(t, exitOK, `"event":"listening"`, `"server_uri":"urn:a"`)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if len(lines) != 3 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil || fields["time"] == nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestBridge_PortInUse(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	edgeua(t, "bridge", "--addr", "opc.tcp://127.0.0.1:0", "--map", "urn:a="+busy.Addr().String()).want(t, exitConfig, "in use")
}
