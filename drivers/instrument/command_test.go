package instrument

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

func TestRefusals(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, polled))
		r.answer = func(line string, conn net.Conn) {
			reply(conn, map[string]string{"A?\r\n": "nonsense\r\n", "B?\r\n": "ERR 5\r\n"}[line])
		}
		r.run()
		after(time.Minute)
		r.want("A", ua.StatusBadConfigurationError, nil)
		r.want("B", ua.StatusBadInvalidState, nil)
		if s := r.gauge("Dev#Diagnostics/State"); s != "online" { // it answers
			t.Error(s)
		}
	})
}

func TestCommands(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, `<Frame Kind="delimiter" End="\r\n"/>
			<Poll Name="Set" Send="SP?\r\n" Period="60000"><Field Name="SetPoint" Type="Float64" EULow="0" EUHigh="100"/></Poll>
			<Command Name="SetPoint" Type="Float64" Send="SP {value:.1f}\r\n" Ack="^OK" Nak="^NO" EULow="0" EUHigh="100"/>
			<Command Name="Text" Type="String" Send="D &quot;{value}&quot;\r\n" AckBytes="\x06" NakBytes="\x15" NakStatus="BadUserAccessDenied"/>
			<Command Name="Mode" Type="UInt16" Enum="0=Off;1=On" Send="M{value:02d}\r\n"/>
			<Command Name="Lamp" Type="Bool" True="ON" False="OFF" Send="L {value}\r\n"/>
			<Command Name="Clamped" Type="Int32" Send="C{value}\r\n" EULow="0" EUHigh="10" Clamp="1" Scale="0.1"/>`))
		set := "20.0"
		r.answer = func(line string, conn net.Conn) {
			switch {
			case line == "SP?\r\n":
				reply(conn, set+"\r\n")
			case line == "SP 66.6\r\n":
				reply(conn, "NO\r\n")
			case line == "SP 55.5\r\n": // silence
			case strings.HasPrefix(line, "SP "):
				set = strings.TrimSpace(line[3:])
				reply(conn, "OK\r\n")
			case line == "D \"no\"\r\n":
				reply(conn, "\x15")
			case line[0] == 'D':
				reply(conn, "\x06")
			}
		}
		r.run()
		settle()
		for _, c := range []struct {
			tag   string
			value any
			want  ua.StatusCode
		}{
			{"SetPoint", 42.04, good}, {"SetPoint", 66.6, ua.StatusBadInvalidState}, {"SetPoint", 55.5, ua.StatusBadTimeout},
			{"SetPoint", 100.5, ua.StatusBadOutOfRange}, {"SetPoint", float32(1), ua.StatusBadTypeMismatch},
			{"Text", "hello", good}, {"Text", "no", ua.StatusBadUserAccessDenied}, {"Text", "x\r\nRESET", ua.StatusBadOutOfRange},
			{"Mode", uint16(1), good}, {"Mode", uint16(2), ua.StatusBadOutOfRange}, {"Lamp", true, good}, {"Lamp", false, good},
			{"Clamped", 12.0, ua.StatusGoodClamped},
		} {
			if got := r.write(c.tag, c.value); got != c.want {
				t.Errorf("%s = %v: %v, want %v", c.tag, c.value, got, c.want)
			}
		}
		settle()
		r.want("SetPoint", good, 42) // read back at once
		for _, want := range []string{"SP 42.0\r\n", "M01\r\n", "L ON\r\n", "L OFF\r\n", "C100\r\n", "D \"hello\"\r\n"} {
			if !strings.Contains(r.said(), want) {
				t.Errorf("%q was not sent: %q", want, r.said())
			}
		}
		if strings.Contains(r.said(), "RESET") {
			t.Error("a text became a command")
		}
	})
}

// What must be sent first is sent on each connection, before anything else.
func TestInitAndKeepAlive(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, `<Frame Kind="delimiter" End="\n"/><Init Send="LOGIN\n" Ack="^OK" Timeout="200"/><Init Send="FAST\n"/>
			<KeepAlive Send="PING\n" Period="10000"/>
			<Poll Name="Id" Send="ID\n" Period="0"><Field Name="Id" Type="String"/></Poll>`))
		refused := true
		r.answer = func(line string, conn net.Conn) {
			if line == "ID\n" || line == "LOGIN\n" && !refused {
				reply(conn, "OK 1\n")
			}
		}
		r.run()
		after(500 * time.Millisecond)
		r.want("Id", noComm, nil)
		r.change(func() { refused = false })
		after(10 * time.Second)
		r.want("Id", good, "OK 1")
		heard := r.said
		if h := heard(); strings.Count(h, "FAST") != 1 || strings.Count(h, "ID") != 1 || strings.Count(h, "PING") < 1 ||
			strings.Index(h, "FAST") < strings.Index(h, "LOGIN\nLOGIN") {
			t.Errorf("%q", h)
		}
		r.hangUp()
		after(5 * time.Second)
		if h := heard(); strings.Count(h, "FAST") != 2 || strings.Count(h, "ID") != 2 {
			t.Errorf("%q", h)
		}
	})
}

// A write whose caller gives up before it is sent is never sent.
func TestAbandonedCommand(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, `<Frame Kind="delimiter" End="\n"/><Command Name="Slow" Send="SLOW\n" Ack="OK" Timeout="5000"/>
			<Command Name="Set" Type="Int32" Send="SET {value}\n"/>`))
		r.run()
		settle()
		go func() { r.call("Dev#Slow") }()
		settle()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if s := r.variable("Set").Writer().Write(ctx, uabinary.DataValue{Value: uabinary.Int32Variant(1)}); s != ua.StatusBadTimeout {
			t.Error(s)
		}
		after(10 * time.Second)
		if h := r.said(); strings.Contains(h, "SET") {
			t.Errorf("%q", h)
		}
	})
}
