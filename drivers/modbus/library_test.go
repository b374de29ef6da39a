package modbus

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/goburrow/modbus"
	"github.com/gopcua/opcua/ua"
)

// The traps of github.com/goburrow/modbus that docs/drivers-libraries.md lists, sprung against the bare library. When one
// of these tests fails, a trap is gone and its guard may go as well.

// bareTCP is the library's own way to a slave, which answers as scripted.
func bareTCP(t *testing.T, script ...modbussim.Fault) (*modbus.TCPClientHandler, modbus.Client) {
	t.Helper()
	slave := modbussim.NewMap()
	slave.Set(17, modbussim.HoldingRegisters, 0, 7, 2, 8, 9)
	slave.Script(script...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- modbussim.Serve(ctx, l, slave) }()
	h := modbus.NewTCPClientHandler(l.Addr().String())
	h.SlaveId, h.Timeout = 17, 5*time.Second
	t.Cleanup(func() {
		cancel() // before Close, which waits for a request that waits for ever
		if err := <-served; err != nil {
			t.Error(err)
		}
		_ = h.Close() // it may have closed itself
	})
	return h, modbus.NewClient(h)
}

// G-01
func TestBareLibrary_NeverRecoversFromOneLateReply(t *testing.T) {
	h, c := bareTCP(t, modbussim.Delay(300*time.Millisecond))
	h.Timeout = 100 * time.Millisecond
	if _, err := c.ReadHoldingRegisters(0, 1); err == nil {
		t.Fatal("a reply before its time")
	}
	h.Timeout = 5 * time.Second
	for range 3 {
		if _, err := c.ReadHoldingRegisters(0, 1); err == nil || !strings.Contains(err.Error(), "transaction id") {
			t.Fatalf("the trap is gone: %v", err)
		}
	}
}

// G-02
func TestBareLibrary_KeepsAConnectionThatThePeerHasClosed(t *testing.T) {
	_, c := bareTCP(t, modbussim.CloseAfter)
	if _, err := c.ReadHoldingRegisters(0, 1); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := c.ReadHoldingRegisters(0, 1); err == nil {
			t.Fatal("the trap is gone: it connects again")
		}
	}
}

// G-07
func TestBareLibrary_TakesFewerRegistersThanItAskedFor(t *testing.T) {
	_, c := bareTCP(t, modbussim.WrongCount)
	if data, err := c.ReadHoldingRegisters(0, 2); err != nil || len(data) != 2 {
		t.Errorf("the trap is gone: %x, %v", data, err)
	}
}

// G-08
func TestBareLibrary_MakesAnExceptionOfAnotherFunction(t *testing.T) {
	_, c := bareTCP(t, func(x *modbussim.Exchange) { x.PDU[0] = 4 })
	var invented *modbus.ModbusError
	if _, err := c.ReadHoldingRegisters(0, 2); !errors.As(err, &invented) || invented.ExceptionCode != 4 {
		t.Errorf("the trap is gone: %v", err)
	}
}

// G-09
func TestBareLibrary_PanicsOnShortFrames(t *testing.T) {
	panics := func(f func()) (yes bool) {
		defer func() { yes = recover() != nil }()
		f()
		return false
	}
	if !panics(func() { _, _ = modbus.NewTCPClientHandler("").Decode([]byte{0, 1, 0, 0}) }) {
		t.Error("the trap is gone on TCP")
	}
	if !panics(func() { _, _ = modbus.NewRTUClientHandler("").Decode([]byte{17}) }) {
		t.Error("the trap is gone on RTU")
	}
}

// G-10
func TestBareLibrary_RefusesEveryQueue(t *testing.T) {
	_, c := bareTCP(t)
	if data, err := c.ReadFIFOQueue(1); err == nil {
		t.Errorf("the trap is gone: %x", data)
	}
}

// G-11
func TestBareLibrary_WaitsForEverWithoutATimeout(t *testing.T) {
	done := make(chan error, 1)
	ended := false
	t.Cleanup(func() { // after the peer has closed, which alone ends it
		if !ended {
			<-done
		}
	})
	h, c := bareTCP(t, modbussim.Drop)
	h.Timeout = 0
	go func() {
		_, err := c.ReadHoldingRegisters(0, 1)
		done <- err
	}()
	select {
	case err := <-done:
		ended = true
		t.Errorf("the trap is gone: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
}

// G-12
func TestBareLibrary_WaitsForTheAnswerToABroadcast(t *testing.T) {
	h, c := bareTCP(t, modbussim.Drop)
	h.SlaveId, h.Timeout = 0, 50*time.Millisecond
	if _, err := c.WriteSingleRegister(0, 1); err == nil {
		t.Error("the trap is gone")
	}
}

// G-14: what our bus does about it is in TestTransactionIDsAreThoseOfTheBus.
func TestBareLibrary_CountsTransactionsForEachUnit(t *testing.T) {
	pdu := &modbus.ProtocolDataUnit{FunctionCode: 3, Data: []byte{0, 0, 0, 1}}
	one, err1 := modbus.NewTCPClientHandler("").Encode(pdu)
	two, err2 := modbus.NewTCPClientHandler("").Encode(pdu)
	if err := errors.Join(err1, err2); err != nil || one[0] != two[0] || one[1] != two[1] {
		t.Errorf("the trap is gone: % x, % x, %v", one[:2], two[:2], err)
	}
}

func TestTransactionIDsAreThoseOfTheBus(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(t, tcpChannel+dev("", everySecond, oneTag)+strings.NewReplacer(`"Dev"`, `"Other"`, `"17"`, `"18"`).Replace(dev("", everySecond, oneTag)))
		r.slave.Set(17, modbussim.HoldingRegisters, 0, 7)
		r.slave.Set(18, modbussim.HoldingRegisters, 0, 7)
		seen := map[string]byte{}
		r.driver.bus.trace = func(direction string, b []byte) {
			if direction != "sent" {
				return
			}
			if unit, twice := seen[string(b[:2])]; twice {
				t.Errorf("transaction % x of unit %d and of unit %d", b[:2], unit, b[6])
			}
			seen[string(b[:2])] = b[6]
		}
		r.driver.traceEnd = time.Hour
		r.run()
		after(5500 * time.Millisecond)
		r.stop()
		if len(seen) != 12 {
			t.Errorf("%d requests", len(seen))
		}
	})
}

// G-03, G-13, G-17: of the library only what makes and reads frames is used. Its transporters, and through them
// goburrow/serial, are never given an address, nor shared between units.
func TestLibraryTransportersAreNotUsed(t *testing.T) {
	allowed := regexp.MustCompile(`^(Packager|ProtocolDataUnit|Client|ClientHandler|NewClient2|ModbusError|FuncCode\w+|ExceptionCode\w+|New(TCP|RTU|ASCII)ClientHandler)$`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	uses := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.SelectorExpr:
				if pkg, ok := x.X.(*ast.Ident); ok && pkg.Name == "modbus" {
					if uses++; !allowed.MatchString(x.Sel.Name) {
						t.Errorf("%s uses modbus.%s", name, x.Sel.Name)
					}
				}
			case *ast.CallExpr:
				f, ok := x.Fun.(*ast.SelectorExpr)
				if ok && strings.HasSuffix(f.Sel.Name, "ClientHandler") {
					if arg, ok := x.Args[0].(*ast.BasicLit); !ok || arg.Value != `""` {
						t.Errorf("%s gives %s an address", name, f.Sel.Name)
					}
				}
			}
			return true
		})
	}
	if uses < 20 {
		t.Errorf("only %d uses found", uses)
	}
}

// G-19
func TestLibrariesArePinned(t *testing.T) {
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"github.com/goburrow/modbus v0.1.0", "github.com/goburrow/serial v0.1.0", "github.com/tarm/serial v0.0.0-20180830185346-98f6abe2eb07", "golang.org/x/sys v",
	} {
		if !strings.Contains(string(text), "\t"+line) {
			t.Errorf("go.mod does not have %s", line)
		}
	}
	if strings.Contains(string(text), "replace") {
		t.Error("go.mod replaces something")
	}
	if _, err := os.Stat("../../vendor"); err == nil {
		t.Error("there is a vendor folder")
	}
}

// docs/drivers-libraries.md names a test for every row; each of them exists.
func TestGuardsAgainstTheLibrariesExist(t *testing.T) {
	page, err := os.ReadFile("../../docs/drivers-libraries.md")
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	for _, folder := range []string{".", "..", "../serial", "../../config", "../../test/interop", "../../cmd/edgeua"} {
		files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(text)
		}
	}
	rows := regexp.MustCompile(`(?m)^\| ([GT]-\d\d) .*$`).FindAllStringSubmatch(string(page), -1)
	var ids []string
	for _, row := range rows {
		ids = append(ids, row[1])
		names := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(row[0], -1)
		if len(names) == 0 {
			t.Errorf("%s names no test", row[1])
		}
		for _, name := range names {
			if !strings.Contains(sources.String(), "func "+name[1]+"(") {
				t.Errorf("%s names %s, which does not exist", row[1], name[1])
			}
		}
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != 19+16 {
		t.Errorf("%d rows: %v", len(ids), ids)
	}
}

// The same replies that mislead the bare library, met by the driver: G-07 and G-08 in one place.
func TestDriverIsNotMisled(t *testing.T) {
	for name, fault := range map[string]modbussim.Fault{
		"fewer registers": modbussim.WrongCount, "another function": func(x *modbussim.Exchange) { x.PDU[0] = 4 },
	} {
		inBubble(t, func(t *testing.T) {
			r := newRig(t, tcpChannel+dev(`Retries="0" HoldPolls="0"`, everySecond, `<Tag Name="T" Address="h0" Type="UInt32"/>`))
			r.slave.Set(17, modbussim.HoldingRegisters, 0, 7, 2)
			r.slave.Script(fault)
			r.run()
			after(100 * time.Millisecond)
			if dv := r.variable("T").Value(); dv.Status != ua.StatusBadCommunicationError || dv.Value != (uabinary.Variant{}) {
				t.Errorf("%s: %v", name, dv)
			}
		})
	}
}
