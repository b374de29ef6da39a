package instrument

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/edgeua/edgeua/drivers/driverstest"
	"github.com/gopcua/opcua/ua"
)

// A line that gives back what is sent: with nobody there a command must not succeed.
func TestEcho(t *testing.T) {
	for mode, want := range map[string]string{"auto": "[BadTimeout Good Good]", "on": "[BadTimeout Good Good]", "off": "[Good Good Good]"} {
		inBubble(t, func(t *testing.T) {
			text := fmt.Sprintf(tcpChannel, mode) + `<Device Name="Dev" Channel="Line1"><Frame Kind="delimiter" End="\r"/>
				<Poll Name="A" Send="A\r" Period="60000" Timeout="300" Retries="0"><Field Name="A" Type="String"/></Poll>
				<Command Name="Tare" Send="T\r" Ack="^T" Timeout="300"/><Command Name="Set" Type="Int32" Send="S{value}\r" Ack="^OK" Timeout="300"/></Device>`
			r := newRig(t, text)
			r.end = '\r'
			there := false
			r.answer = func(line string, conn net.Conn) {
				reply(conn, line)
				if there {
					reply(conn, map[byte]string{'A': "value\r", 'T': "T S\r", 'S': "OK\r"}[line[0]])
				}
			}
			r.run()
			after(time.Second)
			got := []ua.StatusCode{r.call("Dev#Tare")}
			r.change(func() { there = true })
			after(10 * time.Second)
			got = append(got, r.call("Dev#Tare"), r.write("Set", int32(5)))
			var names []string
			for _, s := range got {
				if s == good {
					names = append(names, "Good")
				} else {
					names = append(names, driverstest.StatusName(s))
				}
			}
			if fmt.Sprint(names) != want {
				t.Errorf("%s: %v, want %s", mode, names, want)
			}
			if mode != "off" {
				after(time.Minute)
				r.want("A", good, "value")
			}
		})
	}
}

// An echo behind noise is no reply either.
func TestEchoBehindNoise(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, dev(``, `<Frame Kind="startend" Start="[" End="]\n"/><Command Name="Tare" Send="[T]\n" Ack="^T" Timeout="300"/>`))
		r.answer = func(line string, conn net.Conn) { reply(conn, "\xFF"+line) }
		r.run()
		settle()
		if s := r.call("Dev#Tare"); s != ua.StatusBadTimeout {
			t.Error(s)
		}
	})
}

// On a line that must echo, an echo that is changed or missing is an error: a collision, or a cut wire.
func TestEchoMustCome(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, fmt.Sprintf(tcpChannel, "on")+`<Device Name="Dev" Channel="Line1"><Frame Kind="delimiter" End="\r"/>
			<Command Name="Tare" Send="TARE\r" Ack="^OK" Timeout="300"/><Command Name="Zero" Send="ZERO\r"/></Device>`)
		r.end = '\r'
		echo := "TXRE\rOK\r"
		r.answer = func(_ string, conn net.Conn) { reply(conn, echo) }
		r.run()
		settle()
		for _, e := range []string{"TXRE\rOK\r", "TA", ""} {
			r.change(func() { echo = e })
			if s := r.call("Dev#Tare"); s != ua.StatusBadCommunicationError {
				t.Errorf("%q: %v", e, s)
			}
		}
		r.change(func() { echo = "ZERO\r" })
		if s := r.call("Dev#Zero"); s != good {
			t.Error(s)
		}
		r.counted(echoes, 3)
	})
}
