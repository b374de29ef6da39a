//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// goodValue tells whether a line of `edgeua listen --json` is a good value of the counter.
func goodValue(line string) bool { return valueWith(line, true) }

func badValue(line string) bool { return valueWith(line, false) }

func valueWith(line string, good bool) bool {
	var event struct{ Event, Node, Status string }
	if json.Unmarshal([]byte(line), &event) != nil {
		return false
	}
	return event.Event == "value" && event.Node == counter && (event.Status == "Good") == good
}

// relay stands between the gateway and its client; cutting it closes the sockets on both sides.
type relay struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener, to: to, conns: map[net.Conn]bool{}}
	r.wg.Go(r.accept)
	t.Cleanup(func() {
		listener.Close()
		r.cut()
		r.wg.Wait()
	})
	return r
}

func (r *relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.join(near) })
	}
}

func (r *relay) join(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer far.Close()
	r.mu.Lock()
	r.conns[near], r.conns[far] = true, true
	r.mu.Unlock()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1]) // the end of either side ends both
			near.Close()
			far.Close()
		})
	}
	both.Wait()
	r.mu.Lock()
	delete(r.conns, near)
	delete(r.conns, far)
	r.mu.Unlock()
}

// cut closes every connection and tells how many there were.
func (r *relay) cut() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.Close()
	}
	return len(r.conns)
}

// A gateway with a pymodbus slave on one side and `edgeua listen` on the other. Whatever dies in between, the
// values come back without a restart of the gateway.
func TestReverse_Recovers(t *testing.T) {
	slavePort, clientPort := freePort(t), freePort(t)
	slave := startTCPSlave(t, slavePort)
	link := newRelay(t, fmt.Sprintf("127.0.0.1:%d", clientPort))
	g := newGateway(t, setup{channel: tcpChannel(slavePort), reverse: []string{"opc.tcp://" + link.listener.Addr().String()}})
	g.serve()
	args := g.listenArgs(fmt.Sprintf("opc.tcp://127.0.0.1:%d", clientPort), "--subscribe", counter)
	client := start(t, edgeua, args...)

	steps := []struct {
		name   string
		happen func()
	}{
		{"start", func() {}},
		{"client killed", func() {
			client.kill()
			client = start(t, edgeua, args...)
		}},
		{"network cut", func() {
			if link.cut() == 0 {
				t.Error("there was nothing to cut")
			}
		}},
		{"slave killed", func() {
			mark := client.mark()
			slave.kill()
			client.wait("bad value", mark, 10*time.Second, badValue)
			slave = startTCPSlave(t, slavePort)
		}},
		{"client ended cleanly", func() {
			client.stop(10 * time.Second)
			client = start(t, edgeua, args...)
		}},
	}
	for _, step := range steps {
		step.happen()
		mark, since := client.mark(), time.Now()
		for range 3 { // it is not one last value
			client.wait("good value after "+step.name, mark, 30*time.Second, goodValue)
			mark = client.mark()
		}
		t.Logf("%s: three values after %v", step.name, time.Since(since).Round(time.Millisecond))
	}
	select {
	case <-g.done:
		t.Fatalf("the gateway ended: %v", g.ended())
	default:
	}
	g.stop(10 * time.Second)
}

// The files of the TwinCAT kind and a run without any listener: nothing else may be open.
func TestReverse_OpensNoPort(t *testing.T) {
	g := newGateway(t, setup{channel: tcpChannel(freePort(t)), reverse: []string{fmt.Sprintf("opc.tcp://127.0.0.1:%d", freePort(t))}})
	g.serve()
	if conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", g.port), time.Second); err == nil {
		conn.Close()
		t.Error("the endpoint's port is open although Listeners are off")
	}
}
