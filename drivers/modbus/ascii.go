package modbus

import (
	"bytes"
	"encoding/hex"
	"errors"

	"github.com/goburrow/modbus"
)

// ASCII frames (Modbus over Serial Line V1.02, 2.5.2): a colon, then unit, PDU and LRC in hexadecimal digits, CR LF.
const (
	asciiOverhead = 7                                  // characters around the digits of the PDU
	asciiMax      = asciiOverhead + 2*maxPDU           // characters of a frame
	asciiBytes    = (asciiMax - asciiOverhead + 4) / 2 // what they carry: unit, PDU, LRC
	asciiEnd      = "\r\n"
)

func asciiCodec() codec {
	return codec{
		frame:  asciiFramer,
		size:   func(pdu int) int { return asciiOverhead + 2*pdu },
		unpack: asciiUnpack,
		packager: func(unit byte) modbus.Packager {
			h := modbus.NewASCIIClientHandler("") // never opened: only its packager is used
			h.SlaveId = unit
			return h
		},
	}
}

// asciiUnpack decodes a request of the library, which is always well formed.
func asciiUnpack(dst, adu []byte) query {
	dst = append(dst[:0], make([]byte, hex.DecodedLen(len(adu)-3))...)
	n, _ := hex.Decode(dst, adu[1:len(adu)-2])
	return query{adu: adu, unit: dst[0], pdu: dst[1 : n-1]}
}

// asciiFramer frames Modbus ASCII. A colon always begins a frame, also in the middle of one that was cut off.
func asciiFramer(q *query, received []byte) found {
	best := found{verdict: more}
	for at := 0; ; at++ {
		colon := bytes.IndexByte(received[at:], ':')
		if colon < 0 {
			return best
		}
		at += colon
		f := asciiAt(q, received[at:])
		f.skip = at
		switch {
		case f.verdict == reply:
			return f
		case f.verdict == invalid && best.verdict == more:
			best = f
		}
	}
}

// asciiAt looks for the answer at the colon at the start of b; more means that there is none, or not yet.
func asciiAt(q *query, b []byte) found {
	end := bytes.Index(b[:min(len(b), asciiMax)], []byte(asciiEnd))
	if end < 0 || bytes.IndexByte(b[1:end], ':') >= 0 || hex.DecodedLen(end-1) > asciiBytes {
		return found{verdict: more}
	}
	var room [asciiBytes]byte
	n, err := hex.Decode(room[:], b[1:end])
	f := found{size: end + len(asciiEnd)}
	switch {
	case n > 0 && room[0] != q.unit:
		return found{verdict: more}
	case err != nil || n < 4:
		f.verdict, f.why = invalid, errors.New("a frame with digits that make no reply")
	case lrc(room[:n]) != 0:
		f.verdict, f.why = invalid, errors.New("a frame with a wrong LRC")
	default:
		return judge(q.pdu, room[1:n-1], f)
	}
	return f
}

// lrc is the sum of the bytes without carry; over a frame with its LRC it is 0.
func lrc(b []byte) (sum byte) {
	for _, c := range b {
		sum += c
	}
	return sum
}
