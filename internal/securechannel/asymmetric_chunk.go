package securechannel

import (
	"crypto/rsa"
	"crypto/sha1"
	"encoding/binary"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// openAsymmetric decrypts and verifies the OPN chunk whose unencrypted part is header, and returns sequence header
// and body. Part 6 (1.05), 6.7.2.5 and 6.7.4
func (p *Policy) openAsymmetric(own *rsa.PrivateKey, sender *rsa.PublicKey, header, ciphertext []byte) ([]byte, error) {
	if p.IsNone() {
		return ciphertext, nil
	}
	plain, err := p.Decrypt(own, ciphertext)
	if err != nil {
		return nil, err
	}
	end := len(plain) - sender.Size()
	if end < 0 {
		return nil, denied("message shorter than its signature", nil)
	}
	if err := p.Verify(sender, plain[end:], header, plain[:end]); err != nil {
		return nil, err
	}
	content, ok := trimPadding(plain[:end], hasExtraPadding(own.Size()))
	if !ok {
		return nil, denied("padding", nil)
	}
	return content, nil
}

// sealAsymmetric pads, signs and encrypts an OPN chunk. The first header bytes of chunk stay clear; the size in
// the message header is filled in. Part 6 (1.05), 6.7.2.5
func (p *Policy) sealAsymmetric(own *rsa.PrivateKey, receiver *rsa.PublicKey, chunk []byte, header int) ([]byte, error) {
	if p.IsNone() {
		binary.LittleEndian.PutUint32(chunk[4:], uint32(len(chunk)))
		return chunk, nil
	}
	block := p.plaintextBlock(receiver)
	chunk = appendPadding(chunk, len(chunk)-header, own.Size(), block, hasExtraPadding(receiver.Size()))
	blocks := (len(chunk) - header + own.Size()) / block
	binary.LittleEndian.PutUint32(chunk[4:], uint32(header+blocks*receiver.Size()))
	signature, err := p.Sign(own, chunk)
	if err != nil {
		return nil, err
	}
	ciphertext, err := p.Encrypt(receiver, append(chunk[header:], signature...))
	if err != nil {
		return nil, err
	}
	return append(chunk[:header:header], ciphertext...), nil
}

// parseOpen reads the security header of the OPN chunk b, and returns the part of b that is not encrypted and the rest.
func parseOpen(b []byte) (h asymmetricHeader, header, ciphertext []byte, err error) {
	if len(b) < securityHeader {
		return h, nil, nil, errShortChunk
	}
	h, n, err := parseAsymmetricHeader(b[securityHeader:])
	return h, b[:securityHeader+n], b[securityHeader+n:], err
}

// unlockOpen decrypts and verifies an OPN chunk from the owner of sender, checks its sequence number and returns
// sequence header and body.
func (c *conversation) unlockOpen(policy *Policy, own *Identity, sender *rsa.PublicKey, header, ciphertext []byte) (sequenceHeader, []byte, error) {
	var key *rsa.PrivateKey
	if own != nil {
		key = own.Key
	}
	content, err := policy.openAsymmetric(key, sender, header, ciphertext)
	if err != nil {
		return sequenceHeader{}, nil, err
	}
	if len(content) < sequenceHeaderSize {
		return sequenceHeader{}, nil, errShortChunk
	}
	sequence := parseSequenceHeader(content)
	if !c.received.accept(sequence.number) {
		return sequence, nil, errSequence
	}
	return sequence, content[sequenceHeaderSize:], nil
}

// sealOpen builds the OPN chunk with message. c.mu is held.
func (c *conversation) sealOpen(own *Identity, requestID uint32, message uabinary.Structure) ([]byte, error) {
	h := asymmetricHeader{policyURI: c.policy.uri}
	var key *rsa.PrivateKey
	if !c.policy.IsNone() { // under None peers insist on both being null
		key = own.Key
		h.sender = own.senderCertificate(int(c.conn.SendSize()) / 2)
		thumbprint := sha1.Sum(c.leaf)
		h.thumbprint = thumbprint[:]
	}
	chunk := uatcp.Header{Type: uatcp.TypeOpenSecureChannel, IsFinal: uatcp.Final}.Append(nil)
	chunk = binary.LittleEndian.AppendUint32(chunk, c.id)
	chunk = h.append(chunk)
	header := len(chunk)
	chunk = sequenceHeader{c.sent.next(), requestID}.append(chunk)
	chunk = uabinary.AppendMessage(chunk, message)
	return c.policy.sealAsymmetric(key, c.peerKey, chunk, header)
}
