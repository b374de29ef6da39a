package status

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// NamespaceURI is the URI of the namespace of all nodes made here.
const NamespaceURI = "urn:edgeua:diagnostics"

// folderName names the folder of the clients, and begins their NodeIds.
const folderName = "ReverseConnections"

// ReverseClient is what is known about one client that the gateway calls.
// Times are zero for what has not happened.
type ReverseClient struct {
	Name          string // of its Object while the URL is not known
	URL           string // where the client listens
	EndpointURL   string // announced to it
	State         string
	StateSince    time.Time
	RemoteAddress string // of the newest socket
	Sockets       int
	Attempts      uint64
	LastError     string
	LastErrorTime time.Time
	LastSuccess   time.Time
	NextAttempt   time.Time
	RejectCode    ua.StatusCode // of the last Error message of the client; Good if there was none
	RejectReason  string
}

// Key is what tells clients apart: one listener may be called for several
// endpoints.
type Key struct{ name, endpointURL string }

// Key returns what tells c apart from others.
func (c *ReverseClient) Key() Key { return Key{c.name(), c.EndpointURL} }

func (c *ReverseClient) name() string {
	if c.URL == "" {
		return c.Name
	}
	return c.URL
}

// reverseVariables are the Variables of a client's Object.
var reverseVariables = []struct {
	name        string
	dataType    uint32
	description string
	value       func(c *ReverseClient) uabinary.Variant
}{
	{"State", id.String, "Waiting, Dialling, Announced, Negotiated, Active or Disabled", func(c *ReverseClient) uabinary.Variant { return uabinary.StringVariant(c.State) }},
	{"StateSince", id.UtcTime, "when the state began", func(c *ReverseClient) uabinary.Variant { return timeVariant(c.StateSince) }},
	{"Url", id.String, "where the client listens", func(c *ReverseClient) uabinary.Variant { return uabinary.StringVariant(c.URL) }},
	{"EndpointUrl", id.String, "the EndpointUrl announced to the client", func(c *ReverseClient) uabinary.Variant { return uabinary.StringVariant(c.EndpointURL) }},
	{"RemoteAddress", id.String, "of the newest socket, empty without one", func(c *ReverseClient) uabinary.Variant { return uabinary.StringVariant(c.RemoteAddress) }},
	{"Sockets", id.UInt32, "open now", func(c *ReverseClient) uabinary.Variant { return uabinary.Uint32Variant(uint32(c.Sockets)) }},
	{"Attempts", id.UInt64, "calls since the gateway started", func(c *ReverseClient) uabinary.Variant { return uabinary.Uint64Variant(c.Attempts) }},
	{"LastError", id.String, "why the last attempt that failed did", func(c *ReverseClient) uabinary.Variant { return uabinary.StringVariant(c.LastError) }},
	{"LastErrorTime", id.UtcTime, "when that was", func(c *ReverseClient) uabinary.Variant { return timeVariant(c.LastErrorTime) }},
	{"LastSuccess", id.UtcTime, "when a SecureChannel last opened", func(c *ReverseClient) uabinary.Variant { return timeVariant(c.LastSuccess) }},
	{"NextAttempt", id.UtcTime, "when the next call is due, if a delay runs", func(c *ReverseClient) uabinary.Variant { return timeVariant(c.NextAttempt) }},
	{"RejectCode", id.StatusCode, "of the client's last Error message, Good if there was none", func(c *ReverseClient) uabinary.Variant { return uabinary.StatusVariant(c.RejectCode) }},
	{"RejectReason", id.String, "the client's own words with it", func(c *ReverseClient) uabinary.Variant { return uabinary.StringVariant(c.RejectReason) }},
}

// timeVariant is t as a DateTime; what has not happened is its least value.
func timeVariant(t time.Time) uabinary.Variant {
	if t.IsZero() {
		return uabinary.DateTimeVariant(0)
	}
	return uabinary.DateTimeVariant(uabinary.DateTimeOf(t))
}

// ReverseConnections is the folder Server/ReverseConnections: one Object for
// each client, with its Variables and the Method ConnectNow, for users only.
type ReverseConnections struct {
	space   *addressspace.Space
	ns      uint16
	folder  uabinary.NodeID
	connect ConnectFunc

	mu      sync.Mutex
	clients map[Key]*reverseNode // guarded by mu
}

// ConnectFunc has the client that listens at url called, whatever delay runs,
// because a user wants it. It does not wait for that; the StatusCode says
// whether it will be done.
type ConnectFunc func(url, user string) ua.StatusCode

// reverseNode is the Object of one client.
type reverseNode struct {
	id        uabinary.NodeID
	variables []*addressspace.Variable // as reverseVariables
}

// NewReverseConnections adds the folder, and its namespace behind those that
// are there.
func NewReverseConnections(space *addressspace.Space, connect ConnectFunc) (*ReverseConnections, error) {
	ns := space.AddNamespace(NamespaceURI)
	r := &ReverseConnections{
		space: space, ns: ns, folder: uabinary.StringID(ns, folderName), connect: connect,
		clients: make(map[Key]*reverseNode),
	}
	_, err := space.AddObject(addressspace.ObjectOptions{
		ID: r.folder, BrowseName: r.name(folderName), Parent: uabinary.NumericID(0, id.Server),
		TypeDefinition: uabinary.NumericID(0, id.FolderType),
		Description:    uabinary.LocalizedText{Text: "the clients that this server calls"},
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *ReverseConnections) name(name string) uabinary.QualifiedName {
	return uabinary.QualifiedName{NamespaceIndex: r.ns, Name: name}
}

// Add adds a client. Its NodeId is ns=…;s=ReverseConnections/<URL>, or
// <Name> while there is no URL; of clients with one URL, all but the first have #<EndpointUrl> behind it.
func (r *ReverseConnections) Add(c ReverseClient) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clients[c.Key()] != nil {
		return fmt.Errorf("status: client %s for %s is there twice", c.name(), c.EndpointURL)
	}
	node := &reverseNode{id: uabinary.StringID(r.ns, folderName+"/"+c.name())}
	if r.space.Node(node.id) != nil {
		node.id = uabinary.StringID(r.ns, folderName+"/"+c.name()+"#"+c.EndpointURL)
	}
	if err := r.fill(node, &c); err != nil {
		r.space.Remove(node.id)
		return err
	}
	r.clients[c.Key()] = node
	return nil
}

// fill adds the nodes of a client.
func (r *ReverseConnections) fill(node *reverseNode, c *ReverseClient) error {
	_, err := r.space.AddObject(addressspace.ObjectOptions{
		ID: node.id, BrowseName: r.name(c.name()), Parent: r.folder, ReferenceType: uabinary.NumericID(0, id.Organizes),
	})
	if err != nil {
		return err
	}
	for _, v := range reverseVariables {
		n, err := r.space.AddVariable(addressspace.VariableOptions{
			ID: r.below(node, v.name), BrowseName: r.name(v.name), Parent: node.id, UsersOnly: true,
			Description: uabinary.LocalizedText{Text: v.description}, DataType: uabinary.NumericID(0, v.dataType),
			Value: present(v.value(c)),
		})
		if err != nil {
			return err
		}
		node.variables = append(node.variables, n.Variable)
	}
	return r.addConnectNow(node, c.URL)
}

func (r *ReverseConnections) addConnectNow(node *reverseNode, url string) error {
	_, err := r.space.AddMethod(addressspace.MethodOptions{
		ID: r.below(node, "ConnectNow"), BrowseName: r.name("ConnectNow"), Parent: node.id, UsersOnly: true,
		Description: uabinary.LocalizedText{Text: "calls the client now, whatever delay runs"},
		Run: func(_ context.Context, call *addressspace.MethodCall) ([]uabinary.Variant, ua.StatusCode, []ua.StatusCode) {
			return nil, r.connect(url, call.User), nil
		},
	})
	return err
}

func (r *ReverseConnections) below(node *reverseNode, name string) uabinary.NodeID {
	return uabinary.StringID(r.ns, node.id.Text+"/"+name)
}

// present is a Good value of this moment.
func present(v uabinary.Variant) *uabinary.DataValue {
	return &uabinary.DataValue{Value: v, SourceTimestamp: uabinary.DateTimeOf(time.Now())}
}

// Update pushes what has changed of a client; one that was not added is left
// alone. Calls for one client come one after the other.
func (r *ReverseConnections) Update(c ReverseClient) {
	r.mu.Lock()
	node := r.clients[c.Key()]
	r.mu.Unlock()
	if node == nil {
		return
	}
	for i, v := range reverseVariables {
		value := v.value(&c)
		if !node.variables[i].Current().Value.Equal(value) {
			node.variables[i].Set(present(value))
		}
	}
}

// Remove takes a client away; who monitors it is told. It reports whether
// there was one.
func (r *ReverseConnections) Remove(k Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	node := r.clients[k]
	if node == nil {
		return false
	}
	delete(r.clients, k)
	return r.space.Remove(node.id)
}
