//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/edgeua/edgeua/reverseconnect"
)

const (
	rounds    = 3
	bridgeBar = 0.9 // of socat's throughput
	question  = 100 // bytes of a request and of its answer
)

// playBridge is a Bridge with one route.
func playBridge(ctx context.Context) error {
	b, err := reverseconnect.OpenBridge(ctx, "opc.tcp://127.0.0.1:0", reverseconnect.BridgeConfig{
		Routes: []reverseconnect.Route{{ServerURI: sourceURI, Address: "127.0.0.1:0"}},
	})
	if err != nil {
		return err
	}
	fmt.Println("reverse", b.Addrs()[0])
	fmt.Println("port", b.Status()[0].Addr)
	<-ctx.Done()
	return b.Close()
}

const sourceURI = "urn:bench:source"

// playSource is a server that sends without end, or echoes: to who dials it, and to a bridge that it calls.
func playSource(ctx context.Context, bridge string) error {
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("listening", nl.Addr())
	go func() {
		for ctx.Err() == nil {
			nc, err := net.Dial("tcp", bridge)
			if err != nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			_, _ = nc.Write(reverseconnect.ReverseHello{ServerURI: sourceURI, EndpointURL: "opc.tcp://source:4840"}.Append(nil))
			answer(nc)
		}
	}()
	context.AfterFunc(ctx, func() { nl.Close() })
	for {
		nc, err := nl.Accept()
		if err != nil {
			return nil
		}
		go answer(nc)
	}
}

// answer takes Hello, then the letter of what to do.
func answer(nc net.Conn) {
	defer nc.Close()
	var head [uatcp.HeaderSize]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return
	}
	if _, err := io.CopyN(io.Discard, nc, int64(binary.LittleEndian.Uint32(head[4:]))-uatcp.HeaderSize); err != nil {
		return
	}
	ack := uatcp.Acknowledge{ReceiveBufferSize: 65535, SendBufferSize: 65535}
	if _, err := nc.Write(ack.Append(nil)); err != nil {
		return
	}
	var what [1]byte
	if _, err := io.ReadFull(nc, what[:]); err != nil {
		return
	}
	block := make([]byte, 256<<10)
	for {
		n := len(block)
		if what[0] == 'E' {
			if _, err := io.ReadFull(nc, block[:question]); err != nil {
				return
			}
			n = question
		}
		if _, err := nc.Write(block[:n]); err != nil {
			return
		}
	}
}

// way is how the client reaches the source.
type way struct {
	name    string
	addr    string
	forward *process // between the two, nil if there is none
	mbps    []float64
	trips   []float64
	cpu     []float64 // milliseconds per MiB of the process between
}

func measureBridge(ctx context.Context, t *table, d time.Duration) error {
	bridge, err := again(ctx, "bridge")
	if err != nil {
		return err
	}
	defer bridge.stop()
	reverse, err := bridge.wait("reverse")
	if err != nil {
		return err
	}
	port, err := bridge.wait("port")
	if err != nil {
		return err
	}
	source, err := again(ctx, "source", reverse)
	if err != nil {
		return err
	}
	defer source.stop()
	direct, err := source.wait("listening")
	if err != nil {
		return err
	}
	ways := []*way{{name: "direct", addr: direct}}
	for _, size := range []string{"8192", "65536"} {
		socat, err := startSocat(ctx, direct, size)
		if err != nil {
			return err
		}
		defer socat.forward.stop()
		ways = append(ways, socat)
	}
	ways = append(ways, &way{name: "edgeua bridge", addr: port, forward: bridge})
	for range rounds {
		for _, w := range ways {
			if err := w.measure(d); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
		}
	}
	best := max(median(ways[1].mbps), median(ways[2].mbps))
	for _, w := range ways {
		w.print(t, best)
	}
	return nil
}

// startSocat forwards a free port to addr.
func startSocat(ctx context.Context, addr, size string) (*way, error) {
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	free := nl.Addr().(*net.TCPAddr)
	nl.Close()
	p, err := start(ctx, "socat", "-lf", "/dev/null", "-b", size, fmt.Sprintf("TCP-LISTEN:%d,bind=127.0.0.1,reuseaddr,nodelay,fork", free.Port), "TCP:"+addr+",nodelay")
	if err != nil {
		return nil, fmt.Errorf("socat (Debian package socat): %w", err)
	}
	for range 100 { // until it listens
		if nc, err := net.Dial("tcp", free.String()); err == nil {
			nc.Close()
			return &way{name: "socat -b " + size, addr: free.String(), forward: p}, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("socat does not listen on %v", free)
}

// measure takes one turn.
func (w *way) measure(d time.Duration) error {
	before, err := w.used()
	if err != nil {
		return err
	}
	bytes, took, err := w.download(d)
	if err != nil {
		return err
	}
	time.Sleep(100 * time.Millisecond) // for socat's child to end
	after, err := w.used()
	if err != nil {
		return err
	}
	w.mbps = append(w.mbps, float64(bytes)/(1<<20)/took.Seconds())
	w.cpu = append(w.cpu, float64((after-before).Milliseconds())/(float64(bytes)/(1<<20)))
	trips, took, err := w.roundTrips(d / 2)
	w.trips = append(w.trips, float64(trips)/took.Seconds())
	return err
}

func (w *way) used() (time.Duration, error) {
	if w.forward == nil {
		return 0, nil
	}
	return w.forward.cpu()
}

// open connects to the source and tells it what to do.
func (w *way) open(what byte) (net.Conn, error) {
	nc, err := net.Dial("tcp", w.addr)
	if err != nil {
		return nil, err
	}
	hello := uatcp.Hello{ReceiveBufferSize: 65535, SendBufferSize: 65535, EndpointURL: "opc.tcp://" + w.addr}
	ack := make([]byte, uatcp.HeaderSize+20)
	if _, err = nc.Write(hello.Append(nil)); err == nil {
		if _, err = io.ReadFull(nc, ack); err == nil {
			_, err = nc.Write([]byte{what})
		}
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

func (w *way) download(d time.Duration) (total int64, took time.Duration, err error) {
	nc, err := w.open('D')
	if err != nil {
		return 0, 0, err
	}
	defer nc.Close()
	block := make([]byte, 256<<10)
	for began := time.Now(); took < d; took = time.Since(began) {
		n, err := nc.Read(block)
		if err != nil {
			return 0, 0, err
		}
		total += int64(n)
	}
	return total, took, nil
}

func (w *way) roundTrips(d time.Duration) (n int, took time.Duration, err error) {
	nc, err := w.open('E')
	if err != nil {
		return 0, 0, err
	}
	defer nc.Close()
	block := make([]byte, question)
	for began := time.Now(); took < d; took = time.Since(began) {
		if _, err := nc.Write(block); err != nil {
			return 0, 0, err
		}
		if _, err := io.ReadFull(nc, block); err != nil {
			return 0, 0, err
		}
		n++
	}
	return n, took, nil
}

func (w *way) print(t *table, best float64) {
	value := fmt.Sprintf("%.0f MiB/s, %.0f round trips/s", median(w.mbps), median(w.trips))
	if w.forward != nil {
		value += fmt.Sprintf(", %.2f ms of CPU per MiB", median(w.cpu))
	}
	bar := ""
	if w.name == "edgeua bridge" {
		bar = fmt.Sprintf("90 %% of socat: %.0f MiB/s", bridgeBar*best)
	}
	t.row("Throughput, "+w.name, value, bar, median(w.mbps) >= bridgeBar*best)
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
