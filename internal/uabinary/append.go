package uabinary

import (
	"encoding/binary"
	"math"

	"github.com/gopcua/opcua/ua"
)

// AppendBool appends a Boolean.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendInt8 appends an SByte.
func AppendInt8(dst []byte, v int8) []byte { return append(dst, byte(v)) }

// AppendUint8 appends a Byte.
func AppendUint8(dst []byte, v uint8) []byte { return append(dst, v) }

// AppendInt16 appends an Int16.
func AppendInt16(dst []byte, v int16) []byte {
	return binary.LittleEndian.AppendUint16(dst, uint16(v))
}

// AppendUint16 appends a UInt16.
func AppendUint16(dst []byte, v uint16) []byte {
	return binary.LittleEndian.AppendUint16(dst, v)
}

// AppendInt32 appends an Int32.
func AppendInt32(dst []byte, v int32) []byte {
	return binary.LittleEndian.AppendUint32(dst, uint32(v))
}

// AppendUint32 appends a UInt32.
func AppendUint32(dst []byte, v uint32) []byte {
	return binary.LittleEndian.AppendUint32(dst, v)
}

// AppendInt64 appends an Int64.
func AppendInt64(dst []byte, v int64) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(v))
}

// AppendUint64 appends a UInt64.
func AppendUint64(dst []byte, v uint64) []byte {
	return binary.LittleEndian.AppendUint64(dst, v)
}

// The one NaN that encoders shall write (Part 6 (1.05), 5.2.2.3).
const (
	quietNaN32 = 0xffc00000
	quietNaN64 = 0xfff8000000000000
)

// AppendFloat32 appends a Float.
func AppendFloat32(dst []byte, v float32) []byte {
	bits := math.Float32bits(v)
	if v != v {
		bits = quietNaN32
	}
	return binary.LittleEndian.AppendUint32(dst, bits)
}

// AppendFloat64 appends a Double.
func AppendFloat64(dst []byte, v float64) []byte {
	bits := math.Float64bits(v)
	if v != v {
		bits = quietNaN64
	}
	return binary.LittleEndian.AppendUint64(dst, bits)
}

// AppendStatusCode appends a StatusCode.
func AppendStatusCode(dst []byte, v ua.StatusCode) []byte {
	return binary.LittleEndian.AppendUint32(dst, uint32(v))
}

// AppendDateTime appends a DateTime.
func AppendDateTime(dst []byte, v DateTime) []byte {
	return binary.LittleEndian.AppendUint64(dst, uint64(v))
}

// AppendString appends a String. "" is written as null, which means the
// same to the peer and is what most of them do.
func AppendString(dst []byte, v string) []byte {
	if v == "" {
		return AppendUint32(dst, nullLength)
	}
	dst = AppendUint32(dst, uint32(len(v)))
	return append(dst, v...)
}

// AppendXMLElement appends an XmlElement.
func AppendXMLElement(dst []byte, v XMLElement) []byte { return AppendString(dst, string(v)) }

// AppendByteString appends a ByteString; nil is null.
func AppendByteString(dst []byte, v []byte) []byte {
	if v == nil {
		return AppendUint32(dst, nullLength)
	}
	dst = AppendUint32(dst, uint32(len(v)))
	return append(dst, v...)
}

// appendArrayLength appends the length of s; nil is null (Part 6 (1.05),
// 5.2.5).
func appendArrayLength[T any](dst []byte, s []T) []byte {
	if s == nil {
		return AppendUint32(dst, nullLength)
	}
	return AppendUint32(dst, uint32(len(s)))
}

// appendArray appends the length of s and its elements.
func appendArray[T any](dst []byte, s []T, appendOne func([]byte, T) []byte) []byte {
	dst = appendArrayLength(dst, s)
	for _, v := range s {
		dst = appendOne(dst, v)
	}
	return dst
}
