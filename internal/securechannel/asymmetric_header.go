package securechannel

import (
	"crypto/sha1"
	"encoding/binary"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// Where the fields of a chunk are. Part 6 (1.05), 6.7.2.2 to 6.7.2.4
const (
	channelIDOffset    = 8  // SecureChannelId, behind the message header
	securityHeader     = 12 // the security header: TokenId in MSG and CLO, AsymmetricSecurityHeader in OPN
	symmetricContent   = 16 // sequence header of MSG and CLO; from here on chunks are encrypted
	sequenceHeaderSize = 8
	symmetricBody      = symmetricContent + sequenceHeaderSize
)

const maxPolicyURI = 255 // bytes

// asymmetricHeader is the security header of an OPN chunk. Part 6 (1.05), 6.7.2.3
type asymmetricHeader struct {
	policyURI  string
	sender     []byte // SenderCertificate with its issuers
	thumbprint []byte // ReceiverCertificateThumbprint, SHA-1
}

// parseAsymmetricHeader reads the header at the start of b and returns its length. The result refers to b.
func parseAsymmetricHeader(b []byte) (asymmetricHeader, int, error) {
	r := uabinary.NewReader(b, &uabinary.Limits{MaxStringLength: maxPolicyURI, MaxByteStringLength: maxChainSize})
	r.Borrow = true
	h := asymmetricHeader{policyURI: r.String(), sender: r.ByteString(), thumbprint: r.ByteString()}
	if err := r.Err(); err != nil {
		return asymmetricHeader{}, 0, denied("security header", err)
	}
	if n := len(h.thumbprint); n != 0 && n != sha1.Size {
		return asymmetricHeader{}, 0, denied("thumbprint of wrong length", nil)
	}
	return h, r.Offset(), nil
}

// append appends the encoded header to dst; absent parts are null.
func (h *asymmetricHeader) append(dst []byte) []byte {
	dst = uabinary.AppendString(dst, h.policyURI)
	dst = uabinary.AppendByteString(dst, h.sender)
	return uabinary.AppendByteString(dst, h.thumbprint)
}

// sequenceHeader is in front of every body. Part 6 (1.05), 6.7.2.4
type sequenceHeader struct {
	number    uint32
	requestID uint32
}

func parseSequenceHeader(b []byte) sequenceHeader {
	return sequenceHeader{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])}
}

func (h sequenceHeader) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, h.number)
	return binary.LittleEndian.AppendUint32(dst, h.requestID)
}
