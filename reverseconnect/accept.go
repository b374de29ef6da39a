package reverseconnect

import (
	"context"
	"errors"
	"net"
	"time"
)

// forServers opens ports whose connections notice within about 30 s a server that has vanished, or a NAT that has
// forgotten them.
func forServers() *net.ListenConfig {
	const interval = 5 * time.Second
	return &net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: DefaultKeepAlive, Interval: interval, Count: keepAliveProbes,
	}}
}

// listenAll opens all ports or none.
func listenAll(ctx context.Context, config *net.ListenConfig, addresses []string) ([]net.Listener, error) {
	var all []net.Listener
	for _, address := range addresses {
		nl, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			_ = closeAll(all)
			return nil, err
		}
		all = append(all, nl)
	}
	return all, nil
}

// closeAll stops listening everywhere and returns the first failure.
func closeAll(all []net.Listener) error {
	var first error
	for _, nl := range all {
		if err := nl.Close(); first == nil {
			first = err
		}
	}
	return first
}

// acceptAll hands every connection of nl to handle until nl is closed. When the system is out of descriptors others may
// free some: it goes on after a while, or ends with done.
func acceptAll(nl net.Listener, done <-chan struct{}, handle func(net.Conn), failed func(error)) {
	const shortest, longest = 100 * time.Millisecond, time.Second
	delay := time.Duration(0)
	for {
		nc, err := nl.Accept()
		switch {
		case err == nil:
			delay = 0
			handle(nc)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			delay = min(max(2*delay, shortest), longest)
			failed(err)
			select {
			case <-time.After(delay):
			case <-done:
			}
		}
	}
}
