package securechannel

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/gopcua/opcua/ua"
)

const maxSignature = sha256.Size // bytes of the longest signature, that of HMAC-SHA256

// blockMode is CBC whose state can be set back to an initialization vector, which saves building it anew for every chunk.
// The block modes of crypto/aes have it.
type blockMode interface {
	cipher.BlockMode
	SetIV([]byte)
}

// symmetric secures the chunks of one direction under one SecurityToken. Its hash and cipher are made once and used
// again for every chunk, so it belongs to one goroutine or lock. nil is policy None.
type symmetric struct {
	mac hash.Hash
	tag int       // bytes of its signatures
	cbc blockMode // nil in mode Sign
	iv  [aes.BlockSize]byte
	sum [maxSignature]byte
}

// newSymmetric derives the keys of one direction: secret is the nonce of the receiver, seed that of the sender of the
// messages. Part 6 (1.05), 6.7.6 (6.7.5 in 1.04)
func (p *Policy) newSymmetric(secret, seed []byte, mode ua.MessageSecurityMode, makeMode func(cipher.Block, []byte) cipher.BlockMode) *symmetric {
	if p.IsNone() {
		return nil
	}
	key := deriveKey(p.hash, secret, seed, p.signingKey+p.aesKey+aes.BlockSize)
	s := &symmetric{mac: hmac.New(p.hash.New, key[:p.signingKey]), tag: p.hash.Size()}
	key = key[p.signingKey:]
	copy(s.iv[:], key[p.aesKey:])
	if mode == ua.MessageSecurityModeSignAndEncrypt {
		block, err := aes.NewCipher(key[:p.aesKey])
		if err != nil {
			panic(err) // the key length is a constant of the policy
		}
		s.cbc = makeMode(block, s.iv[:]).(blockMode)
	}
	return s
}

// deriveKey is P_SHA256 or P_SHA1, which is the P_hash of TLS 1.2: RFC 5246, 5. Part 6 (1.05), 6.7.6
func deriveKey(hash crypto.Hash, secret, seed []byte, size int) []byte {
	mac := hmac.New(hash.New, secret)
	sum := func(parts ...[]byte) []byte {
		mac.Reset()
		for _, p := range parts {
			mac.Write(p)
		}
		return mac.Sum(nil)
	}
	var key []byte
	for a := sum(seed); len(key) < size; a = sum(a) {
		key = append(key, sum(a, seed)...)
	}
	return key[:size]
}

// maxBody returns how many bytes of body fit a chunk of size bytes. Part 6 (1.05), 6.7.2.5
func (s *symmetric) maxBody(size int) int {
	switch {
	case s == nil:
		return size - symmetricBody
	case s.cbc == nil:
		return size - symmetricBody - s.tag
	}
	blocks := (size - symmetricContent) / aes.BlockSize
	return blocks*aes.BlockSize - sequenceHeaderSize - s.tag - 1
}

// seal fills in the size of a chunk that ends with its body, pads, signs and encrypts it in place.
func (s *symmetric) seal(chunk []byte) []byte {
	size := len(chunk)
	switch {
	case s == nil:
	case s.cbc == nil:
		size += s.tag
	default:
		chunk = appendPadding(chunk, size-symmetricContent, s.tag, aes.BlockSize, false)
		size = len(chunk) + s.tag
	}
	binary.LittleEndian.PutUint32(chunk[4:], uint32(size))
	if s == nil {
		return chunk
	}
	chunk = s.appendMAC(chunk, chunk)
	if s.cbc != nil {
		s.cbc.SetIV(s.iv[:])
		s.cbc.CryptBlocks(chunk[symmetricContent:], chunk[symmetricContent:])
	}
	return chunk
}

// open decrypts a chunk in place, verifies it and returns sequence header and body. Everything wrong with it
// has the same answer.
func (s *symmetric) open(chunk []byte) ([]byte, error) {
	if s == nil {
		if len(chunk) < symmetricBody {
			return nil, errChunk
		}
		return chunk[symmetricContent:], nil
	}
	content := chunk[symmetricContent:]
	if len(content) < sequenceHeaderSize+s.tag {
		return nil, errChunk
	}
	if s.cbc != nil {
		if len(content)%aes.BlockSize != 0 {
			return nil, errChunk
		}
		s.cbc.SetIV(s.iv[:])
		s.cbc.CryptBlocks(content, content)
	}
	end := len(chunk) - s.tag
	if !hmac.Equal(s.appendMAC(s.sum[:0], chunk[:end]), chunk[end:]) {
		return nil, errChunk
	}
	content = chunk[symmetricContent:end]
	if s.cbc != nil {
		var ok bool
		if content, ok = trimPadding(content, false); !ok {
			return nil, errChunk
		}
	}
	if len(content) < sequenceHeaderSize {
		return nil, errChunk
	}
	return content, nil
}

var errChunk = denied("chunk", nil)

// appendMAC appends the HMAC of message to dst.
func (s *symmetric) appendMAC(dst, message []byte) []byte {
	s.mac.Reset()
	s.mac.Write(message)
	return s.mac.Sum(dst)
}
