package securechanneltest

import (
	"context"
	"net"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// Result is how a server side started by Serve ended.
type Result struct {
	Channel *securechannel.Channel // nil if it did not open
	Err     error                  // of Accept, Open or Next
}

// Serve runs the server side of one connection over an in-memory pipe and returns the client's end of it. handle, which
// may be nil, is called for each request; the default answers with the body of the request. The channel
// gets exactly one Result.
func Serve(transport uatcp.Config, cfg *securechannel.Config, handle func(*securechannel.Channel, *securechannel.Request) error) (net.Conn, <-chan Result) {
	client, server := net.Pipe()
	result := make(chan Result, 1)
	go func() {
		defer server.Close()
		result <- ServeConn(server, transport, cfg, handle)
	}()
	return client, result
}

// ServeConn is Serve on a connection of the caller, until it ends.
func ServeConn(nc net.Conn, transport uatcp.Config, cfg *securechannel.Config, handle func(*securechannel.Channel, *securechannel.Request) error) Result {
	if handle == nil {
		handle = Echo
	}
	conn, err := uatcp.Accept(context.Background(), nc, transport)
	if err != nil {
		return Result{Err: err}
	}
	ch, err := securechannel.Open(context.Background(), conn, cfg)
	if err != nil {
		return Result{Err: err}
	}
	for {
		request, err := ch.Next()
		if err == nil {
			err = handle(ch, request)
		}
		if err != nil {
			return Result{Channel: ch, Err: err}
		}
	}
}

// Echo answers a request with its own body.
func Echo(ch *securechannel.Channel, request *securechannel.Request) error {
	return ch.Send(request.ID, func(dst []byte) []byte { return append(dst, request.Body...) })
}
