package modbussim

import "time"

// Fault changes how one request is answered; nil answers it properly.
type Fault func(x *Exchange)

// Exchange is one request and its answer on the way to the wire.
type Exchange struct {
	Unit  byte   // that the answer claims to come from
	ID    uint16 // transaction id of the answer, on TCP
	PDU   []byte // of the answer
	Delay time.Duration

	drop, close, echo, replay bool
	times                     int // that the frame is sent; 0: once
	before, after             []byte
	cut                       int // bytes of the frame that are sent; 0: all
	split                     int // bytes sent before the pause
	pause                     time.Duration
	flip                      int // byte of the frame in which a bit is flipped, from 1
}

// Script makes the next requests be answered with these faults, in turn.
func (m *Map) Script(faults ...Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.script = append(m.script, faults...)
}

// Delay answers later.
func Delay(d time.Duration) Fault { return func(x *Exchange) { x.Delay = d } }

// Drop does not answer.
func Drop(x *Exchange) { x.drop = true }

// Close closes the connection instead of answering.
func Close(x *Exchange) { x.drop, x.close = true, true }

// CloseAfter answers and then closes the connection.
func CloseAfter(x *Exchange) { x.close = true }

// WrongID answers with a transaction id that was not asked for.
func WrongID(x *Exchange) { x.ID += 0x4000 }

// WrongUnit answers in the name of another unit.
func WrongUnit(x *Exchange) { x.Unit++ }

// WrongFunction answers another function.
func WrongFunction(x *Exchange) { x.PDU[0] ^= 7 }

// WrongCount answers with fewer data than asked for, as a proper frame.
func WrongCount(x *Exchange) {
	x.PDU = x.PDU[:len(x.PDU)-2]
	x.PDU[1] -= 2
}

// Exception refuses the request.
func Exception(code byte) Fault {
	return func(x *Exchange) { x.PDU = []byte{x.PDU[0] | 0x80, code} }
}

// Split sends the first n bytes, pauses, and sends the rest.
func Split(n int, pause time.Duration) Fault {
	return func(x *Exchange) { x.split, x.pause = n, pause }
}

// Cut sends only the first n bytes.
func Cut(n int) Fault { return func(x *Exchange) { x.cut = n } }

// Flip sends the n-th byte (from 1) with one bit changed.
func Flip(n int) Fault { return func(x *Exchange) { x.flip = n } }

// Around sends noise before and after the answer.
func Around(before, after []byte) Fault {
	return func(x *Exchange) { x.before, x.after = before, after }
}

// Echo sends the request back instead of an answer.
func Echo(x *Exchange) { x.echo = true }

// Double sends the answer twice.
func Double(x *Exchange) { x.times = 2 }

// Replay sends the previous answer once more instead of the right one.
func Replay(x *Exchange) { x.replay = true }
