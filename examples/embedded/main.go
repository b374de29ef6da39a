// Command embedded is a Go program that is a server itself and calls its clients: one Variable that counts seconds.
//
//	go run ./examples/embedded opc.tcp://127.0.0.1:48061
package main

import (
	"context"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/edgeua/edgeua/reverseconnect"
	"github.com/edgeua/edgeua/server"
)

const (
	applicationURI = "urn:example:embedded"
	endpointURL    = "opc.tcp://embedded.example:4840" // what clients know the server by; nobody has to reach it
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

// run serves the client at url until ctx ends.
func run(ctx context.Context, url string) error {
	space := addressspace.New(applicationURI)
	uptime, err := space.AddVariable(addressspace.VariableOptions{
		ID:         uabinary.StringID(1, "Uptime"),
		BrowseName: uabinary.QualifiedName{NamespaceIndex: 1, Name: "Uptime"},
		Parent:     uabinary.NumericID(0, id.ObjectsFolder),
		DataType:   uabinary.NumericID(0, id.Double),
		Value:      seconds(0),
	})
	if err != nil {
		return err
	}
	// Anonymous and without security, to be short: a real one has an Identity, a Trust and a better policy.
	s, err := server.New(server.Config{
		ApplicationURI: applicationURI, ApplicationName: "embedded", Anonymous: true,
		Endpoints: []server.EndpointConfig{{
			URL: endpointURL, Visible: true,
			Security: []server.SecuritySetting{
				{PolicyURI: ua.SecurityPolicyURINone, Modes: []ua.MessageSecurityMode{ua.MessageSecurityModeNone}},
			},
		}},
	}, space, nil)
	if err != nil {
		return err
	}
	target := reverseconnect.Target{
		URL: url, ServerURI: applicationURI, EndpointURL: endpointURL, SocketsPerClient: 1,
		ConnectTimeout: reverseconnect.DefaultConnectTimeout, KeepAlive: reverseconnect.DefaultKeepAlive,
		BackoffMin: reverseconnect.DefaultBackoffMin, BackoffMax: reverseconnect.DefaultBackoffMax,
		RejectDelay: reverseconnect.DefaultRejectDelay,
		Serve: func(ctx context.Context, nc net.Conn, progress func(uatcp.Stage)) uatcp.Report {
			return s.Serve(ctx, nc, s.Endpoint(0), progress)
		},
	}
	manager, err := reverseconnect.NewManager(reverseconnect.ManagerConfig{Targets: []reverseconnect.Target{target}})
	if err != nil {
		return err
	}
	var counting sync.WaitGroup
	counting.Go(func() { count(ctx, uptime.Variable) })
	defer counting.Wait()
	err = manager.Run(ctx)
	_ = s.Shutdown(context.WithoutCancel(ctx))
	return err
}

// count pushes a value every second; who subscribes hears of it.
func count(ctx context.Context, v *addressspace.Variable) {
	began, tick := time.Now(), time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			v.Set(seconds(time.Since(began)))
		case <-ctx.Done():
			return
		}
	}
}

func seconds(d time.Duration) *uabinary.DataValue {
	return &uabinary.DataValue{Value: uabinary.DoubleVariant(d.Seconds()), SourceTimestamp: uabinary.DateTimeOf(time.Now())}
}
