package modbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/driverstest"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/xmltree"
	"github.com/gopcua/opcua/ua"
)

// parse reads a file of one channel through the real reader.
func parse(t testing.TB, kind drivers.Kind, text string) (*channel, *xmltree.Report) {
	t.Helper()
	c, r := driverstest.Parse(t, []drivers.Kind{kind}, text)
	return c.(*channel), r
}

func parseGood(t testing.TB, kind drivers.Kind, text string) *channel {
	t.Helper()
	c, r := parse(t, kind, text)
	if r.HasErrors() {
		t.Fatal(r.Problems)
	}
	return c
}

const tcpChannel = `<Channel Name="Line1" Type="ModbusTcp" Host="127.0.0.1"/>`

// dev is a device in protocol0 notation with one group "G".
func dev(settings, group, tags string) string {
	if !strings.Contains(group, "PollMode") {
		group += ` PollMode="Always"`
	}
	return fmt.Sprintf(`<Device Name="Dev" Channel="Line1" Unit="17" Addressing="protocol0" %s><Group Name="G" %s>%s</Group></Device>`,
		settings, group, tags)
}

// rig runs a driver against a simulated slave in memory.
type rig struct {
	t      *testing.T
	slave  *modbussim.Map
	driver *driver
	space  *addressspace.Space
	vars   map[string]*addressspace.Variable
	start  time.Time
	down   atomic.Bool // dialling fails
	dials  atomic.Int32
	mu     sync.Mutex
	conns  []net.Conn
	cancel context.CancelFunc
	done   chan struct{}
}

var errRefused = errors.New("connection refused")

// newRig binds the channel, on TCP framing, to an address space; run starts it.
func newRig(t *testing.T, text string) *rig {
	t.Helper()
	r := &rig{t: t, slave: modbussim.NewMap(), done: make(chan struct{})}
	c := parseGood(t, TCP(), text)
	r.bind(c, c.socketWiring(r.dial))
	return r
}

// dial connects to the slave, which speaks Modbus TCP.
func (r *rig) dial(ctx context.Context) (drivers.Link, error) {
	return r.pipe(func(server net.Conn) { modbussim.ServeConn(ctx, server, r.slave) })
}

func (r *rig) bind(c *channel, w wiring) {
	space := addressspace.New("urn:test")
	vars, err := drivers.AddToSpace(space, space.AddNamespace("urn:test:devices"), c.Devices())
	if err != nil {
		r.t.Fatal(err)
	}
	r.vars, r.space = vars, space
	r.driver = newDriver(c, w, slog.New(slog.DiscardHandler))
	r.driver.Bind(vars)
}

// pipe is a link in memory with a slave at the other end.
func (r *rig) pipe(serve func(server net.Conn)) (drivers.Link, error) {
	r.dials.Add(1)
	if r.down.Load() {
		return nil, errRefused
	}
	client, server := buffered()
	go serve(server)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, server)
	return drivers.NewNetLink(client, linkWriteTimeout), nil
}

// bufferedConn is the slave's end of a pipe that keeps what is written until it is read, as sockets do.
type bufferedConn struct {
	net.Conn
	out  chan []byte
	gone chan struct{} // closed by Close
	once sync.Once
}

func buffered() (client, server net.Conn) {
	client, end := net.Pipe()
	b := &bufferedConn{Conn: end, out: make(chan []byte, 1000), gone: make(chan struct{})}
	go b.forward()
	return client, b
}

// forward writes what is left before it closes.
func (b *bufferedConn) forward() {
	defer b.Conn.Close()
	for open := true; open || len(b.out) > 0; {
		select {
		case p := <-b.out:
			if _, err := b.Conn.Write(p); err != nil {
				return
			}
		case <-b.gone:
			open = false
		}
	}
}

// Read ends the connection when the peer has.
func (b *bufferedConn) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if err != nil {
		_ = b.Close()
	}
	return n, err
}

func (b *bufferedConn) Write(p []byte) (int, error) {
	select {
	case <-b.gone:
		return 0, net.ErrClosed
	case b.out <- append([]byte(nil), p...):
		return len(p), nil
	}
}

func (b *bufferedConn) Close() error {
	b.once.Do(func() { close(b.gone) })
	return b.SetReadDeadline(time.Unix(1, 0))
}

const linkWriteTimeout = 2 * time.Second

// hangUp closes all connections at the slave's end.
func (r *rig) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.start = cancel, time.Now()
	go func() {
		defer close(r.done)
		if err := r.driver.Run(ctx); err != nil {
			r.t.Error(err)
		}
	}()
	r.t.Cleanup(r.stop)
}

func (r *rig) stop() {
	r.cancel()
	<-r.done
}

func (r *rig) watch(name string) *driverstest.Record { return driverstest.Watch(r.variable(name)) }

func (r *rig) variable(name string) *addressspace.Variable {
	v := r.vars["Dev."+name]
	if v == nil {
		r.t.Fatalf("no variable %s in %v", name, r.vars)
	}
	return v
}

// want checks the present value and status of a tag.
func (r *rig) want(name string, status ua.StatusCode, value any) {
	r.t.Helper()
	dv := r.variable(name).Value()
	if dv.Status != status || fmt.Sprint(dv.Value.Any()) != fmt.Sprint(value) {
		r.t.Errorf("%v: %s is %v %v, want %v %v", time.Since(r.start), name, dv.Status, dv.Value.Any(), status, value)
	}
}

func (r *rig) write(name string, value any) ua.StatusCode {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return r.variable(name).Writer().Write(ctx, uabinary.DataValue{Value: uabinary.VariantOf(value)})
}

// inBubble runs a test with a clock that jumps when everybody waits.
func inBubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

// after lets fake time pass and everything settle.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
