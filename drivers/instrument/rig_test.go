package instrument

import (
	"bufio"
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
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/xmltree"
	"github.com/gopcua/opcua/ua"
)

// parse reads a file of one channel through the real reader.
func parse(t testing.TB, text string) (*channel, *xmltree.Report) {
	t.Helper()
	c, r := driverstest.Parse(t, Kinds(), text)
	return c.(*channel), r
}

func parseGood(t testing.TB, text string) *channel {
	t.Helper()
	c, r := parse(t, text)
	if r.HasErrors() {
		t.Fatal(r.Problems)
	}
	return c
}

const tcpChannel = `<Channel Name="Line1" Type="SerialTcp" Host="127.0.0.1" TcpPort="4001" LocalEcho="%s"/>`

// dev is a channel with one device.
func dev(settings, children string) string {
	return fmt.Sprintf(tcpChannel, "auto") + `<Device Name="Dev" Channel="Line1" ` + settings + `>` + children + `</Device>`
}

// rig runs a driver against an instrument in memory.
type rig struct {
	t      *testing.T
	driver *driver
	space  *addressspace.Space
	vars   map[string]*addressspace.Variable
	start  time.Time
	down   atomic.Bool  // dialling fails
	hang   atomic.Int64 // how long dialling takes
	dials  atomic.Int32
	cancel context.CancelFunc
	done   chan struct{}
	answer func(line string, conn net.Conn) // what the instrument does with a line; nil: it only reads
	end    byte                             // of a line

	script sync.Mutex // held while it answers
	mu     sync.Mutex
	conns  []net.Conn
	heard  strings.Builder
}

// change changes what the instrument answers.
func (r *rig) change(f func()) {
	r.script.Lock()
	defer r.script.Unlock()
	f()
}

// said is all that was sent to the instrument.
func (r *rig) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard.String()
}

var errRefused = errors.New("connection refused")

// newRig binds the channel to an address space; run starts it.
func newRig(t *testing.T, text string) *rig {
	t.Helper()
	r := &rig{t: t, done: make(chan struct{}), end: '\n'}
	r.bind(parseGood(t, text), r.dial)
	return r
}

func (r *rig) bind(c *channel, dial func(context.Context) (drivers.Link, error)) {
	r.space = addressspace.New("urn:test")
	ns := r.space.AddNamespace("urn:test:devices")
	vars, err := drivers.AddToSpace(r.space, ns, c.Devices())
	if err != nil {
		r.t.Fatal(err)
	}
	r.vars = vars
	r.driver = newDriver(c, dial, slog.New(slog.DiscardHandler))
	r.driver.Bind(vars)
	if err := r.driver.AddNodes(r.space, ns); err != nil {
		r.t.Fatal(err)
	}
}

// dial connects to the instrument.
func (r *rig) dial(context.Context) (drivers.Link, error) {
	r.dials.Add(1)
	if d := time.Duration(r.hang.Load()); d > 0 {
		<-time.After(d)
	}
	if r.down.Load() {
		return nil, errRefused
	}
	near, far := net.Pipe()
	go r.serve(far)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, far)
	return drivers.NewNetLink(near, 2*time.Second), nil
}

// serve takes lines until the connection ends.
func (r *rig) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	var line strings.Builder
	for {
		c, err := in.ReadByte()
		if err != nil {
			return
		}
		r.mu.Lock()
		r.heard.WriteByte(c)
		r.mu.Unlock()
		if line.WriteByte(c); c != r.end {
			continue
		}
		if r.answer != nil {
			r.script.Lock()
			r.answer(line.String(), conn)
			r.script.Unlock()
		}
		line.Reset()
	}
}

// say sends what an instrument says by itself.
func (r *rig) say(text string) {
	r.mu.Lock()
	conns := append([]net.Conn{}, r.conns...)
	r.mu.Unlock()
	for _, c := range conns {
		_, _ = c.Write([]byte(text)) // one that was closed does not hear
	}
	settle()
}

// hangUp closes all connections at the instrument's end.
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
	r.hangUp()
}

func (r *rig) watch(name string) *driverstest.Record { return driverstest.Watch(r.variable(name)) }

func (r *rig) variable(name string) *addressspace.Variable {
	v := r.vars["Dev."+name]
	if v == nil {
		r.t.Fatalf("no variable %s in %v", name, r.vars)
	}
	return v
}

// want checks the present status and value of a tag.
func (r *rig) want(name string, status ua.StatusCode, value any) {
	r.t.Helper()
	dv := r.variable(name).Value()
	if dv.Status != status || fmt.Sprint(dv.Value.Any()) != fmt.Sprint(value) {
		r.t.Errorf("%v: %s is %s %v, want %s %v", time.Since(r.start), name, driverstest.StatusName(dv.Status), dv.Value.Any(), driverstest.StatusName(status), value)
	}
}

func (r *rig) write(name string, value any) ua.StatusCode {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return r.variable(name).Writer().Write(ctx, uabinary.DataValue{Value: uabinary.VariantOf(value)})
}

// call runs a Method.
func (r *rig) call(node string, inputs ...uabinary.Variant) ua.StatusCode {
	r.t.Helper()
	n := r.space.Node(uabinary.StringID(2, node))
	if n == nil || n.Method == nil || !n.UsersOnly {
		r.t.Fatalf("no method %s, or it is for all", node)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, s, _ := n.Method.Implementation().Run(ctx, &addressspace.MethodCall{Inputs: inputs})
	return s
}

// gauge reads a diagnostics Variable.
func (r *rig) gauge(node string) any {
	r.t.Helper()
	n := r.space.Node(uabinary.StringID(2, node))
	if n == nil {
		r.t.Fatalf("no node %s", node)
	}
	return n.Variable.Value().Value.Any()
}

func (r *rig) counted(c counter, want uint64) {
	r.t.Helper()
	if got := r.driver.line.total.get(c); got != want {
		r.t.Errorf("%s is %d, want %d", counterNames()[c][0], got, want)
	}
}

// inBubble runs a test with a clock that jumps when everybody waits.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// after lets fake time pass and everything settle.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func settle() { after(time.Millisecond) }
