package sniff

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/edgeua/edgeua/drivers/framing"
)

// message is one frame of Modbus.
type message struct {
	pdu   []byte // unit, function and data
	from  int    // in the stream
	size  int    // there
	asks  bool   // it has the form of a question
	reply bool   // it has the form of an answer; of some functions both are the same
}

// form is one length that a message of a function may have, and what it is then.
type form struct {
	size        int // of unit, function and data
	asks, reply bool
}

// forms are the lengths that a message beginning with b may have (Application Protocol V1.1b3, 6).
func forms(b []byte) []form {
	if len(b) < 3 {
		return nil
	}
	behind := func(i int) int { // bytes up to and with a counted field
		if i >= len(b) {
			return len(b) + 1
		}
		return i + 1 + int(b[i])
	}
	question, answer := func(n int) form { return form{n, true, false} }, func(n int) form { return form{n, false, true} }
	switch function := b[1]; {
	case function&0x80 != 0:
		return []form{answer(3)}
	case function >= 1 && function <= 4:
		return []form{question(6), answer(behind(2))}
	case function == 5 || function == 6 || function == 8:
		return []form{{6, true, true}}
	case function == 15 || function == 16:
		return []form{answer(6), question(behind(6))}
	case function == 7:
		return []form{question(2), answer(3)}
	case function == 11:
		return []form{question(2), answer(6)}
	case function == 17:
		return []form{question(2), answer(behind(2))}
	case function == 20 || function == 21:
		return []form{{behind(2), true, true}}
	case function == 22:
		return []form{{8, true, true}}
	case function == 23:
		return []form{question(behind(10)), answer(behind(2))}
	}
	return nil
}

const lastUnit = 247

// rtu looks for messages of Modbus RTU by their CRC, wherever the silence was: adapters blur it.
func (s *stream) rtu() Guess {
	var all []message
	for i := 0; i < len(s.data); {
		m, ok := rtuMessage(s.data[i:])
		if !ok {
			i++
			continue
		}
		m.from = i
		all = append(all, m)
		i += m.size
	}
	return s.modbus("Modbus RTU", "ModbusRtu", all)
}

// rtuMessage is the message that b begins with, if it does. Lengths are those of the functions, because among all
// lengths a CRC of 16 bits would be right by chance every now and then.
func rtuMessage(b []byte) (message, bool) {
	if len(b) < 4 || b[0] > lastUnit {
		return message{}, false
	}
	for _, f := range forms(b) {
		if f.size+2 <= len(b) && framing.CRC16Modbus.Of(b[:f.size]) == uint32(binary.LittleEndian.Uint16(b[f.size:])) {
			return message{pdu: b[:f.size], size: f.size + 2, asks: f.asks, reply: f.reply}, true
		}
	}
	return message{}, false
}

// ascii looks for messages of Modbus ASCII: a colon, hexadecimal digits with their LRC, and the end of the line.
func (s *stream) ascii() Guess {
	c := s.try(framing.Spec{Kind: framing.StartEnd, Start: [][]byte{{':'}}, End: [][]byte{[]byte("\r\n")}})
	var all []message
	for i := range c.frames {
		digits := c.frames[i].Body()
		b := make([]byte, hex.DecodedLen(len(digits)))
		if _, err := hex.Decode(b, digits); err != nil || len(b) < 3 || framing.LRC.Of(b[:len(b)-1]) != uint32(b[len(b)-1]) {
			continue
		}
		m := message{pdu: b[:len(b)-1], size: len(c.frames[i].Raw)}
		for _, f := range forms(m.pdu) {
			if f.size == len(m.pdu) {
				m.asks, m.reply = f.asks, f.reply
				break
			}
		}
		all = append(all, m)
	}
	g := s.modbus("Modbus ASCII", "ModbusAscii", all)
	if len(c.frames) > 0 {
		g.Share = c.share * float64(len(all)) / float64(len(c.frames))
	}
	return g
}

// modbus makes a guess of messages.
func (s *stream) modbus(name, kind string, all []message) Guess {
	g := Guess{Name: name, Type: kind, trust: trustChecksum, Frames: len(all)}
	explained := 0
	units := map[int]int{}
	for _, m := range all {
		explained += m.size
		if m.pdu[0] > 0 {
			units[int(m.pdu[0])]++
		}
	}
	if len(all) > 0 {
		end := all[len(all)-1].from + all[len(all)-1].size // behind it may be a part of one
		first := all[0].from
		g.Share = float64(explained) / float64(max(explained, max(end, len(s.data)-256)-min(first, 256)))
		g.Notes = s.talk(all)
	}
	g.Units = sortedKeys(units)
	return g
}

// talk says who asks whom for what, from the most frequent questions.
func (s *stream) talk(all []message) []string {
	type question struct {
		count, answered int
		first, last     time.Duration
	}
	asked := map[string]*question{}
	var order []string
	for i, m := range all {
		if !m.asks || m.reply && i > 0 && all[i-1].asks && string(all[i-1].pdu[:2]) == string(m.pdu[:2]) {
			continue // the second one of two that look the same is the answer
		}
		text := describe(m.pdu)
		q := asked[text]
		if q == nil {
			q = &question{first: s.at(m.from)}
			asked[text] = q
			order = append(order, text)
		}
		q.count++
		q.last = s.at(m.from)
		if i+1 < len(all) && all[i+1].reply && all[i+1].pdu[0] == m.pdu[0] {
			q.answered++
		}
	}
	const most = 8
	var notes []string
	for _, text := range order[:min(len(order), most)] {
		q := asked[text]
		note := fmt.Sprintf("%s: %d times", text, q.count)
		if q.count > 1 && q.last > q.first {
			note += fmt.Sprintf(", every %v", ((q.last - q.first) / time.Duration(q.count-1)).Round(10*time.Millisecond))
		}
		if q.answered < q.count {
			note += fmt.Sprintf(", %d without an answer", q.count-q.answered)
		}
		notes = append(notes, note)
	}
	if len(order) > most {
		notes = append(notes, fmt.Sprintf("and %d other questions", len(order)-most))
	}
	if len(order) > 0 {
		notes = append(notes, "a master is at work on this line already; two of them disturb each other")
	}
	return notes
}

// describe says in words what a message asks for.
func describe(pdu []byte) string {
	areas := map[byte]string{1: "coils from c", 2: "discrete inputs from d", 3: "holding registers from h", 4: "input registers from i",
		15: "coils from c", 16: "holding registers from h"}
	unit, function := pdu[0], pdu[1]
	if area, ok := areas[function]; ok && len(pdu) >= 6 {
		verb := "read"
		if function > 4 {
			verb = "write"
		}
		return fmt.Sprintf("unit %d: %s %d %s%d", unit, verb, binary.BigEndian.Uint16(pdu[4:]), area, binary.BigEndian.Uint16(pdu[2:]))
	}
	if (function == 5 || function == 6) && len(pdu) >= 4 {
		return fmt.Sprintf("unit %d: write %s%d", unit, map[byte]string{5: "c", 6: "h"}[function], binary.BigEndian.Uint16(pdu[2:]))
	}
	return fmt.Sprintf("unit %d: function %d", unit, function)
}
