package reverseconnect

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// crossing is a Bridge between servers and clients that exist only in memory.
type crossing struct {
	t       *testing.T
	b       *Bridge
	servers *exchange
	clients []*exchange // one per route
	log     *lines
}

const otherURL = "opc.tcp://client.sees.this:1/edge"

func newCrossing(t *testing.T, change func(*BridgeConfig), uris ...string) *crossing {
	t.Helper()
	c := &crossing{t: t, servers: newExchange(), log: &lines{}}
	cfg := BridgeConfig{Log: slog.New(c.log)}
	var nls []net.Listener
	for _, uri := range uris {
		x := newExchange()
		cfg.Routes = append(cfg.Routes, Route{ServerURI: uri})
		c.clients, nls = append(c.clients, x), append(nls, x)
	}
	if change != nil {
		change(&cfg)
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	c.b = newBridge(cfg)
	listening, err := c.b.cfg.Listener.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	c.b.listener = newListener(listening, c.servers)
	c.b.start(nls)
	t.Cleanup(func() { c.b.Close() })
	return c
}

// client connects to the port of route i and says Hello.
func (c *crossing) client(i int) *caller {
	c.t.Helper()
	nc := c.clients[i].dial()
	nc.Write(helloFrame(otherURL))
	synctest.Wait()
	return nc
}

// takeHello is what a server does on its call: it reads Hello and acknowledges.
func (c *caller) takeHello(t *testing.T) uatcp.Hello {
	t.Helper()
	hello, err := readHello(c)
	if err != nil {
		t.Fatalf("server reads %v", err)
	}
	go c.Write((&uatcp.Acknowledge{ReceiveBufferSize: 65535, SendBufferSize: 65535}).Append(nil))
	return hello
}

func (c *caller) wantAcknowledge(t *testing.T) {
	t.Helper()
	if answer, err := readFirst(c, handshakeTimeout); err != nil || frameType(answer) != uatcp.TypeAcknowledge {
		t.Fatalf("client reads %q, %v", answer, err)
	}
}

// wantBytes sends text from one end and reads it at the other.
func wantBytes(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	go from.Write([]byte(text))
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != text {
		t.Errorf("got %q, %v, want %q", got, err, text)
	}
}

func (c *crossing) wantStatus(i int, want string) {
	c.t.Helper()
	synctest.Wait()
	s := c.b.Status()[i]
	if got := fmt.Sprintf("%d calls, %d waiting, %d clients, %d joined", s.Calls, s.Waiting, s.Clients, s.Joined); got != want {
		c.t.Errorf("status %s, want %s", got, want)
	}
}

func TestBridge_JoinsClientAndServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCrossing(t, nil, "urn:a", "urn:b")
		a, b := x.servers.announce("urn:a", edgeURL), x.servers.announce("urn:b", edgeURL+"/b")
		x.wantStatus(0, "1 calls, 0 waiting, 0 clients, 0 joined")
		client := x.client(1)
		hello := b.takeHello(t)
		// Part 6 (1.05), 7.1.2.6: the client passes back what was announced. Nothing else changes.
		want, _ := uatcp.ParseHello(helloFrame(edgeURL + "/b")[8:])
		if hello != want {
			t.Errorf("server got %+v, want %+v", hello, want)
		}
		client.wantAcknowledge(t)
		wantBytes(t, client, b, "OPNF whatever, not looked at\x00\xff")
		wantBytes(t, b, client, "garbage goes through as well")
		x.wantStatus(1, "0 calls, 0 waiting, 1 clients, 1 joined")
		client.Close()
		if rest, _ := io.ReadAll(b); len(rest) > 0 {
			t.Errorf("server reads %q at the end", rest)
		}
		x.wantStatus(1, "0 calls, 0 waiting, 0 clients, 1 joined")
		x.wantStatus(0, "1 calls, 0 waiting, 0 clients, 0 joined")
		if s := x.b.Status()[1]; s.ToServer != 30 || s.ToClient != 28 || s.EndpointURL != edgeURL+"/b" {
			t.Errorf("%+v", s)
		}
		a.Close()
	})
}

func TestBridge_ServerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCrossing(t, nil, "urn:a")
		a := x.servers.announce("urn:a", edgeURL)
		client := x.client(0)
		a.takeHello(t)
		client.wantAcknowledge(t)
		a.Close()
		if rest, _ := io.ReadAll(client); len(rest) > 0 {
			t.Errorf("client reads %q at the end", rest)
		}
		x.wantStatus(0, "0 calls, 0 waiting, 0 clients, 1 joined")
	})
}

// What the server has to say to Hello is the client's business, also when it is an Error.
func TestBridge_PassesErrorOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCrossing(t, nil, "urn:a")
		a := x.servers.announce("urn:a", edgeURL)
		client := x.client(0)
		if _, err := readHello(a); err != nil {
			t.Fatal(err)
		}
		a.Write((&uatcp.Error{Code: ua.StatusBadServerHalted, Reason: "starting"}).Append(nil))
		a.Close()
		client.wantClosed(t, ua.StatusBadServerHalted)
	})
}

func TestBridge_SparesServeParallelClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCrossing(t, nil, "urn:a")
		first, second := x.servers.announce("urn:a", edgeURL), x.servers.announce("urn:a", edgeURL)
		x.wantStatus(0, "2 calls, 0 waiting, 0 clients, 0 joined")
		one := x.client(0)
		second.takeHello(t) // the youngest call first
		one.wantAcknowledge(t)
		two := x.client(0)
		first.takeHello(t)
		two.wantAcknowledge(t)
		three := x.client(0)
		x.wantStatus(0, "0 calls, 1 waiting, 2 clients, 2 joined")
		wantBytes(t, one, second, "one")
		wantBytes(t, first, two, "two")
		third := x.servers.announce("urn:a", edgeURL)
		third.takeHello(t)
		three.wantAcknowledge(t)
		x.wantStatus(0, "0 calls, 0 waiting, 3 clients, 3 joined")
		for _, nc := range []net.Conn{one, two, three} {
			nc.Close()
		}
	})
}

func TestBridge_ClientWaitsForCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCrossing(t, nil, "urn:a", "urn:b")
		x.servers.announce("urn:b", edgeURL) // is no help
		client := x.client(0)
		time.Sleep(DefaultWaitTimeout - time.Second)
		x.wantStatus(0, "0 calls, 1 waiting, 0 clients, 0 joined")
		x.servers.announce("urn:a", edgeURL).takeHello(t)
		client.wantAcknowledge(t)
		client.Close()
	})
}

func TestBridge_NobodyCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCrossing(t, nil, "urn:a")
		begin := time.Now()
		x.client(0).wantClosed(t, ua.StatusBadServerNotConnected)
		if took := time.Since(begin); took < DefaultWaitTimeout || took > DefaultWaitTimeout+time.Second {
			t.Errorf("the client waited %v", took)
		}
		x.wantStatus(0, "0 calls, 0 waiting, 0 clients, 0 joined")
		if s := x.b.Status()[0]; s.LastFailure != "the server has not called" {
			t.Errorf("%+v", s)
		}
	})
}

// A client that gives up takes no call with it.
func TestBridge_ClientGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCrossing(t, nil, "urn:a")
		x.client(0).Close()
		eager := x.client(0)
		eager.Write([]byte("OPNF")) // before the Acknowledge
		eager.wantClosed(t, 0)
		x.wantStatus(0, "0 calls, 0 waiting, 0 clients, 0 joined")
		x.servers.announce("urn:a", edgeURL)
		x.wantStatus(0, "1 calls, 0 waiting, 0 clients, 0 joined")
	})
}

// Calls that died unnoticed are replaced without the client seeing it.
func TestBridge_ReplacesDeadCalls(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(*caller)
		after time.Duration
	}{
		{"closes at Hello", func(c *caller) { readHello(c); c.Close() }, 0},
		{"closes in its answer", func(c *caller) { readHello(c); c.Write([]byte("ACKF\x1c")); c.Close() }, 0},
		{"stays silent", func(c *caller) { readHello(c) }, answerTimeout},
		{"does not read", func(*caller) {}, answerTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newCrossing(t, nil, "urn:a")
				alive := x.servers.announce("urn:a", edgeURL)
				dead := x.servers.announce("urn:a", edgeURL)
				go c.do(dead)
				client := x.client(0)
				time.Sleep(c.after)
				alive.takeHello(t)
				client.wantAcknowledge(t)
				wantBytes(t, client, alive, "hello?")
				client.Close()
				dead.Close()
			})
		})
	}
}

func TestBridge_HostileServers(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer []byte
		code   ua.StatusCode
	}{
		{"Hello back", helloFrame(edgeURL), ua.StatusBadTCPInternalError},
		{"ReverseHello again", ReverseHello{ServerURI: "urn:a", EndpointURL: edgeURL}.Append(nil), ua.StatusBadTCPInternalError},
		{"HTTP", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), ua.StatusBadTCPInternalError},
		{"huge", []byte("ACKF\xff\xff\xff\xff"), ua.StatusBadTCPInternalError},
		{"tiny", []byte("ACKF\x00\x00\x00\x00"), ua.StatusBadTCPInternalError},
		{"half an answer", []byte("ACKF\x1c\x00\x00\x00half"), ua.StatusBadServerNotConnected},
		{"silence", nil, ua.StatusBadServerNotConnected},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newCrossing(t, nil, "urn:a")
				a := x.servers.announce("urn:a", edgeURL)
				go func() {
					readHello(a)
					a.Write(c.answer)
				}()
				begin := time.Now()
				x.client(0).wantClosed(t, c.code)
				if took := time.Since(begin); took > DefaultWaitTimeout+answerTimeout+time.Second {
					t.Errorf("the client waited %v", took)
				}
				x.wantStatus(0, "0 calls, 0 waiting, 0 clients, 0 joined")
				a.Close()
			})
		})
	}
}

// A server that calls and hangs up, again and again, keeps a client busy for a bounded time.
func TestBridge_ServerThatHangsUpForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCrossing(t, nil, "urn:a")
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
					c := x.servers.announce("urn:a", edgeURL)
					go func() { readHello(c); c.Close() }()
				}
			}
		}()
		begin := time.Now()
		x.client(0).wantClosed(t, ua.StatusBadServerNotConnected)
		if took := time.Since(begin); took > DefaultWaitTimeout+time.Second {
			t.Errorf("the client waited %v", took)
		}
		close(stop)
		<-done
	})
}

func TestBridge_HostileClients(t *testing.T) {
	hello := helloFrame(otherURL)
	for _, c := range []struct {
		name string
		sent []byte
		code ua.StatusCode
	}{
		{"nothing", nil, ua.StatusBadTimeout},
		{"half a header", hello[:5], ua.StatusBadTimeout},
		{"half a Hello", hello[:30], ua.StatusBadTimeout},
		{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), ua.StatusBadTCPMessageTooLarge},
		{"OpenSecureChannel", frame("OPNF", "whatever"), ua.StatusBadTCPMessageTypeInvalid},
		{"ReverseHello", ReverseHello{ServerURI: "urn:a", EndpointURL: edgeURL}.Append(nil), ua.StatusBadTCPMessageTypeInvalid},
		{"huge", []byte("HELF\xff\xff\xff\xff"), ua.StatusBadTCPMessageTooLarge},
		{"short", frame("HELF", "short"), ua.StatusBadDecodingError},
		{"no URL", helloFrame(""), ua.StatusBadTCPEndpointURLInvalid},
		{"long URL", helloFrame(strings.Repeat("x", 4097)), ua.StatusBadTCPEndpointURLInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newCrossing(t, nil, "urn:a")
				x.servers.announce("urn:a", edgeURL)
				begin := time.Now()
				client := x.clients[0].dial()
				go client.Write(c.sent)
				client.wantClosed(t, c.code)
				client.Close()
				if took := time.Since(begin); took > handshakeTimeout+2*time.Second {
					t.Errorf("it took %v", took)
				}
				x.wantStatus(0, "1 calls, 0 waiting, 0 clients, 0 joined") // the call is not used up
			})
		})
	}
}

func TestBridge_BoundsClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCrossing(t, func(cfg *BridgeConfig) { cfg.MaxClients = 2 }, "urn:a")
		var silent []*caller
		for range 2 {
			silent = append(silent, x.clients[0].dial())
		}
		synctest.Wait()
		oneTooMany := x.clients[0].dial()
		go oneTooMany.Write(helloFrame(otherURL))
		oneTooMany.wantClosed(t, ua.StatusBadTCPServerTooBusy)
		for range 20 { // many too many
			silent = append(silent, x.clients[0].dial())
		}
		synctest.Wait()
		if s := x.b.Status()[0]; s.Waiting > 4 {
			t.Errorf("%d clients wait", s.Waiting)
		}
		for _, c := range silent {
			c.Close()
		}
		x.servers.announce("urn:a", edgeURL)
		synctest.Wait()
		client := x.client(0)
		x.wantStatus(0, "0 calls, 1 waiting, 0 clients, 0 joined")
		client.Close()
	})
}

func TestBridge_IdleClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const idle = time.Minute
		x := newCrossing(t, func(cfg *BridgeConfig) { cfg.IdleTimeout = idle }, "urn:a")
		a := x.servers.announce("urn:a", edgeURL)
		client := x.client(0)
		a.takeHello(t)
		client.wantAcknowledge(t)
		for range 10 {
			time.Sleep(idle - time.Second)
			wantBytes(t, client, a, "still here")
		}
		begin := time.Now()
		go a.Write([]byte("words of the server do not count"))
		io.ReadAll(client)
		if took := time.Since(begin); took < idle-time.Second || took > idle*5/4 {
			t.Errorf("hung up after %v", took)
		}
	})
}

// What one side does not read the other cannot send: nothing piles up in the bridge.
func TestBridge_BackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCrossing(t, nil, "urn:a")
		a := x.servers.announce("urn:a", edgeURL)
		client := x.client(0)
		a.takeHello(t)
		client.wantAcknowledge(t)
		a.SetWriteDeadline(time.Now().Add(time.Minute))
		n, err := a.Write(make([]byte, 10<<20))
		if !isTimeout(err) || n > 64<<10 {
			t.Errorf("%d bytes went in, %v", n, err)
		}
		got, _ := io.CopyN(io.Discard, client, int64(n))
		if got != int64(n) {
			t.Errorf("%d of %d bytes came out", got, n)
		}
		client.Close()
	})
}

func TestBridge_AutomaticPorts(t *testing.T) {
	x := newCrossing(t, func(cfg *BridgeConfig) {
		cfg.Automatic, cfg.MaxAutomatic = &PortRange{Host: "127.0.0.1"}, 2
	}, "urn:fixed")
	heard := make(chan Event, 100)
	x.b.events = func(e Event) { heard <- e }
	outcome := func(uri string) Event {
		c := x.servers.dial()
		c.Write(ReverseHello{ServerURI: uri, EndpointURL: edgeURL}.Append(nil))
		go io.Copy(io.Discard, c)
		for e := range heard {
			if e.ServerURI == uri && e.Kind != EventReceived {
				return e
			}
		}
		return Event{}
	}
	for _, uri := range []string{"urn:fixed", "urn:a", "urn:a", "urn:b"} {
		if e := outcome(uri); e.Kind != EventAccepted {
			t.Errorf("%s: %v, %v", uri, e.Kind, e.Err)
		}
	}
	if e := outcome("urn:c"); e.Kind != EventRejected || !errors.Is(e.Err, ErrNoPort) || e.Err.Code != statusBadServerTooBusy {
		t.Errorf("%+v", e)
	}
	all := x.b.Status()
	if len(all) != 3 || all[1].ServerURI != "urn:a" || all[1].Calls != 2 || all[2].ServerURI != "urn:b" {
		t.Errorf("%+v", all)
	}
	nc, err := net.Dial("tcp", all[2].Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

func TestPortRange_Exhausted(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := uint16(taken.Addr().(*net.TCPAddr).Port)
	if nl, err := (&PortRange{Host: "127.0.0.1", First: port, Last: port}).listen(); err == nil {
		t.Errorf("got %s", nl.Addr())
	}
}

func TestBridge_OneRoutePerEndpointURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCrossing(t, func(cfg *BridgeConfig) {
			cfg.Routes[0].EndpointURL, cfg.Routes[1].EndpointURL = edgeURL+"/1", edgeURL+"/2"
		}, "urn:a", "urn:a")
		x.servers.announce("urn:a", edgeURL+"/2")
		x.wantStatus(0, "0 calls, 0 waiting, 0 clients, 0 joined")
		x.wantStatus(1, "1 calls, 0 waiting, 0 clients, 0 joined")
		x.servers.announce("urn:a", edgeURL+"/3").wantClosed(t, ua.StatusBadTCPEndpointURLInvalid)
		x.servers.announce("urn:b", edgeURL+"/1").wantClosed(t, ua.StatusBadTCPEndpointURLInvalid)
	})
}

func TestBridge_Close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newCrossing(t, nil, "urn:a")
		silent := x.clients[0].dial()
		a := x.servers.announce("urn:a", edgeURL)
		joined := x.client(0)
		a.takeHello(t)
		joined.wantAcknowledge(t)
		waiting := x.client(0)
		begin := time.Now()
		go x.b.Close()
		for _, nc := range []net.Conn{silent, joined, waiting, a} {
			if rest, _ := io.ReadAll(nc); len(rest) > 0 && !bytes.HasPrefix(rest, []byte("ERRF")) {
				t.Errorf("read %q", rest)
			}
		}
		x.b.Close()
		if took := time.Since(begin); took > time.Second {
			t.Errorf("closing took %v", took)
		}
	})
}

func TestBridgeConfig_Refuses(t *testing.T) {
	route := Route{ServerURI: "urn:a", Address: "127.0.0.1:0"}
	for name, cfg := range map[string]BridgeConfig{
		"nothing to do":  {},
		"no ServerUri":   {Routes: []Route{{Address: "127.0.0.1:0"}}},
		"long ServerUri": {Routes: []Route{{ServerURI: strings.Repeat("x", 4092), Address: "127.0.0.1:0"}}},
		"no EndpointUrl": {Routes: []Route{{ServerURI: "urn:a", EndpointURL: "https://x", Address: "127.0.0.1:0"}}},
		"twice":          {Routes: []Route{route, route}},
		"ambiguous":      {Routes: []Route{route, {ServerURI: "urn:a", EndpointURL: edgeURL, Address: "127.0.0.1:0"}}},
		"bad address":    {Routes: []Route{{ServerURI: "urn:a", Address: "127.0.0.1:65536"}}},
		"range":          {Automatic: &PortRange{Host: "127.0.0.1", First: 5, Last: 4}},
		"half a range":   {Automatic: &PortRange{Host: "127.0.0.1", Last: 4}},
		"negative":       {Routes: []Route{route}, WaitTimeout: -1},
		"read timeout":   {Routes: []Route{route}, Listener: ListenerConfig{ReadTimeout: time.Hour}},
	} {
		if b, err := OpenBridge(t.Context(), "opc.tcp://127.0.0.1:0", cfg); err == nil {
			b.Close()
			t.Errorf("%s is accepted", name)
		}
	}
	if b, err := OpenBridge(t.Context(), "http://127.0.0.1:0", BridgeConfig{Routes: []Route{route}}); err == nil {
		b.Close()
		t.Error("another scheme is accepted")
	}
}

// Whatever a client and a server say, each for itself, a Bridge survives it, passes it on or hangs up.
func FuzzBridge(f *testing.F) {
	ack := (&uatcp.Acknowledge{ReceiveBufferSize: 65535, SendBufferSize: 65535}).Append(nil)
	f.Add(helloFrame(otherURL), append(ack, "more"...))
	f.Add(append(helloFrame(otherURL), "more"...), ack)
	f.Add([]byte("HELF\xff\xff\xff\xff"), []byte("ACKF\x00\x00\x00\x80"))
	f.Fuzz(func(t *testing.T, fromClient, fromServer []byte) {
		synctest.Test(t, func(t *testing.T) {
			x := newCrossing(t, nil, "urn:a")
			server := x.servers.announce("urn:a", edgeURL)
			go func() {
				if hello, err := readHello(server); err == nil && hello.EndpointURL != edgeURL {
					t.Errorf("Hello with %q", hello.EndpointURL)
				}
				go io.Copy(io.Discard, server)
				server.Write(fromServer)
				server.Close()
			}()
			client := x.clients[0].dial()
			go client.Write(fromClient)
			answer, _ := io.ReadAll(client)
			if !bytes.HasPrefix(answer, []byte("ERR")) && !bytes.HasPrefix(fromServer, answer) {
				t.Errorf("client got %q of %q", answer, fromServer)
			}
			client.Close()
			x.b.Close()
			server.Close()
		})
	})
}

// A call that comes in the moment in which its client gives up is not left open.
func TestAwait_CallForNobody(t *testing.T) {
	client, gone := net.Pipe()
	gone.Close()
	ours, server := net.Pipe()
	got, err := await(client, time.Time{}, func(done <-chan struct{}) (net.Conn, error) {
		<-done
		return ours, nil
	})
	if got != nil || err != errClientGone {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := server.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the server reads %v", err)
	}
}
