package securechannel

// appendPadding appends what makes content and signature, both in bytes, fill whole blocks of plaintext: PaddingSize, the padding, and
// ExtraPaddingSize where the encrypting key has more than 2048 bits. Part 6 (1.05), 6.7.2.5
func appendPadding(chunk []byte, content, signature, block int, extra bool) []byte {
	fixed := 1
	if extra {
		fixed = 2
	}
	n := (block - (content+fixed+signature)%block) % block
	for range n + 1 { // PaddingSize has the value that every padding byte has
		chunk = append(chunk, byte(n))
	}
	if extra {
		chunk = append(chunk, byte(n>>8))
	}
	return chunk
}

// trimPadding removes the padding from the end of plain, which has no signature any more. It is called only after the
// signature over the padding has been verified. Part 6 (1.05), 6.7.2.5
func trimPadding(plain []byte, extra bool) ([]byte, bool) {
	n := 0
	if extra {
		if len(plain) == 0 {
			return nil, false
		}
		n = int(plain[len(plain)-1]) << 8
		plain = plain[:len(plain)-1]
	}
	if len(plain) == 0 {
		return nil, false
	}
	value := plain[len(plain)-1]
	n |= int(value)
	if n+1 > len(plain) {
		return nil, false
	}
	end := len(plain) - n - 1
	for _, b := range plain[end:] {
		if b != value {
			return nil, false
		}
	}
	return plain[:end], true
}

// hasExtraPadding reports whether messages encrypted with a key of size bytes carry ExtraPaddingSize.
func hasExtraPadding(size int) bool { return size > 256 }
