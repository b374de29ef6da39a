package commissioning

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/drivers/serial"
	"github.com/edgeua/edgeua/drivers/taglist"
	"github.com/edgeua/edgeua/internal/modbussim"
	"github.com/edgeua/edgeua/internal/xmltree"
	library "github.com/goburrow/modbus"
)

// slave serves a map and returns a master for it.
func slave(t *testing.T, m *modbussim.Map) *modbus.Master {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- modbussim.Serve(ctx, l, m) }()
	target := Target{Place: l.Addr().String()}
	master, err := target.Open()
	if err != nil {
		t.Fatal(err)
	}
	master.Timeout = 10 * time.Second
	t.Cleanup(func() {
		master.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return master
}

func registers() *modbussim.Map {
	m := modbussim.NewMap()
	m.Set(17, modbussim.InputRegisters, 0, 0x8000, 0x4367, 0x0000, 0x4088) // 231.5 and 4.25, CDAB
	m.Set(17, modbussim.HoldingRegisters, 20, 40)
	m.Set(17, modbussim.HoldingRegisters, 100, 0x454D, 0x3234, 0x2D30, 0x3831, 0x3500) // EM24-0815
	m.Set(17, modbussim.Coils, 3, 1, 0)
	return m
}

func scan(units ...byte) Scan {
	areas, _ := ParseAreas("cdhi")
	return Scan{Units: units, Areas: areas, From: 0, To: 199, Timeout: 10 * time.Second}
}

func summary(f *Found) string {
	var b strings.Builder
	for _, u := range f.Units {
		fmt.Fprintf(&b, "%d[%s]:", u.ID, u.Note)
		for _, a := range u.Areas {
			fmt.Fprintf(&b, " %s;", a.Text())
		}
	}
	return b.String() + " " + f.Note
}

func TestScan(t *testing.T) {
	var steps []int
	s := scan(16, 17, 18)
	s.Progress = func(done, total int, _ string) {
		if done > total {
			t.Errorf("%d of %d", done, total)
		}
		steps = append(steps, done*100/total)
	}
	found, err := s.Run(t.Context(), slave(t, registers()))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := summary(found), "17[]: c3 to c4; none; h20, h100 to h104; i0 to i3; "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if steps[len(steps)-1] != 100 || found.Asked != 3 || found.Requests != len(steps)+1 && found.Requests < 100 {
		t.Error(steps[len(steps)-1], found.Asked, found.Requests)
	}
	var tags []string
	for _, p := range found.Units[0].Propose() {
		tags = append(tags, p.Name+" "+p.Kind()+" "+p.Value)
	}
	want := `[c3 Bool true c4 Bool false h20 UInt16 40 h100 String (5 registers) "EM24-0815" i0 Float32 CDAB 231.5 i2 Float32 CDAB 4.25]`
	if got := fmt.Sprint(tags); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// A device that takes only short requests, one that does not know a function, one that looks at no unit, one that falls
// silent, and a scan that ends early.
func TestScan_Devices(t *testing.T) {
	t.Run("short requests", func(t *testing.T) {
		m := registers()
		m.Set(17, modbussim.HoldingRegisters, 0, make([]uint16, 1000)...)
		asked := 0
		m.Refuse = func(_ byte, pdu []byte) byte {
			asked++
			if pdu[0] == 3 && pdu[4] > 20 {
				return modbussim.IllegalValue
			}
			if pdu[0] == 2 {
				return modbussim.IllegalFunction
			}
			return 0
		}
		s := scan(17)
		s.Areas, s.To = s.Areas[1:3], 999
		found, err := s.Run(t.Context(), slave(t, m))
		if err != nil || summary(found) != "17[]: not known to the device; h0 to h999; " {
			t.Error(summary(found), err)
		}
		if asked > 90 {
			t.Errorf("%d requests: the length that was accepted has not been learned", asked)
		}
	})
	t.Run("no unit", func(t *testing.T) {
		m := modbussim.NewMap()
		for id := range byte(30) {
			m.Set(id, modbussim.HoldingRegisters, 0, 1)
		}
		s := scan(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
		s.To = 1
		found, err := s.Run(t.Context(), slave(t, m))
		if err != nil || len(found.Units) != 1 || !strings.Contains(found.Units[0].Note, "units 1 to 8 all answer") || found.Asked != 8 {
			t.Error(summary(found), err)
		}
	})
	t.Run("silence", func(t *testing.T) {
		m := registers()
		m.Set(18, modbussim.Coils, 0, 1)
		m.Mute(18, true)
		s := scan(18)
		s.Timeout = 20 * time.Millisecond
		found, err := s.Run(t.Context(), slave(t, m))
		if err != nil || len(found.Units) != 0 || found.Asked != 1 {
			t.Error(summary(found), err)
		}
		s = scan(17)
		master := slave(t, m)
		s.Progress = func(_, _ int, doing string) {
			if doing == "unit 17, holding register 199" {
				m.Mute(17, true)
				master.Timeout = 20 * time.Millisecond
			}
		}
		found, err = s.Run(t.Context(), master)
		if err != nil || summary(found) != "17[]: c3 to c4; none; h20, h100 to h104; ended at i0: no reply in time; " {
			t.Error(summary(found), err)
		}
	})
	t.Run("enough", func(t *testing.T) {
		s := scan(17)
		s.MaxRequests = 5
		found, err := s.Run(t.Context(), slave(t, registers()))
		if err != nil || found.Note != "ended after 5 requests (--max-requests)" || found.Requests != 5 {
			t.Error(found.Requests, summary(found), err)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := scan(17, 18, 19)
		s.Progress = func(done, total int, doing string) {
			if strings.HasPrefix(doing, "unit 17, input") {
				cancel()
			}
		}
		found, err := s.Run(ctx, slave(t, registers()))
		if err != nil || found.Note != "interrupted" || !strings.HasPrefix(summary(found), "17[]: c3 to c4; none; h20, h100 to h104;") {
			t.Error(summary(found), err)
		}
	})
	t.Run("gone", func(t *testing.T) {
		m := registers()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			conn, err := l.Accept()
			if err == nil {
				_ = l.Close() // there is no second connection
				modbussim.ServeConn(context.Background(), conn, m)
			}
		}()
		master, err := (&Target{Place: l.Addr().String()}).Open()
		if err != nil {
			t.Fatal(err)
		}
		defer master.Close()
		m.Script(nil, nil, nil, modbussim.Close)
		found, err := scan(17).Run(t.Context(), master)
		if err != nil || !strings.HasPrefix(found.Note, "the connection cannot be made any more") {
			t.Error(summary(found), err)
		}
		<-served
	})
}

func TestLook(t *testing.T) {
	m := registers()
	master := slave(t, m)
	look := func(item Item, all bool) (string, error) {
		area, first, span, err := item.Place()
		if err != nil {
			return "", err
		}
		v, err := Look(t.Context(), master, 17, area, first, span)
		if err != nil {
			return "", err
		}
		rows := v.Registers()
		if !v.Bits() {
			rows = append(rows, v.Values(item, all)...)
		}
		return fmt.Sprint(rows), nil
	}
	for _, c := range []struct {
		item Item
		all  bool
		want string
	}{
		{Item{Address: "i0"}, false, `[[address hex UInt16 Int16 text] [i0 8000 32768 -32768 ..] [i1 4367 17255 17255 Cg] [(i2) 0000 0 0 ..] ` +
			`[read as order from i0 from i1] [Float32 ABCD -2.417941e-41 231] [Float32 CDAB 231.5 2.417941e-41] [Int32 ABCD -2147466393 1130823680] ` +
			`[Int32 CDAB 1130856448 17255] [UInt32 ABCD 2147500903 1130823680] [UInt32 CDAB 1130856448 17255]]`},
		{Item{Address: "h20", Type: "Int16"}, false, `[[address hex UInt16 Int16 text] [(h19) exception 2, illegal data address] [h20 0028 40 40 .(] ` +
			`[(h21) exception 2, illegal data address] [read as order from h19 from h20 from h21] [Int16 ABCD - 40 -]]`},
		{Item{Address: "i3", Type: "Float32", Order: "CDAB"}, false, `[[address hex UInt16 Int16 text] [(i2) 0000 0 0 ..] [i3 4088 16520 16520 @.] ` +
			`[i4 exception 2, illegal data address] [(i5) exception 2, illegal data address] [read as order from i2 from i3 from i4] [Float32 CDAB 4.25 - -]]`},
		{Item{Address: "40101", Addressing: "modicon5", Type: "String", Length: 5, Order: "ABCD"}, false, `"EM24-0815"`},
		{Item{Address: "i0", Type: "Float32"}, true, `[Float32 BADC `},
		{Item{Address: "c3"}, false, `[[address value] [(c2) exception 2, illegal data address] [c3 1] [(c4) 0]]`},
	} {
		got, err := look(c.item, c.all)
		if err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%+v %v\n got %s\nwant %s", c.item, err, got, c.want)
		}
	}
	for item, want := range map[Item]string{
		{Address: "h50"}:                    "exception '2'",
		{Address: "40101"}:                  "write h40101 for the holding register",
		{Address: "x1"}:                     "must begin with c",
		{Address: "h1", Type: "Float"}:      "is not one of",
		{Address: "h1", Addressing: "five"}: `notation "five" is unknown`,
	} {
		if got, err := look(item, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %s %v, want %s", item, got, err, want)
		}
	}
}

func TestPut(t *testing.T) {
	m := registers()
	master := slave(t, m)
	m.Set(17, modbussim.HoldingRegisters, 30, make([]uint16, 10)...)
	m.Signal(17, modbussim.HoldingRegisters, 40, 1, modbussim.AsInt(modbussim.Count(time.Hour)))
	put := func(item Item, value string) (*Written, error) {
		tag, wire, err := Prepare(item, value)
		if err != nil {
			return nil, err
		}
		return Put(t.Context(), master, 17, tag, wire)
	}
	for _, c := range []struct {
		item  Item
		value string
		want  string // before, after
	}{
		{Item{Address: "h20", Type: "Int16"}, "-7", "40 -7"},
		{Item{Address: "h20.15"}, "off", "true false"},
		{Item{Address: "c3"}, "0", "true false"},
		{Item{Address: "c3[2]"}, "on,on", "[false false] [true true]"},
		{Item{Address: "h30", Type: "Float32", Order: "CDAB"}, "21.5", "0 21.5"},
		{Item{Address: "h30[2]", Type: "UInt16"}, "0x10, 2", "[0 16812] [16 2]"},
		{Item{Address: "h30", Type: "String", Length: 3}, "abc", `"" "abc"`},
		{Item{Address: "h30", Type: "Bytes", Length: 2}, "01 af 00 02", "61 62 63 00 01 AF 00 02"},
		{Item{Address: "h30", Type: "UnixTime32"}, "2026-01-31T12:00:00Z", "1970-11-23T22:06:58.000Z 2026-01-31T12:00:00.000Z"},
		{Item{Address: "h30", Type: "Float64"}, "1e10", " 10000000000"},
		{Item{Address: "h32L", Type: "UInt8"}, "255", " 255"},
		{Item{Address: "h30", Type: "Int64"}, "-5", " -5"},
		{Item{Address: "h30", Type: "UInt32"}, "4000000000", " 4000000000"},
	} {
		w, err := put(c.item, c.value)
		if err != nil {
			t.Errorf("%+v: %v", c.item, err)
			continue
		}
		if got := w.Before + " " + w.After; !w.Kept() || !strings.HasSuffix(got, c.want) {
			t.Errorf("%+v: %s, want %s", c.item, got, c.want)
		}
	}
	if w, err := put(Item{Address: "h40", Type: "UInt16"}, "9"); err != nil || w.Kept() || w.After != "0" {
		t.Errorf("a device that keeps another value: %+v %v", w, err)
	}
	if w, err := put(Item{Address: "h50", Type: "UInt16"}, "9"); err == nil || w.Before != "-" {
		t.Errorf("a register that is not there: %+v %v", w, err)
	}
	for value, item := range map[string]Item{
		"70000": {Address: "h20", Type: "UInt16"}, "one": {Address: "h20", Type: "UInt16"}, "1,2,3": {Address: "h20[2]", Type: "UInt16"},
		"1": {Address: "i0", Type: "UInt16"}, "xyz": {Address: "h30", Type: "Bytes", Length: 2}, "perhaps": {Address: "c3"},
		"too long a text": {Address: "h30", Type: "String", Length: 2}, "today": {Address: "h30", Type: "UnixTime32"}, "NaN": {Address: "h30", Type: "Float32"},
		"12": {Address: "h20"},
	} {
		if _, err := put(item, value); err == nil {
			t.Errorf("%+v took %s", item, value)
		}
	}
}

func TestIdentify(t *testing.T) {
	m := registers()
	m.Identity = []string{"Maker", "P1", "2.0"}
	facts, err := Identify(t.Context(), slave(t, m), 17)
	text := fmt.Sprint(facts)
	if err != nil || !strings.HasPrefix(text, "[{VendorName Maker} {ProductCode P1} {MajorMinorRevision 2.0} {server id (17) 01 FF 73 69 6D  ..sim} "+
		"{exception status (7) 01101101} {event counter (11) ") || !strings.HasSuffix(text, "{echo (8/0) comes back as it was sent}]") {
		t.Error(text, err)
	}
	m = registers()
	m.Refuse = func(_ byte, pdu []byte) byte { return map[byte]byte{43: 1, 17: 1, 7: 2, 8: 1}[pdu[0]] }
	facts, err = Identify(t.Context(), slave(t, m), 17)
	if text := fmt.Sprint(facts); err != nil || !strings.Contains(text, "{identification (43/14) not known to the device} {server id (17) not known to the device} "+
		"{exception status (7) exception 2, illegal data address}") {
		t.Error(text, err)
	}
	m.Script(nil, modbussim.Drop, modbussim.Drop)
	master := slave(t, m)
	master.Timeout = 300 * time.Millisecond
	facts, err = Identify(t.Context(), master, 17)
	if text := fmt.Sprint(facts); err != nil || !strings.Contains(text, "{identification (43/14) no reply in time} {server id (17) not known") {
		t.Error(text, err)
	}
	if _, err := Identify(t.Context(), slave(t, m), 18); err == nil {
		t.Error("a unit that is not there")
	}
}

func TestExplain(t *testing.T) {
	host, err := (&Target{Place: "192.0.2.7"}).Open()
	if err != nil {
		t.Fatal(err)
	}
	line, err := (&Target{Place: "/dev/ttyNone", Baud: 9600, Parity: "n"}).Open()
	if err != nil {
		t.Fatal(err)
	}
	fault := func(f drivers.Fault, err error) error { return &drivers.Error{Fault: f, Err: err} }
	for _, c := range []struct {
		m    *modbus.Master
		err  error
		want string
	}{
		{host, &library.ModbusError{FunctionCode: 0x83, ExceptionCode: 2}, "unit 5 refuses: exception 2, illegal data address; it does not have this address: try one lower"},
		{host, &library.ModbusError{ExceptionCode: 11}, "the device behind it is silent"},
		{host, &library.ModbusError{ExceptionCode: 99}, "exception 99, not in the standard; see the manual"},
		{host, fault(drivers.NoReply, errors.New("no reply")), "Modbus TCP 192.0.2.7:502: unit 5 does not answer; it is reached, so try another unit"},
		{line, fault(drivers.NoReply, errors.New("no reply")), "Modbus RTU /dev/ttyNone 9600 8N1: unit 5 does not answer; unit address, rate and parity"},
		{line, fault(drivers.BadReply, errors.New("bytes came")), "bytes came; rate or parity are wrong"},
		{host, fault(drivers.BadReply, errors.New("protocol id 7")), "protocol id 7; is it Modbus TCP at all?"},
		{host, fault(drivers.LinkLost, io.EOF), "is another master using the only connection?"},
		{host, fault(drivers.NoCommunication, context.DeadlineExceeded), "nobody is at that address"},
		{host, fault(drivers.NoCommunication, &net.DNSError{}), "the name is not known"},
		{line, fault(drivers.NoCommunication, os.ErrNotExist), "look for the port in /dev/serial/by-id"},
	} {
		if got := Explain(c.m, 5, c.err).Error(); !strings.Contains(got, c.want) {
			t.Errorf("%v\n got %s\nwant %s", c.err, got, c.want)
		}
	}
	if err := line.Connect(t.Context()); err == nil || !strings.Contains(Explain(line, 5, err).Error(), "look for the port") {
		t.Error(err)
	}
	if Explain(host, 5, context.Canceled) != context.Canceled || Explain(host, 5, nil) != nil {
		t.Error("an interruption needs no explanation")
	}
	for want, n := range map[string]serial.Counters{"the rate is wrong": {Frame: 3, Parity: 2}, "only the parity": {Parity: 2}, "breaks": {Break: 1}, "": {}} {
		if got := countHint(n); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%+v: %s", n, got)
		}
	}
	for code := range byte(13) {
		if exceptionRemedy(code) == "" {
			t.Error(code)
		}
	}
}

// A port on which nobody listens is told from everything else.
func TestExplain_Refused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	m, err := (&Target{Place: l.Addr().String()}).Open()
	if err != nil {
		t.Fatal(err)
	}
	_, err = scan(1).Run(t.Context(), m)
	if text := Explain(m, 1, err).Error(); !strings.Contains(text, "nothing listens on that port") {
		t.Error(text)
	}
}

func TestTarget(t *testing.T) {
	for _, c := range []struct {
		target Target
		want   string // where, or what is wrong
	}{
		{Target{Place: "192.0.2.7"}, "Modbus TCP 192.0.2.7:502"},
		{Target{Place: "192.0.2.7:1502", Framing: "rtu"}, "Modbus RTU over TCP 192.0.2.7:1502"},
		{Target{Place: "2001:db8::7"}, "Modbus TCP [2001:db8::7]:502"},
		{Target{Place: "[2001:db8::7]:1502"}, "Modbus TCP [2001:db8::7]:1502"},
		{Target{Place: "example.com:20", UDP: true}, "Modbus UDP example.com:20"},
		{Target{Place: "example.com", Framing: "ascii"}, "Modbus ASCII over TCP example.com:502"},
		{Target{Place: "/dev/ttyUSB0"}, "Modbus RTU /dev/ttyUSB0 19200 8E1"},
		{Target{Place: "/dev/ttyUSB0", Framing: "ascii", Baud: 9600, Parity: "o", StopBits: 2}, "Modbus ASCII /dev/ttyUSB0 9600 7O2"},
		{Target{Place: "usb:0403:6001"}, "Modbus RTU usb:0403:6001 19200 8E1"},
		{Target{Place: "/dev/ttyUSB0", Framing: "tcp"}, "is a serial port"},
		{Target{Place: "/dev/ttyUSB0", DataBits: 7}, "cannot carry the bytes of Modbus RTU"},
		{Target{Place: "/dev/ttyUSB0", Parity: "x"}, "is not one of N, E, O"},
		{Target{Place: "192.0.2.7", Baud: 9600}, "is a host; rate, parity"},
		{Target{Place: "192.0.2.7", Framing: "rtu", UDP: true}, "over UDP there is only"},
		{Target{Place: "192.0.2.7", Framing: "token"}, "is no kind of Modbus"},
		{Target{Place: "192.0.2.7:x"}, `"x" is not a whole number`},
		{Target{Place: ""}, "neither a host"},
		{Target{Place: "usb:1"}, "usb:1"},
	} {
		m, err := c.target.Open()
		got := fmt.Sprint(err)
		if err == nil {
			got = m.Where()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%+v: %s, want %s", c.target, got, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	if got, err := ParseUnits("1-3, 17,2,255"); err != nil || fmt.Sprint(got) != "[1 2 3 17 255]" {
		t.Error(got, err)
	}
	for _, bad := range []string{"", "256", "3-1", "a", "1-", "-1"} {
		if _, err := ParseUnits(bad); err == nil {
			t.Errorf("units %q", bad)
		}
	}
	if _, err := ParseAreas("hx"); err == nil {
		t.Error("area x")
	}
	if from, to, err := ParseRange("0x10-0x1F", 65535); err != nil || from != 16 || to != 31 {
		t.Error(from, to, err)
	}
}

// What is proposed is read back by the readers of the gateway, without a warning.
func TestProposals_RoundTrip(t *testing.T) {
	target := Target{Place: "192.0.2.7"}
	found, err := scan(17).Run(t.Context(), slave(t, registers()))
	if err != nil {
		t.Fatal(err)
	}
	channel, err := target.Channel()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteXML(&b, channel, found.Units); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "edgeua.xml")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	channels, report := config.LoadChannels(file, modbus.Kinds())
	if len(report.Problems) > 0 || len(channels) != 1 || len(channels[0].Devices()[0].Tags) != 6 {
		t.Error(b.String(), report.Problems)
	}
	b.Reset()
	if err := WriteCSV(&b, found.Units[0].Propose()); err != nil {
		t.Fatal(err)
	}
	r := &xmltree.Report{}
	if groups := taglist.Parse(r, "x.csv", b.Bytes()); len(r.Problems) > 0 || len(groups) != 1 || len(groups[0].Children) != 6 {
		t.Error(b.String(), r.Problems)
	}
}

// Whatever a device says about itself can be shown.
func FuzzFacts(f *testing.F) {
	f.Add([]byte{17, 2, 1, 255})
	f.Add([]byte{7, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		if len(b) < 2 { // the driver passes on no less
			return
		}
		_, _, _ = serverID(b), exceptionStatus(b), events(b)
	})
}
