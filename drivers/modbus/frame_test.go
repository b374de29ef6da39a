package modbus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/goburrow/modbus"
)

// asked takes a request apart as the bus does.
func asked(w codec, adu []byte) *query {
	q := w.unpack(nil, adu)
	return &q
}

// request builds the ADU of a request as the library does.
func request(t testing.TB, w codec, unit byte, pdu []byte) []byte {
	t.Helper()
	adu, err := w.packager(unit).Encode(&modbus.ProtocolDataUnit{FunctionCode: pdu[0], Data: pdu[1:]})
	if err != nil {
		t.Fatal(err)
	}
	return adu
}

func mbap(id uint16, unit byte, pdu ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	b = append(b, 0, 0, byte((len(pdu)+1)>>8), byte(len(pdu)+1), unit)
	return append(b, pdu...)
}

func rtu(unit byte, pdu ...byte) []byte {
	b := append([]byte{unit}, pdu...)
	return binary.LittleEndian.AppendUint16(b, rtuCRC(b))
}

func ascii(unit byte, pdu ...byte) []byte {
	b := append([]byte{unit}, pdu...)
	b = append(b, -lrc(b))
	return fmt.Appendf(nil, ":%X\r\n", b)
}

// exchanges are requests and what answers them properly; they serve decode, truncation, and fuzzing.
func exchanges() map[string]struct{ request, reply []byte } {
	return map[string]struct{ request, reply []byte }{
		"coils":       {[]byte{1, 0, 3, 0, 9}, []byte{1, 2, 0xFF, 1}},
		"inputs":      {[]byte{2, 0, 0, 0, 8}, []byte{2, 1, 0xA5}},
		"holding":     {[]byte{3, 0, 0, 0, 2}, []byte{3, 4, 0x47, 0xF1, 0x20, 0}},
		"input regs":  {[]byte{4, 1, 0, 0, 1}, []byte{4, 2, 0, 7}},
		"coil":        {[]byte{5, 0, 1, 0xFF, 0}, []byte{5, 0, 1, 0xFF, 0}},
		"register":    {[]byte{6, 0, 1, 0, 3}, []byte{6, 0, 1, 0, 3}},
		"write coils": {[]byte{15, 0, 0, 0, 9, 2, 1, 1}, []byte{15, 0, 0, 0, 9}},
		"write regs":  {[]byte{16, 0, 0, 0, 1, 2, 0, 7}, []byte{16, 0, 0, 0, 1}},
		"exception":   {[]byte{3, 0, 0, 0, 2}, []byte{0x83, 2}},
		"status":      {[]byte{7}, []byte{7, 0x6D}},
		"diagnostics": {[]byte{8, 0, 0, 0xA5, 0x37}, []byte{8, 0, 0, 0xA5, 0x37}},
		"events":      {[]byte{11}, []byte{11, 0xFF, 0xFF, 1, 8}},
		"event log":   {[]byte{12}, []byte{12, 8, 0, 0, 1, 8, 1, 0x21, 0x20, 0}},
		"server id":   {[]byte{17}, []byte{17, 3, 1, 0xFF, 'x'}},
		"read file":   {[]byte{20, 7, 6, 0, 4, 0, 1, 0, 2}, []byte{20, 6, 5, 6, 0x0D, 0xFE, 0, 0x20}},
		"write file":  {[]byte{21, 9, 6, 0, 4, 0, 7, 0, 1, 6, 0xAF}, []byte{21, 9, 6, 0, 4, 0, 7, 0, 1, 6, 0xAF}},
		"mask write":  {[]byte{22, 0, 4, 0, 0xF2, 0, 0x25}, []byte{22, 0, 4, 0, 0xF2, 0, 0x25}},
		"read write":  {[]byte{23, 0, 3, 0, 1, 0, 14, 0, 1, 2, 0, 0xFF}, []byte{23, 2, 0, 0xFE}},
		"FIFO":        {[]byte{24, 4, 0xDE}, []byte{24, 0, 4, 0, 1, 1, 0xB8}},
		"identity":    {[]byte{43, 14, 1, 0}, []byte{43, 14, 1, 1, 0, 0, 2, 0, 2, 'A', 'B', 1, 1, 'C'}},
	}
}

func TestFramersFindEveryReply(t *testing.T) {
	for name, x := range exchanges() {
		tcp, line, text := mbapCodec(), rtuCodec(), asciiCodec()
		ask := request(t, tcp, 17, x.request)
		checkFramer(t, "MBAP "+name, tcp, ask, mbap(binary.BigEndian.Uint16(ask), 17, x.reply...))
		checkFramer(t, "RTU "+name, line, request(t, line, 17, x.request), rtu(17, x.reply...))
		checkFramer(t, "ASCII "+name, text, request(t, text, 17, x.request), ascii(17, x.reply...))
	}
}

// checkFramer wants the reply found when it is complete, and not one byte sooner, and the library to accept it.
func checkFramer(t *testing.T, name string, w codec, ask, answer []byte) {
	t.Helper()
	for n := range answer {
		if got := w.frame(asked(w, ask), answer[:n]); got.verdict != more {
			t.Errorf("%s: %d of %d bytes are %+v", name, n, len(answer), got)
		}
	}
	got := w.frame(asked(w, ask), slices.Concat(answer, []byte{0, 0, 0}))
	if got.verdict != reply || got.skip != 0 || got.size != len(answer) {
		t.Fatalf("%s: %+v", name, got)
	}
	p := w.packager(17)
	if err := p.Verify(ask, answer); err != nil {
		t.Errorf("%s: library: %v", name, err)
	}
	if _, err := p.Decode(answer); err != nil {
		t.Errorf("%s: library: %v", name, err)
	}
}

func TestMBAPFramer(t *testing.T) {
	ask := mbap(7, 17, 3, 0, 0, 0, 2)
	good := mbap(7, 17, 3, 4, 1, 2, 3, 4)
	for name, c := range map[string]struct {
		received []byte
		want     verdict
	}{
		"other id":         {mbap(6, 17, 3, 4, 1, 2, 3, 4), foreign},
		"other id first":   {slices.Concat(mbap(6, 17, 3, 2, 1, 2), good), foreign},
		"other unit":       {mbap(7, 18, 3, 4, 1, 2, 3, 4), invalid},
		"other function":   {mbap(7, 17, 4, 4, 1, 2, 3, 4), invalid},
		"other exception":  {mbap(7, 17, 0x84, 2), invalid},
		"long exception":   {mbap(7, 17, 0x83, 2, 2), invalid},
		"short":            {mbap(7, 17, 3, 2, 1, 2), invalid},
		"wrong byte count": {mbap(7, 17, 3, 2, 1, 2, 3, 4), invalid},
		"count too small":  {mbap(7, 17, 3, 4, 1, 2, 3, 4, 5), invalid},
		"long":             {mbap(7, 17, 3, 6, 1, 2, 3, 4, 5, 6), invalid},
		"request itself":   {ask, invalid},
		"protocol id":      {[]byte{0, 7, 0, 1, 0, 7, 17, 3, 4, 1, 2, 3, 4}, broken},
		"length 0":         {[]byte{0, 7, 0, 0, 0, 0, 17}, broken},
		"length 2":         {[]byte{0, 7, 0, 0, 0, 2, 17, 3}, broken},
		"length 255":       {[]byte{0, 7, 0, 0, 0, 255, 17, 3}, broken},
		"length 65535":     {[]byte{0, 7, 0, 0, 255, 255}, broken},
	} {
		if got := mbapFramer(asked(mbapCodec(), ask), c.received); got.verdict != c.want {
			t.Errorf("%s: %+v, want %d", name, got, c.want)
		}
	}
}

func TestWriteRepliesHaveTheirSize(t *testing.T) {
	ask := mbap(7, 17, 6, 0, 1, 0, 3)
	for _, pdu := range [][]byte{{6, 0, 1, 0}, {6, 0, 1, 0, 3, 0}} {
		if got := mbapFramer(asked(mbapCodec(), ask), mbap(7, 17, pdu...)); got.verdict != invalid {
			t.Errorf("% x: %+v", pdu, got)
		}
	}
}

func TestRTUFramer(t *testing.T) {
	ask := rtu(17, 3, 0, 0, 0, 2)
	good := rtu(17, 3, 4, 1, 2, 3, 4)
	bad := bytes.Clone(good)
	bad[4] ^= 1
	for name, c := range map[string]struct {
		received []byte
		want     verdict
		skip     int
	}{
		"noise before":         {slices.Concat([]byte{0, 17, 3, 200}, good), reply, 4},
		"noise after":          {slices.Concat(good, []byte{0, 0, 0}), reply, 0},
		"own echo before":      {slices.Concat(ask, good), reply, len(ask)},
		"other unit before":    {slices.Concat(rtu(18, 3, 4, 9, 9, 9, 9), good), reply, 9},
		"broken before":        {slices.Concat(bad, good), reply, len(bad)},
		"CRC":                  {bad, more, 0},
		"other unit":           {rtu(18, 3, 4, 1, 2, 3, 4), more, 0},
		"other function":       {rtu(17, 4, 4, 1, 2, 3, 4), more, 0},
		"other exception":      {rtu(17, 0x84, 2), more, 0},
		"fewer registers":      {rtu(17, 3, 2, 1, 2), invalid, 0},
		"more registers":       {rtu(17, 3, 6, 1, 2, 3, 4, 5, 6), invalid, 0},
		"wrong, then right":    {slices.Concat(rtu(17, 3, 2, 1, 2), good), reply, 7},
		"exception":            {rtu(17, 0x83, 2), reply, 0},
		"own echo":             {ask, more, 0},
		"exception then zeros": {slices.Concat(rtu(17, 0x83, 2), make([]byte, 9)), reply, 0},
	} {
		if got := rtuFramer(asked(rtuCodec(), ask), c.received); got.verdict != c.want || got.skip != c.skip {
			t.Errorf("%s: %+v, want %d after %d", name, got, c.want, c.skip)
		}
	}
}

func TestASCIIFramer(t *testing.T) {
	ask := ascii(17, 3, 0, 0, 0, 2)
	good := ascii(17, 3, 4, 1, 2, 3, 4)
	bad := bytes.Clone(good)
	bad[8] ^= 1
	for name, c := range map[string]struct {
		received []byte
		want     verdict
		skip     int
	}{
		"small letters":      {bytes.ToLower(good), reply, 0},
		"noise before":       {slices.Concat([]byte{0, ':', 3, 200}, good), reply, 4},
		"cut off before":     {slices.Concat(good[:9], good), reply, 9},
		"own echo before":    {slices.Concat(ask, good), reply, len(ask)},
		"other unit before":  {slices.Concat(ascii(18, 3, 4, 9, 9, 9, 9), good), reply, 19},
		"broken before":      {slices.Concat(bad, good), reply, len(bad)},
		"LRC":                {bad, invalid, 0},
		"other unit":         {ascii(18, 3, 4, 1, 2, 3, 4), more, 0},
		"other function":     {ascii(17, 4, 4, 1, 2, 3, 4), invalid, 0},
		"fewer registers":    {ascii(17, 3, 2, 1, 2), invalid, 0},
		"odd digits":         {[]byte(":110\r\n"), invalid, 0},
		"no digits":          {[]byte(":11x3\r\n"), invalid, 0},
		"nothing":            {[]byte(":\r\n"), invalid, 0},
		"own echo":           {ask, invalid, 0},
		"longer than frames": {slices.Concat([]byte(":"), bytes.Repeat([]byte("11"), 300), []byte("\r\n")), more, 0},
	} {
		if got := asciiFramer(asked(asciiCodec(), ask), c.received); got.verdict != c.want || got.skip != c.skip {
			t.Errorf("%s: %+v, want %d after %d", name, got, c.want, c.skip)
		}
	}
}

func TestLenientFramer(t *testing.T) {
	ask := mbap(7, 17, 3, 0, 0, 0, 2)
	for name, c := range map[string]struct {
		received []byte
		want     verdict
	}{
		"right id":              {mbap(7, 17, 3, 4, 1, 2, 3, 4), reply},
		"other id":              {mbap(2, 17, 3, 4, 1, 2, 3, 4), reply},
		"other id, other unit":  {mbap(2, 18, 3, 4, 1, 2, 3, 4), foreign},
		"other id, other count": {mbap(2, 17, 3, 2, 1, 2), foreign},
	} {
		if got := lenientFramer(asked(mbapCodec(), ask), c.received); got.verdict != c.want {
			t.Errorf("%s: %+v, want %d", name, got, c.want)
		}
	}
}

// Replies that must not be believed, whatever carries them.
func TestRepliesThatAnswerSomethingElse(t *testing.T) {
	for name, x := range map[string]struct{ request, reply []byte }{
		"diagnostics":  {[]byte{8, 0, 0, 0xA5, 0x37}, []byte{8, 0, 1, 0xA5, 0x37}},
		"write file":   {[]byte{21, 9, 6, 0, 4, 0, 7, 0, 1, 6, 0xAF}, []byte{21, 9, 6, 0, 4, 0, 7, 0, 1, 6, 0xAE}},
		"read write":   {[]byte{23, 0, 3, 0, 2, 0, 14, 0, 1, 2, 0, 0xFF}, []byte{23, 2, 0, 0xFE}},
		"count":        {[]byte{17}, []byte{17, 4, 1, 0xFF, 'x'}},
		"FIFO":         {[]byte{24, 4, 0xDE}, []byte{24, 0, 6, 0, 1, 1, 0xB8}},
		"identity":     {[]byte{43, 14, 1, 0}, []byte{43, 14, 1, 1, 0, 0, 2, 0, 2, 'A', 'B', 1, 3, 'C'}},
		"other MEI":    {[]byte{43, 14, 1, 0}, []byte{43, 13, 1, 1, 0, 0, 0}},
		"vendor's own": {[]byte{100, 1}, []byte{100, 1}},
	} {
		if checkReply(x.request, x.reply) == nil {
			t.Errorf("%s: believed", name)
		}
	}
}

func TestCRC(t *testing.T) {
	// The example of Modbus over Serial Line V1.02, 6.2.2: 02 07 has the CRC 0x1241, sent as 41 12.
	if got := rtu(2, 7); !bytes.Equal(got, []byte{2, 7, 0x41, 0x12}) {
		t.Errorf("% x", got)
	}
	if rtuCRC([]byte{2, 7, 0x41, 0x12}) != 0 || rtuCRC([]byte{2, 7, 0x41, 0x12, 0}) != 0 {
		t.Error("the CRC over a frame with its CRC, and with zeros behind it, is 0")
	}
}

// fuzzFramer checks what holds for any bytes: a frame lies inside, there is progress, and the library can unpack a reply.
func fuzzFramer(f *testing.F, w codec, build func(ask []byte, pdu []byte) []byte) {
	for _, x := range exchanges() {
		f.Add(x.request, build(request(f, w, 17, x.request), x.reply))
	}
	f.Fuzz(func(t *testing.T, pdu, received []byte) {
		if len(pdu) < 1 || len(pdu) > 253 {
			return
		}
		got := w.frame(asked(w, request(t, w, 17, pdu)), received)
		if got.skip < 0 || got.size < 0 || got.skip+got.size > len(received) {
			t.Fatalf("%+v of %d bytes", got, len(received))
		}
		if (got.verdict == reply || got.verdict == foreign || got.verdict == invalid) != (got.size > 0) {
			t.Fatalf("%+v", got)
		}
		if (got.verdict == invalid || got.verdict == broken) != (got.why != nil) {
			t.Fatalf("%+v", got)
		}
		if got.verdict == reply {
			unpack(t, w.packager(17), pdu, got.frame(received))
		}
	})
}

// unpack lets the library take a reply to a read apart: it is data of the size asked for, or an exception.
func unpack(t *testing.T, p modbus.Packager, pdu, frame []byte) {
	c := modbus.NewClient2(p, sendFunc(func(adu []byte) ([]byte, error) {
		if _, tcp := p.(*modbus.TCPClientHandler); tcp {
			copy(adu[:2], frame[:2]) // the bus makes the transaction ids equal
		}
		return frame, nil
	}))
	if len(pdu) < 5 {
		return
	}
	offset, count := binary.BigEndian.Uint16(pdu[1:]), binary.BigEndian.Uint16(pdu[3:])
	read := map[byte]func(uint16, uint16) ([]byte, error){
		1: c.ReadCoils, 2: c.ReadDiscreteInputs, 3: c.ReadHoldingRegisters, 4: c.ReadInputRegisters,
	}[pdu[0]]
	if read == nil || count == 0 || pdu[0] <= 2 && count > 2000 || pdu[0] > 2 && count > 125 {
		return
	}
	data, err := read(offset, count)
	var refused *modbus.ModbusError
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("the library refuses what the framer found: %v", err)
	}
	if err == nil && len(data) != replySize(pdu)-2 {
		t.Fatalf("%d bytes for %d", len(data), count)
	}
}

func FuzzMBAP(f *testing.F) {
	fuzzFramer(f, mbapCodec(), func(ask, pdu []byte) []byte { return mbap(binary.BigEndian.Uint16(ask), 17, pdu...) })
}

func FuzzLenientMBAP(f *testing.F) {
	c := mbapCodec()
	c.frame = lenientFramer
	fuzzFramer(f, c, func(_, pdu []byte) []byte { return mbap(2, 17, pdu...) })
}

func FuzzRTU(f *testing.F) {
	fuzzFramer(f, rtuCodec(), func(_, pdu []byte) []byte { return rtu(17, pdu...) })
}

func FuzzASCII(f *testing.F) {
	fuzzFramer(f, asciiCodec(), func(_, pdu []byte) []byte { return ascii(17, pdu...) })
}
