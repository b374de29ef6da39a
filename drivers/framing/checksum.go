package framing

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
)

// Sum is a kind of checksum.
type Sum string

// The checksums.
const (
	None        Sum = "none"
	XOR         Sum = "xor"         // of all bytes: NMEA 0183, and what many call LRC or BCC
	Sum8        Sum = "sum8"        // modulo 256
	LRC         Sum = "lrc"         // the two's complement of Sum8
	CRC8        Sum = "crc8"        // polynomial 07
	CRC8Maxim   Sum = "crc8maxim"   // 31, reflected: 1-Wire
	CRC16ARC    Sum = "crc16arc"    // 8005, reflected, from 0: DSMR P1
	CRC16Modbus Sum = "crc16modbus" // the same from FFFF
	CRC16CCITT  Sum = "crc16ccitt"  // 1021 from FFFF
	CRC16XModem Sum = "crc16xmodem" // 1021 from 0
	CRC16Kermit Sum = "crc16kermit" // 1021, reflected, from 0
	CRC16X25    Sum = "crc16x25"    // 1021, reflected, from FFFF, inverted
	CRC32       Sum = "crc32"       // that of Ethernet and ZIP
)

// Sums are all checksums.
func Sums() []Sum {
	return []Sum{None, XOR, Sum8, LRC, CRC8, CRC8Maxim, CRC16ARC, CRC16Modbus, CRC16CCITT, CRC16XModem, CRC16Kermit, CRC16X25, CRC32}
}

// Size is the number of bytes of the sum.
func (s Sum) Size() int {
	switch s {
	case None, "":
		return 0
	case XOR, Sum8, LRC, CRC8, CRC8Maxim:
		return 1
	case CRC32:
		return 4
	}
	return 2
}

// Of computes the sum.
func (s Sum) Of(b []byte) uint32 {
	switch s {
	case XOR:
		var x byte
		for _, c := range b {
			x ^= c
		}
		return uint32(x)
	case Sum8, LRC:
		var n byte
		for _, c := range b {
			n += c
		}
		if s == LRC {
			n = -n
		}
		return uint32(n)
	case CRC8:
		return crc(b, 8, 0x07, 0)
	case CRC8Maxim:
		return crcReflected(b, 0x8C, 0)
	case CRC16ARC:
		return crcReflected(b, 0xA001, 0)
	case CRC16Modbus:
		return crcReflected(b, 0xA001, 0xFFFF)
	case CRC16CCITT:
		return crc(b, 16, 0x1021, 0xFFFF)
	case CRC16XModem:
		return crc(b, 16, 0x1021, 0)
	case CRC16Kermit:
		return crcReflected(b, 0x8408, 0)
	case CRC16X25:
		return crcReflected(b, 0x8408, 0xFFFF) ^ 0xFFFF
	case CRC32:
		return crc32.ChecksumIEEE(b)
	}
	return 0
}

// crc shifts to the left, the usual way to write a polynomial.
func crc(b []byte, width uint, polynomial, value uint32) uint32 {
	top := uint32(1) << (width - 1)
	for _, c := range b {
		value ^= uint32(c) << (width - 8)
		for range 8 {
			carry := value & top
			if value <<= 1; carry != 0 {
				value ^= polynomial
			}
		}
	}
	return value & (top<<1 - 1)
}

// crcReflected shifts to the right; the polynomial is mirrored.
func crcReflected(b []byte, polynomial, value uint32) uint32 {
	for _, c := range b {
		value ^= uint32(c)
		for range 8 {
			carry := value & 1
			if value >>= 1; carry != 0 {
				value ^= polynomial
			}
		}
	}
	return value
}

// Encoding is how a sum is written.
type Encoding string

// The encodings.
const (
	Binary       Encoding = "binary"   // the high byte first
	BinaryLittle Encoding = "binaryle" // the low byte first
	Hex          Encoding = "hex"      // upper case is sent, either is accepted
	HexLower     Encoding = "hexlower" // lower case is sent, either is accepted
	Decimal      Encoding = "decimal"  // with leading zeros
)

// Encodings are all of them.
func Encodings() []Encoding { return []Encoding{Binary, BinaryLittle, Hex, HexLower, Decimal} }

// Checksum says where in a frame a checksum stands and what it covers: plain data. The zero value is none. It stands
// behind the last After of the frame if that is given, else in what follows the End mark if something does, else at the
// end of the body.
type Checksum struct {
	Sum      Sum
	Encoding Encoding
	After    []byte // such as *
	Start    bool   // the Start mark is covered
	End      bool   // the End mark is covered, or After if that is given
	Optional bool   // frames without After are taken as they are
}

// ErrChecksum says that a checksum is wrong.
var ErrChecksum = errors.New("wrong checksum")

// Active tells whether there is a checksum.
func (c *Checksum) Active() bool { return c.Sum.Size() > 0 }

// Width is the number of bytes that the sum takes as it is written.
func (c *Checksum) Width() int {
	n := c.Sum.Size()
	switch c.Encoding {
	case Hex, HexLower:
		return 2 * n
	case Decimal:
		return []int{0, 3, 5, 8, 10}[n]
	}
	return n
}

// Append writes the sum of the covered bytes behind b.
func (c *Checksum) Append(b, covered []byte) []byte {
	n, value := c.Sum.Size(), c.Sum.Of(covered)
	switch c.Encoding {
	case Hex:
		return fmt.Appendf(b, "%0*X", 2*n, value)
	case HexLower:
		return fmt.Appendf(b, "%0*x", 2*n, value)
	case Decimal:
		return fmt.Appendf(b, "%0*d", c.Width(), value)
	}
	for i := range n {
		shift := 8 * (n - 1 - i)
		if c.Encoding == BinaryLittle {
			shift = 8 * i
		}
		b = append(b, byte(value>>shift))
	}
	return b
}

// Verify checks the sum of a frame and returns what the frame carries without it. The error is [ErrChecksum] with what was
// expected.
func (c *Checksum) Verify(f *Frame) ([]byte, error) {
	if !c.Active() {
		return f.Body(), nil
	}
	covered, written, rest, err := c.split(f)
	switch {
	case err != nil:
		return nil, err
	case written == nil:
		return f.Body(), nil
	case !c.equal(written, covered):
		return nil, fmt.Errorf("%w: %q, expected %q", ErrChecksum, written, c.Append(nil, covered))
	}
	return rest, nil
}

// split finds what is covered, the sum as it is written, and what the frame carries without it.
func (c *Checksum) split(f *Frame) (covered, written, rest []byte, err error) {
	from, behind := f.Start, f.End+f.Mark
	if c.Start {
		from = 0
	}
	to, at, restEnd := f.End, behind, f.End // in what follows the End
	if c.End {
		to = behind
	}
	switch {
	case len(c.After) > 0:
		i := bytes.LastIndex(f.Raw[f.Start:f.End], c.After)
		if i < 0 && c.Optional {
			return nil, nil, nil, nil
		}
		if i < 0 {
			return nil, nil, nil, fmt.Errorf("%w: there is no %q before it", ErrChecksum, c.After)
		}
		to, restEnd = f.Start+i, f.Start+i
		if at = to + len(c.After); c.End {
			to = at
		}
	case behind == len(f.Raw):
		at = f.End - c.Width()
		to, restEnd = at, at
	}
	if at+c.Width() > len(f.Raw) || to < from || restEnd < f.Start {
		return nil, nil, nil, fmt.Errorf("%w: the frame is too short for one", ErrChecksum)
	}
	rest = f.Raw[f.Start:restEnd]
	if f.keep {
		rest = f.Raw[:restEnd]
	}
	return f.Raw[from:to], f.Raw[at : at+c.Width()], rest, nil
}

func (c *Checksum) equal(written, covered []byte) bool {
	base := 10
	switch c.Encoding {
	case Decimal:
	case Hex, HexLower:
		base = 16
	default:
		return bytes.Equal(written, c.Append(nil, covered))
	}
	value, err := strconv.ParseUint(string(written), base, 32)
	return err == nil && uint32(value) == c.Sum.Of(covered)
}
