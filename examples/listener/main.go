// Command listener is the smallest client of a gateway that calls: it waits for a ReverseHello and reads the server's time.
//
//	go run ./examples/listener opc.tcp://127.0.0.1:48061
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/reverseconnect"
)

func main() {
	ctx := context.Background()
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	listener, err := reverseconnect.Listen(ctx, os.Args[1], reverseconnect.ListenerConfig{})
	check(err)
	fmt.Println("listening on", listener.Addr())
	call, err := listener.Accept(ctx, reverseconnect.Filter{}) // of anybody; name a ServerURI to be choosy
	check(err)
	fmt.Printf("%q calls from %s\n", call.ServerURI, call.RemoteAddr)
	// From here on it is gopcua as everybody knows it. Use a security policy outside of examples.
	client, err := reverseconnect.NewClient(call, opcua.SecurityMode(ua.MessageSecurityModeNone))
	check(err)
	check(client.Connect(ctx))
	value, err := client.Node(ua.NewNumericNodeID(0, id.Server_ServerStatus_CurrentTime)).Value(ctx)
	check(err)
	fmt.Println("its time is", value.Value())
	check(client.Close(ctx))
	check(listener.Close())
}
