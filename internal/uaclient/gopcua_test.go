package uaclient_test

import (
	"context"
	"io"
	"log"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/server"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uaclient"
)

// gopcuaServer starts gopcua's server and returns its address.
func gopcuaServer(t *testing.T) string {
	t.Helper()
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	_, port, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port)
	options := []server.Option{
		server.EndPoint("127.0.0.1", number), server.EnableAuthMode(ua.UserTokenTypeAnonymous), server.EnableSecurity("None", ua.MessageSecurityModeNone),
		server.Certificate(serverIdentity().Chain[0]), server.PrivateKey(serverIdentity().Key),
	}
	for _, policy := range []string{"Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"} {
		options = append(options, server.EnableSecurity(policy, ua.MessageSecurityModeSign), server.EnableSecurity(policy, ua.MessageSecurityModeSignAndEncrypt))
	}
	s := server.New(options...)
	ctx, cancel := context.WithCancel(context.Background())
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(); cancel() })
	return address
}

// Against a server that we did not write.
func TestGopcua_server(t *testing.T) {
	address := gopcuaServer(t)
	dial := func() net.Conn {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		return nc
	}
	endpoints, err := uaclient.Endpoints(t.Context(), dial(), "opc.tcp://"+address)
	if err != nil || len(endpoints) != 7 {
		t.Fatalf("%d endpoints, %v", len(endpoints), err)
	}
	for _, e := range endpoints {
		t.Run(e.SecurityPolicyURI+e.SecurityMode.String(), func(t *testing.T) {
			o := options()
			o.EndpointURL, o.SecurityPolicyURI, o.Mode = "opc.tcp://"+address, e.SecurityPolicyURI, e.SecurityMode
			c := open(t, dial(), o)
			state := value(uabinary.NumericID(0, id.Server_ServerStatus_State))
			if values, err := c.Read(t.Context(), state); err != nil || values[0].Value.IsNull() {
				t.Error(values, err)
			}
			references, err := c.Browse(t.Context(), hierarchical(uabinary.NumericID(0, id.ObjectsFolder)), 100)
			if err != nil || len(references) == 0 {
				t.Errorf("%d references, %v", len(references), err)
			}
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestGopcua_subscription(t *testing.T) {
	address := gopcuaServer(t)
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	o.EndpointURL = "opc.tcp://" + address
	c := open(t, nc, o)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	values := 0
	node := uabinary.NumericID(0, id.Server_ServerStatus_CurrentTime)
	err = c.Subscribe(ctx, 100*time.Millisecond, []uabinary.NodeID{node}, func(uabinary.NodeID, uabinary.DataValue) {
		values++
		cancel()
	})
	if err != nil || values == 0 {
		t.Errorf("%d values, %v", values, err)
	}
}
