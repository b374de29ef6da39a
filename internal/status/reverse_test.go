package status

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
)

const (
	listener = "opc.tcp://scada:48061"
	endpoint = "opc.tcp://gateway:4840"
)

// asked notes the calls of ConnectNow.
type asked struct {
	mu    sync.Mutex
	calls []string
}

func (a *asked) connect(url, user string) ua.StatusCode {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, url+" "+user)
	return ua.StatusBadInvalidState
}

func newFolder(t *testing.T) (*addressspace.Space, *ReverseConnections, *asked) {
	t.Helper()
	space := addressspace.New("urn:test")
	space.AddNamespace("urn:test:devices")
	a := &asked{}
	r, err := NewReverseConnections(space, a.connect)
	if err != nil {
		t.Fatal(err)
	}
	return space, r, a
}

func nodeID(name string) uabinary.NodeID { return uabinary.StringID(3, "ReverseConnections/"+name) }

func (r *ReverseConnections) mustAdd(t *testing.T, c ReverseClient) {
	t.Helper()
	if err := r.Add(c); err != nil {
		t.Fatal(err)
	}
}

func TestReverseConnectionsAreBelowTheServerObject(t *testing.T) {
	space, r, _ := newFolder(t)
	if got := space.Namespaces(); len(got) != 4 || got[3] != NamespaceURI {
		t.Fatalf("namespaces %v", got)
	}
	r.mustAdd(t, ReverseClient{URL: listener, EndpointURL: endpoint, State: "Waiting"})
	folder := uabinary.StringID(3, "ReverseConnections")
	if !refers(space, uabinary.NumericID(0, id.Server), id.HasComponent, folder) || !refers(space, folder, id.Organizes, nodeID(listener)) {
		t.Error("a reference is missing")
	}
	for _, name := range []string{"State", "StateSince", "Url", "EndpointUrl", "RemoteAddress", "Sockets", "Attempts", "LastError",
		"LastErrorTime", "LastSuccess", "NextAttempt", "RejectCode", "RejectReason", "ConnectNow"} {
		n := space.Node(nodeID(listener + "/" + name))
		if n == nil || !n.UsersOnly || n.BrowseName.Name != name || !refers(space, nodeID(listener), id.HasComponent, n.ID) {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

func refers(space *addressspace.Space, from uabinary.NodeID, typ uint32, to uabinary.NodeID) bool {
	for r := range space.Node(from).References() {
		if !r.Inverse && r.Type == uabinary.NumericID(0, typ) && r.Target == to {
			return true
		}
	}
	return false
}

// Every field of the struct is shown, in the type that its Variable says.
func TestUpdateShowsEverything(t *testing.T) {
	space, r, _ := newFolder(t)
	r.mustAdd(t, ReverseClient{URL: listener, EndpointURL: endpoint})
	at := time.Unix(1_700_000_000, 0)
	r.Update(ReverseClient{
		URL: listener, EndpointURL: endpoint, State: "Active", StateSince: at, RemoteAddress: "192.0.2.1:48061", Sockets: 2, Attempts: 1 << 33,
		LastError: "refused", LastErrorTime: at.Add(1 * time.Second), LastSuccess: at.Add(2 * time.Second), NextAttempt: at.Add(3 * time.Second),
		RejectCode: ua.StatusBadTCPServerTooBusy, RejectReason: "later",
	})
	ticks := func(d time.Duration) uabinary.DateTime { return uabinary.DateTimeOf(at.Add(d)) }
	for name, want := range map[string]any{
		"State": "Active", "StateSince": ticks(0), "Url": listener, "EndpointUrl": endpoint, "RemoteAddress": "192.0.2.1:48061",
		"Sockets": uint32(2), "Attempts": uint64(1 << 33), "LastError": "refused", "LastErrorTime": ticks(time.Second),
		"LastSuccess": ticks(2 * time.Second), "NextAttempt": ticks(3 * time.Second),
		"RejectCode": ua.StatusBadTCPServerTooBusy, "RejectReason": "later",
	} {
		v := space.Variable(nodeID(listener + "/" + name))
		dv := v.Value()
		if !dv.Value.Equal(uabinary.VariantOf(want)) || dv.Status != ua.StatusOK || dv.SourceTimestamp == 0 {
			t.Errorf("%s is %v, want %v", name, dv, want)
		}
		if builtIn := uabinary.NumericID(0, uint32(dv.Value.Type())); !space.IsSubtype(v.DataType, builtIn) {
			t.Errorf("%s: a value of type %v for the DataType %v", name, builtIn, v.DataType)
		}
	}
}

// watcher counts the values of one Variable.
type watcher struct {
	mu     sync.Mutex
	values []uabinary.DataValue
}

func (w *watcher) Changed(_ *addressspace.Variable, dv *uabinary.DataValue) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.values = append(w.values, *dv)
}

func TestUpdatePushesOnlyWhatChanged(t *testing.T) {
	space, r, _ := newFolder(t)
	c := ReverseClient{URL: listener, EndpointURL: endpoint, State: "Waiting"}
	r.mustAdd(t, c)
	state, attempts := &watcher{}, &watcher{}
	space.Variable(nodeID(listener + "/State")).Watch(state)
	space.Variable(nodeID(listener + "/Attempts")).Watch(attempts)
	for i := range 3 {
		c.Attempts = uint64(i + 1)
		r.Update(c)
	}
	if len(state.values) != 0 || len(attempts.values) != 3 {
		t.Errorf("%d states, %d attempts", len(state.values), len(attempts.values))
	}
	if gone := (&ReverseClient{URL: listener, EndpointURL: endpoint}); !r.Remove(gone.Key()) || r.Remove(gone.Key()) {
		t.Error("Remove")
	}
	r.Update(c) // which may come late
	if len(state.values) != 1 || state.values[0].Status != ua.StatusBadNodeIDUnknown {
		t.Errorf("who monitors a client that is removed hears %+v", state.values)
	}
	if space.Node(nodeID(listener)) != nil || space.Node(nodeID(listener+"/ConnectNow")) != nil {
		t.Error("nodes are left")
	}
	r.mustAdd(t, c) // and back
}

func TestConnectNowIsForItsClient(t *testing.T) {
	space, r, a := newFolder(t)
	r.mustAdd(t, ReverseClient{URL: listener, EndpointURL: endpoint})
	r.mustAdd(t, ReverseClient{URL: listener, EndpointURL: endpoint + "/b"})
	for _, name := range []string{listener, listener + "#" + endpoint + "/b"} {
		m := space.Node(nodeID(name + "/ConnectNow"))
		if m == nil {
			t.Fatalf("no ConnectNow of %s", name)
		}
		_, status, _ := m.Method.Implementation().Run(t.Context(), &addressspace.MethodCall{User: "joe"})
		if status != ua.StatusBadInvalidState {
			t.Errorf("%s: %v", name, status)
		}
	}
	if len(a.calls) != 2 || a.calls[0] != listener+" joe" || a.calls[1] != listener+" joe" {
		t.Errorf("%q", a.calls)
	}
}

func TestAddTwice(t *testing.T) {
	_, r, _ := newFolder(t)
	c := ReverseClient{URL: listener, EndpointURL: endpoint}
	r.mustAdd(t, c)
	if r.Add(c) == nil {
		t.Error("the same client twice")
	}
}

// Clients come, change and go at the same time.
func TestReverseConnectionsConcurrently(t *testing.T) {
	space, r, _ := newFolder(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			c := ReverseClient{URL: fmt.Sprintf("opc.tcp://scada%d:4840", i), EndpointURL: endpoint}
			for n := range 50 {
				if err := r.Add(c); err != nil {
					t.Error(err)
				}
				c.Attempts = uint64(n)
				r.Update(c)
				r.Remove(c.Key())
			}
		})
	}
	all.Wait()
	for ref := range space.Node(uabinary.StringID(3, "ReverseConnections")).References() {
		if ref.Type == uabinary.NumericID(0, id.Organizes) {
			t.Errorf("%v is left", ref.Target)
		}
	}
}

// A thousand clients are a use case: their nodes must not cost more than their
// connections do.
func TestMemoryOfClients(t *testing.T) {
	_, r, _ := newFolder(t)
	const clients = 1000
	before := heap()
	for i := range clients {
		r.mustAdd(t, ReverseClient{URL: fmt.Sprintf("opc.tcp://scada%d:4840", i), EndpointURL: endpoint, State: "Waiting"})
	}
	each := (heap() - before) / clients
	runtime.KeepAlive(r)
	t.Logf("%d bytes for each client", each)
	if each > 10<<10 {
		t.Errorf("%d bytes for each client", each)
	}
}

// heap returns the bytes of live objects.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func BenchmarkUpdate(b *testing.B) {
	space := addressspace.New("urn:test")
	r, err := NewReverseConnections(space, nil)
	if err != nil {
		b.Fatal(err)
	}
	c := ReverseClient{URL: listener, EndpointURL: endpoint}
	if err := r.Add(c); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Attempts++
		r.Update(c)
	}
}
