package securechannel

import (
	"crypto/rsa"
	"encoding/binary"
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
