package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// talker is a device server: whoever connects hears the same line over and over.
type talker struct {
	t    *testing.T
	addr string
	line string
	quit context.CancelFunc
	done sync.WaitGroup
}

func (k *talker) begin() {
	k.t.Helper()
	l, err := net.Listen("tcp", k.addr)
	if err != nil {
		k.t.Fatal(err)
	}
	k.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	k.quit = cancel
	context.AfterFunc(ctx, func() { l.Close() })
	k.done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			line := k.line
			k.done.Go(func() { talk(ctx, conn, line) })
		}
	})
}

func talk(ctx context.Context, conn net.Conn, line string) {
	defer conn.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := io.WriteString(conn, line); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (k *talker) end() {
	k.quit()
	k.done.Wait()
}

// sentence is a position in the form of NMEA 0183.
func sentence(latitude string) string {
	body, sum := "GPGGA,123519,"+latitude+",N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,", byte(0)
	for i := range len(body) {
		sum ^= body[i]
	}
	return fmt.Sprintf("$%s*%02X\r\n", body, sum)
}

// From the bytes of a GNSS receiver behind a device server to an OPC UA client that was called: values come, and when the
// receiver goes away and comes back so do their statuses, without anybody's help.
func TestServe_InstrumentToClient(t *testing.T) {
	defer goleak.VerifyNone(t)
	gnss := &talker{t: t, addr: "127.0.0.1:0", line: sentence("4807.038")}
	gnss.begin()
	_, port, _ := strings.Cut(gnss.addr, ":")
	reverse := freeAddress(t)
	main := files(t, map[string]string{
		"TcUaServerConfig.xml": mainFile("opc.tcp://gateway.invalid:4840", "<ReverseConnect><Url>opc.tcp://"+reverse+"</Url></ReverseConnect>"),
		"edgeua.xml": `<EdgeUa><Listeners Enabled="0"/><ReverseConnect><Defaults BackoffMin="100" BackoffMax="200"/></ReverseConnect>
<Channel><Name>Mast</Name><Type>SerialTcp</Type><Host>127.0.0.1</Host><TcpPort>` + port + `</TcpPort></Channel>
<Device><Name>Gps</Name><Channel>Mast</Channel><Profile>nmea0183</Profile></Device></EdgeUa>`,
	})
	edgeua(t, "check", "--config", main).want(t, exitOK, "serial over TCP 127.0.0.1:"+port)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log, seen := &watched{}, &watched{}
	ended := make(chan int, 2)
	go func() { ended <- run(ctx, []string{"serve", "--config", main}, io.Discard, log) }()
	go func() {
		ended <- run(ctx, []string{"listen", "--addr", "opc.tcp://" + reverse, "--security", "None,None", "--duration", "60s", "--subscribe", "ns=2;s=Gps.Latitude"}, seen, log)
	}()
	seen.wait(t, "48.1173")
	gnss.end()
	seen.wait(t, "UncertainNoCommunicationLastUsableValue")
	seen.wait(t, "BadNoCommunication")
	gnss.line = sentence("4930.000")
	gnss.begin()
	seen.wait(t, "49.5")
	gnss.end()
	stop()
	for range 2 {
		if code := <-ended; code != exitOK {
			t.Errorf("ended with %d:\n%s", code, log)
		}
	}
}

// A serial line has one owner: the second channel on it is refused before anything opens it.
func TestCheck_OnePortOneChannel(t *testing.T) {
	main := files(t, map[string]string{
		"TcUaServerConfig.xml": mainFile("opc.tcp://127.0.0.1:4840", ""),
		"edgeua.xml": `<EdgeUa><Channel><Name>A</Name><Type>Serial</Type><Port>/dev/ttyS7</Port></Channel>
<Channel><Name>B</Name><Type>ModbusRtu</Type><Port>/dev/ttyS7</Port></Channel>
<Device><Name>Scale</Name><Channel>A</Channel><Profile>sics</Profile></Device></EdgeUa>`,
	})
	edgeua(t, "check", "--config", main).want(t, exitConfig, `edgeua.xml:2: error: EdgeUa/Channel[B]: Port "/dev/ttyS7" belongs to the channel in line 1`)
}
