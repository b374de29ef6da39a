package main

import (
	"context"
	"io"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// What edgeua simulate --write writes is a gateway without devices: serve runs on it as it is, and a client that it calls
// sees the values of the stand-ins, by TCP and over a line.
func TestServe_OnWhatSimulateWrites(t *testing.T) {
	defer goleak.VerifyNone(t)
	reverse := freeAddress(t)
	main := files(t, map[string]string{
		"TcUaServerConfig.xml": mainFile("opc.tcp://gateway.invalid:4840", "<ReverseConnect><Url>opc.tcp://"+reverse+"</Url></ReverseConnect>"),
		"plant.xml": `<EdgeUa><Listeners Enabled="0"/><ReverseConnect><Defaults BackoffMin="100" BackoffMax="200"/></ReverseConnect>
<Channel><Name>Net</Name><Type>ModbusTcp</Type><Host>192.0.2.7</Host></Channel>
<Channel><Name>Line</Name><Type>ModbusRtu</Type><Port>/dev/ttyNone</Port></Channel>
<Device><Name>Meter</Name><Channel>Net</Channel><Unit>7</Unit><Addressing>protocol0</Addressing>
<Signal Tag="Voltage" Kind="constant" Offset="231.5"/><Group Name="G" Period="100"><Tag Name="Voltage" Address="i0" Type="Float32"/></Group></Device>
<Device><Name>Drive</Name><Channel>Line</Channel><Unit>3</Unit><Addressing>modicon5</Addressing><Timeout>5000</Timeout>
<Signal Tag="Speed" Kind="constant" Offset="-1450"/><Group Name="G" Period="100"><Tag Name="Speed" Address="40011" Type="Int16"/></Group></Device>
</EdgeUa>`,
	})
	dir := filepath.Dir(main)
	sim := filepath.Join(dir, "sim.xml")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	told, log, seen := &watched{}, &watched{}, &watched{}
	ended := make(chan int, 3)
	start := func(stdout io.Writer, args ...string) {
		go func() { ended <- run(ctx, args, stdout, log) }()
	}
	start(told, "simulate", "--edge", filepath.Join(dir, "plant.xml"), "--write", sim, "--port", "0")
	told.wait(t, "written "+sim)
	edgeua(t, "check", "--config", main, "--edge", sim).want(t, exitOK, "channel Line: Modbus RTU /dev/pts/")
	start(io.Discard, "serve", "--config", main, "--edge", sim)
	start(seen, "listen", "--addr", "opc.tcp://"+reverse, "--security", "None,None", "--duration", "60s",
		"--subscribe", "ns=2;s=Meter.Voltage", "--subscribe", "ns=2;s=Drive.Speed")
	seen.wait(t, "231.5")
	seen.wait(t, "-1450")
	stop()
	for range 3 {
		if code := <-ended; code != exitOK {
			t.Errorf("ended with %d:\n%s", code, log)
		}
	}
}
