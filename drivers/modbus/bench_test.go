package modbus

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// fullBlock is a bound driver with one block of 125 registers in 50 tags of several types.
func fullBlock(tb testing.TB) (*driver, *block) {
	tb.Helper()
	var tags strings.Builder
	for i := range 25 {
		fmt.Fprintf(&tags, `<Tag Name="A%d" Address="h%d" Type="Int16" Scale="0.1" Offset="-50"/>`, i, 5*i)
		fmt.Fprintf(&tags, `<Tag Name="B%d" Address="h%d" Type="Float64" ByteOrder="CDAB"/>`, i, 5*i+1)
	}
	c := parseGood(tb, TCP(), tcpChannel+dev("", everySecond, tags.String()))
	space := addressspace.New("urn:test")
	vars, err := drivers.AddToSpace(space, space.AddNamespace("urn:test:devices"), c.Devices())
	if err != nil {
		tb.Fatal(err)
	}
	d := newDriver(c, c.socketWiring(nil), slog.New(slog.DiscardHandler))
	d.Bind(vars)
	if len(d.blocks) != 1 || d.blocks[0].count != 125 {
		tb.Fatal(show([]extent{d.blocks[0].extent}))
	}
	return d, d.blocks[0]
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	_, b := fullBlock(t)
	data, values := make([]byte, 250), make([]uabinary.DataValue, len(b.points))
	if n := testing.AllocsPerRun(100, func() { b.decode(data, 1, values) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecode125Registers(b *testing.B) {
	_, block := fullBlock(b)
	data, values := make([]byte, 250), make([]uabinary.DataValue, len(block.points))
	b.ReportAllocs()
	for b.Loop() {
		block.decode(data, 1, values)
	}
}

// BenchmarkPublish125Registers includes what the address space gets: one slab of values for the block.
func BenchmarkPublish125Registers(b *testing.B) {
	d, block := fullBlock(b)
	data := make([]byte, 250)
	d.bus.arrived = time.Now()
	b.ReportAllocs()
	for b.Loop() {
		d.publish(block, data)
	}
}

// loopback is a driver connected to a slave over TCP.
func loopback(tb testing.TB) (*driver, *block) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	slave := modbussim.NewMap()
	slave.Set(17, modbussim.HoldingRegisters, 0, make([]uint16, 125)...)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- modbussim.Serve(ctx, l, slave) }()
	d, b := fullBlock(tb)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	d.bus.attach(drivers.NewNetLink(conn, linkWriteTimeout))
	tb.Cleanup(func() {
		d.bus.drop(nil)
		cancel()
		if err := <-served; err != nil {
			tb.Error(err)
		}
	})
	return d, b
}

// The allocations of the slave, which are none, and of the reader are counted too.
func TestTransactionAllocatesLittle(t *testing.T) {
	d, b := loopback(t)
	result := testing.Benchmark(func(bench *testing.B) {
		bench.ReportAllocs()
		for bench.Loop() {
			if _, err := d.read(context.Background(), b); err != nil {
				bench.Fatal(err)
			}
		}
	})
	if n := result.AllocedBytesPerOp(); n > 1024 || n == 0 {
		t.Errorf("%d bytes allocated by a transaction of 125 registers, want at most 1 KiB", n)
	}
}

func BenchmarkTransactionTCP(b *testing.B) {
	d, block := loopback(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.read(context.Background(), block); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoopbackEcho is the wire below: the same bytes both ways without Modbus.
func BenchmarkLoopbackEcho(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in, out := make([]byte, 12), make([]byte, 259)
		for {
			if _, err := conn.Read(in); err != nil {
				return
			}
			if _, err := conn.Write(out); err != nil {
				return
			}
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	out, in := make([]byte, 12), make([]byte, 259)
	for b.Loop() {
		if _, err := conn.Write(out); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(in); err != nil {
			b.Fatal(err)
		}
	}
}
