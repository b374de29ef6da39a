package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uaclient"
)

// deviceFile is a file of ours with a channel and a device for each name, which
// has one tag with the address behind the name. Nobody answers on the channels.
func deviceFile(namesAndAddresses ...string) string {
	var b strings.Builder
	b.WriteString("<EdgeUa>\n")
	for i := 0; i < len(namesAndAddresses); i += 2 {
		b.WriteString(channelText(namesAndAddresses[i], "127.0.0.1:1", fmt.Sprintf(`<Tag Name="T" Address="%s" Type="Int16"/>`, namesAndAddresses[i+1])))
	}
	return b.String() + "</EdgeUa>"
}

// channelText is a channel with a device of the same name that is polled there.
func channelText(name, address, tags string) string {
	host, port, _ := net.SplitHostPort(address)
	return fmt.Sprintf(`<Channel><Name>%s</Name><Type>ModbusTcp</Type><Host>%s</Host><TcpPort>%s</TcpPort></Channel>
<Device><Name>%[1]s</Name><Channel>%[1]s</Channel><Unit>1</Unit><Addressing>protocol0</Addressing>
<Group Name="G" Period="300">%[4]s</Group></Device>
`, name, host, port, tags)
}

// endpointsFile is a main file whose endpoints listen at their URLs; the text
// is inside of the first one.
func endpointsFile(inFirst string, urls ...string) string {
	one := func(url, more string) string {
		return mainFile(url, "<StackUrl>"+url+"</StackUrl>"+more)
	}
	text := one(urls[0], inFirst)
	for _, url := range urls[1:] {
		other := one(url, "")
		block := other[strings.Index(other, "<UaEndpoint>"):strings.Index(other, "<UserIdentityTokens>")]
		text = strings.Replace(text, "<UserIdentityTokens>", block+"<UserIdentityTokens>", 1)
	}
	return text
}

// newURL is where nobody listens yet.
func newURL(t *testing.T) string { return "opc.tcp://" + freeAddress(t) }

// readCounter is a device whose register 0 tells how often it was read.
func readCounter(t *testing.T) string {
	t.Helper()
	m := modbussim.NewMap()
	var reads uint64
	m.Signal(1, modbussim.HoldingRegisters, 0, 1, func(time.Duration) uint64 { reads++; return reads })
	m.Set(1, modbussim.HoldingRegisters, 1, 7, 8, 9)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = modbussim.Serve(ctx, l, m) }()
	t.Cleanup(func() { cancel(); <-done })
	return l.Addr().String()
}

// visit opens an anonymous session without security.
func visit(t *testing.T, url string) *uaclient.Client {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(url, "opc.tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := uaclient.Open(t.Context(), nc, uaclient.Options{
		EndpointURL: url, SecurityPolicyURI: ua.SecurityPolicyURINone, Mode: ua.MessageSecurityModeNone, ApplicationURI: "urn:test:client", SessionName: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// feed is a subscription and what it has told.
type feed struct {
	values chan uabinary.DataValue
	end    func() error
}

func subscribe(c *uaclient.Client, node uabinary.NodeID) *feed {
	ctx, cancel := context.WithCancel(context.Background())
	r := &feed{values: make(chan uabinary.DataValue, 10000)}
	done := make(chan error, 1)
	go func() {
		done <- c.Subscribe(ctx, 50*time.Millisecond, []uabinary.NodeID{node}, func(_ uabinary.NodeID, dv uabinary.DataValue) { r.values <- dv })
	}()
	r.end = func() error {
		cancel()
		err := <-done
		return errors.Join(err, c.Close(context.Background()))
	}
	return r
}

// next waits for the next value.
func (r *feed) next(t *testing.T) uabinary.DataValue {
	t.Helper()
	select {
	case dv := <-r.values:
		return dv
	case <-time.After(20 * time.Second):
		t.Fatal("no value")
		return uabinary.DataValue{}
	}
}

// until waits for a value with this status.
func (r *feed) until(t *testing.T, code ua.StatusCode) uabinary.DataValue {
	t.Helper()
	for {
		if dv := r.next(t); dv.Status == code {
			return dv
		}
	}
}

func tag(name string) uabinary.NodeID { return uabinary.StringID(2, name) }

func readStatus(t *testing.T, c *uaclient.Client, node uabinary.NodeID) ua.StatusCode {
	t.Helper()
	got, err := c.Read(t.Context(), []uabinary.ReadValueID{{NodeID: node, AttributeID: ua.AttributeIDNodeID}})
	if err != nil {
		t.Fatal(err)
	}
	return got[0].Status
}

// reload changes files, all of them or none, and waits for what becomes of it.
func (g *calling) reload(outcome string, named map[string]string) {
	g.t.Helper()
	before := g.log.count(outcome)
	last := slices.Sorted(func(yield func(string) bool) {
		for name := range named {
			if !yield(name) {
				return
			}
		}
	})
	for _, name := range last[:len(last)-1] {
		if err := os.WriteFile(filepath.Join(filepath.Dir(g.main), name), []byte(named[name]), 0o600); err != nil {
			g.t.Fatal(err)
		}
	}
	g.rewrite(last[len(last)-1], named[last[len(last)-1]])
	g.log.waitFor(g.t, outcome, before+1)
}

const (
	reloaded    = "configuration reloaded"
	notReloaded = "nothing has changed"
)

// Everything else may change: a subscription on an endpoint and a channel that
// stay does not lose a value, and a client that was called keeps its socket.
func TestReload_UnchangedPartsDoNotNotice(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	device, p, other := readCounter(t), newPhone(t), newPhone(t)
	a, b, c := newURL(t), newURL(t), newURL(t)
	calls := func(urls ...string) string {
		text := "<ReverseConnect>"
		for _, url := range urls {
			text += "<Url>" + url + "</Url>"
		}
		return text + "</ReverseConnect>"
	}
	keep := channelText("Keep", device, `<Tag Name="Reads" Address="h0" Type="UInt16"/>`)
	edge := func(more string) string {
		return `<EdgeUa><ReverseConnect><Defaults BackoffMin="50" BackoffMax="100"/></ReverseConnect>` + keep + more + "</EdgeUa>"
	}
	g := startCalling(t, endpointsFile(calls(p.url()), a, b), edge(channelText("Gone", "127.0.0.1:1", `<Tag Name="T" Address="h0" Type="Int16"/>`)))
	defer g.stop()

	direct := subscribe(visit(t, a), tag("Keep.Reads"))
	called := p.answer()
	session, err := uaclient.Open(t.Context(), called.Conn, uaclient.Options{
		EndpointURL: a, SecurityPolicyURI: ua.SecurityPolicyURINone, Mode: ua.MessageSecurityModeNone, ApplicationURI: "urn:test:client", SessionName: "called",
	})
	if err != nil {
		t.Fatal(err)
	}
	reverse := subscribe(session, tag("Keep.Reads"))
	direct.until(t, ua.StatusOK)
	reverse.until(t, ua.StatusOK)

	second := strings.Replace(endpointsFile(calls(p.url(), other.url()), a, c), "<ServerName>test", "<MaxSessionCount>9</MaxSessionCount><ServerName>other", 1)
	for _, step := range []map[string]string{
		{"TcUaServerConfig.xml": endpointsFile(calls(p.url()), a, b, c)}, // an endpoint comes
		{"TcUaServerConfig.xml": endpointsFile(calls(p.url()), a, c)},    // another one goes
		{"edgeua.xml": edge(channelText("New", "127.0.0.1:1", `<Tag Name="T" Address="h0" Type="Int16"/>`))},
		{"edgeua.xml": edge(channelText("New", device, `<Tag Name="T" Address="h1" Type="Int16"/>`))},
		{"TcUaSecurityConfig.xml": strings.Replace(anonymousUsers, "<Users>", `<Users><User Name="op" Auth="Server" Password="x"/>`, 1)},
		{"TcUaServerConfig.xml": second}, // limits, names, a client
		{"TcUaServerConfig.xml": strings.Replace(second, c, b, 1), "edgeua.xml": strings.Replace(edge(""), "<ReverseConnect>", `<Metrics Listen="`+freeAddress(t)+`"/><ReverseConnect>`, 1)},
	} {
		direct.next(t)
		g.reload(reloaded, step)
		direct.next(t)
	}
	other.answer()
	for name, r := range map[string]*feed{"direct": direct, "reverse": reverse} {
		r.next(t)
		if err := r.end(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := g.log.count("session created"); n != 2 {
		t.Errorf("%d sessions were needed", n)
	}
	if n := g.log.count(`msg="session closed"`); n != 2 { // by their clients
		t.Errorf("%d sessions were closed", n)
	}
}

// The values of a device that counts its readings have no gap, whatever is
// reloaded at the same time.
func TestReload_NoValueIsLost(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	device, a := readCounter(t), newURL(t)
	edge := func(more string) string {
		return "<EdgeUa>" + channelText("Keep", device, `<Tag Name="Reads" Address="h0" Type="UInt16"/>`) + more + "</EdgeUa>"
	}
	g := startCalling(t, endpointsFile("", a), edge(""))
	defer g.stop()
	r := subscribe(visit(t, a), tag("Keep.Reads"))
	last := r.until(t, ua.StatusOK).Value.Any().(uint16)
	for i := range 8 {
		g.reload(reloaded, map[string]string{"edgeua.xml": edge(channelText(fmt.Sprintf("More%d", i), "127.0.0.1:1", `<Tag Name="T" Address="h1" Type="Int16"/>`))})
		for range 2 {
			dv := r.next(t)
			now, ok := dv.Value.Any().(uint16)
			if dv.Status != ua.StatusOK || !ok || now != last+1 {
				t.Fatalf("after %d: %v %v", last, dv.Status, dv.Value.Any())
			}
			last = now
		}
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

// A tag that stays the same keeps its node and who watches it, when its channel
// changes; one that goes says so, and one that comes can be used.
func TestReload_ChannelThatChanges(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	device, a := readCounter(t), newURL(t)
	edge := func(tags string) string { return "<EdgeUa>" + channelText("D", device, tags) + "</EdgeUa>" }
	const same = `<Tag Name="Same" Address="h0" Type="UInt16"/>`
	g := startCalling(t, endpointsFile("", a), edge(same+`<Tag Name="Gone" Address="h2" Type="Int16"/>`))
	defer g.stop()
	stays, goes := subscribe(visit(t, a), tag("D.Same")), subscribe(visit(t, a), tag("D.Gone"))
	before := stays.until(t, ua.StatusOK).Value.Any().(uint16)
	goes.until(t, ua.StatusOK)
	g.reload(reloaded, map[string]string{"edgeua.xml": edge(same + `<Tag Name="New" Address="h3" Type="Int16"/>`)})
	goes.until(t, ua.StatusBadNodeIDUnknown)
	for len(stays.values) > 0 {
		<-stays.values
	}
	if now := stays.until(t, ua.StatusOK).Value.Any().(uint16); now <= before { // once the channel works again
		t.Errorf("%d after %d", now, before)
	}
	c := visit(t, a)
	for name, want := range map[string]ua.StatusCode{"D.Same": ua.StatusOK, "D.Gone": ua.StatusBadNodeIDUnknown, "D.New": ua.StatusOK, "D#Diagnostics": ua.StatusOK, "#Channels/D": ua.StatusOK} {
		if got := readStatus(t, c, tag(name)); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	g.reload(reloaded, map[string]string{"edgeua.xml": "<EdgeUa/>"})
	stays.until(t, ua.StatusBadNodeIDUnknown)
	for _, name := range []string{"D", "D.Same", "D#Diagnostics", "#Channels/D"} {
		if got := readStatus(t, c, tag(name)); got != ua.StatusBadNodeIDUnknown {
			t.Errorf("%s is still there: %v", name, got)
		}
	}
	for _, end := range []func() error{stays.end, goes.end, func() error { return c.Close(t.Context()) }} {
		if err := end(); err != nil {
			t.Error(err)
		}
	}
}

// Whatever is wrong, the gateway goes on as it was, and says where the fault is.
func TestReload_WhatFailsChangesNothing(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	device, a, b := readCounter(t), newURL(t), newURL(t)
	main, edge := endpointsFile("", a), "<EdgeUa>"+channelText("D", device, `<Tag Name="T" Address="h0" Type="UInt16"/>`)+"</EdgeUa>"
	g := startCalling(t, main, edge)
	defer g.stop()
	r := subscribe(visit(t, a), tag("D.T"))
	more := channelText("More", "127.0.0.1:1", `<Tag Name="T" Address="h0" Type="UInt16"/>`)
	for name, tt := range map[string]struct {
		main, edge string
		want       string
	}{
		"cut short":         {main[:len(main)/2], edge, "TcUaServerConfig.xml:"},
		"an endpoint wrong": {strings.Replace(endpointsFile("", a, b), "<Url>"+b, "<Url>https"+strings.TrimPrefix(b, "opc.tcp"), 1), edge, "TcUaServerConfig.xml:12: error"},
		"a tag wrong":       {main, strings.Replace(edge, `"UInt16"`, `"Uint61"`, 1), "edgeua.xml:3: error"},
		"port in use":       {endpointsFile("", a, "opc.tcp://"+busy.Addr().String()), strings.Replace(edge, "</EdgeUa>", more+"</EdgeUa>", 1), "the port is in use by another program"},
		"metrics in use":    {endpointsFile("", a, b), strings.Replace(edge, "<EdgeUa>", `<EdgeUa><Metrics Listen="`+busy.Addr().String()+`"/>`, 1), "the port is in use by another program"},
		"no certificate":    {strings.Replace(endpointsFile("", a, b), "own.der</ServerCertificate>", "edgeua.xml</ServerCertificate>", 1), edge, "edgeua.xml"},
	} {
		t.Run(name, func(t *testing.T) {
			g.t = t
			before := g.log.count(tt.want)
			g.reload(notReloaded, map[string]string{"TcUaServerConfig.xml": tt.main, "edgeua.xml": tt.edge})
			if g.log.count(tt.want) == before {
				t.Errorf("the log lacks %q:\n%s", tt.want, g.log)
			}
			if _, err := net.Dial("tcp", strings.TrimPrefix(b, "opc.tcp://")); err == nil {
				t.Error("the new endpoint is open")
			}
			c := visit(t, a)
			if readStatus(t, c, tag("D.T")) != ua.StatusOK || readStatus(t, c, tag("More.T")) != ua.StatusBadNodeIDUnknown {
				t.Error("the devices have changed")
			}
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
			r.next(t)
		})
	}
	g.t = t
	g.reload(reloaded, map[string]string{"TcUaServerConfig.xml": endpointsFile("", a, b), "edgeua.xml": edge})
	if err := visit(t, b).Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

// The connections of a changed endpoint end, and a client that was called is
// called again; one that has not answered yet is served under the new settings.
func TestReload_ReopenedEndpoint(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	p, parked := newPhone(t), newPhone(t)
	a := newURL(t)
	main := endpointsFile("<ReverseConnect><Url>"+p.url()+"</Url><Url>"+parked.url()+"</Url></ReverseConnect>", a)
	g := startCalling(t, main, "<EdgeUa/>")
	defer g.stop()
	called, direct, waits := p.answer(), visit(t, a), parked.answer()
	reverse, err := uaclient.Open(t.Context(), called.Conn, uaclient.Options{
		EndpointURL: a, SecurityPolicyURI: ua.SecurityPolicyURINone, Mode: ua.MessageSecurityModeNone, ApplicationURI: "urn:test:client", SessionName: "called",
	})
	if err != nil {
		t.Fatal(err)
	}
	g.reload(reloaded, map[string]string{"TcUaServerConfig.xml": strings.Replace(main, "</UaEndpoint>", "<CreateSignatureWithChain>true</CreateSignatureWithChain></UaEndpoint>", 1)})
	for name, c := range map[string]*uaclient.Client{"direct": direct, "reverse": reverse} {
		select {
		case <-c.Ended():
		case <-time.After(10 * time.Second):
			t.Errorf("the %s connection goes on", name)
		}
		_ = c.Close(t.Context())
	}
	p.answer()
	if all, err := uaclient.Endpoints(t.Context(), waits.Conn, waits.hello.EndpointURL); err != nil || len(all) == 0 {
		t.Errorf("the client that had not answered: %v", err)
	}
}
