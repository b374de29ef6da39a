package modbus

// fromBCD reads one decimal digit per four bits.
func fromBCD(raw uint64) (value uint64, ok bool) {
	for shift := 60; shift >= 0; shift -= 4 {
		digit := raw >> shift & 15
		if digit > 9 {
			return 0, false
		}
		value = 10*value + digit
	}
	return value, true
}

func toBCD(value uint64, digits int) (raw uint64, ok bool) {
	for i := range digits {
		raw |= value % 10 << (4 * i)
		value /= 10
	}
	return raw, value == 0
}

// Sign digits of a signed BCD number, in its highest four bits.
const (
	bcdPlus    = 0x0
	bcdMinus   = 0xF // as written
	bcdSignBit = 0x8 // some devices set the highest bit alone
)

// fromSignedBCD reads a sign digit and the digits behind it. Any other sign is no value.
func fromSignedBCD(raw uint64, registers int) (bits uint64, ok bool) {
	shift := 16*registers - 4
	value, ok := fromBCD(raw &^ (15 << shift))
	switch raw >> shift {
	case bcdPlus:
		return value, ok
	case bcdMinus, bcdSignBit:
		return -value, ok
	}
	return 0, false
}

func toSignedBCD(value int64, registers int) (raw uint64, ok bool) {
	sign, digits := uint64(bcdPlus), uint64(value)
	if value < 0 {
		sign, digits = bcdMinus, -digits
	}
	raw, ok = toBCD(digits, 4*registers-1)
	return raw | sign<<(16*registers-4), ok
}

// myriad is the base of numbers with four decimal digits in each register, most significant first. Of a negative number
// every register is negative.
const myriad = 10000

func fromMod10k(raw uint64, registers int) (bits uint64, ok bool) {
	value, negative, positive := int64(0), false, false
	for shift := 16 * (registers - 1); shift >= 0; shift -= 16 {
		digits := int16(raw >> shift)
		if digits <= -myriad || digits >= myriad {
			return 0, false
		}
		negative, positive = negative || digits < 0, positive || digits > 0
		value = myriad*value + int64(digits)
	}
	return uint64(value), !negative || !positive
}

func toMod10k(value int64, registers int) (raw uint64, ok bool) {
	for i := range registers {
		raw |= uint64(uint16(value%myriad)) << (16 * i)
		value /= myriad
	}
	return raw, value == 0
}
