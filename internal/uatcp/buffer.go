package uatcp

import "sync"

// bufferClasses are the sizes in which pooled buffers come: a request or response of ordinary size, of some hundred
// values, a full chunk, and a message of several chunks.
var bufferClasses = [...]int{4 << 10, 16 << 10, 64 << 10, 256 << 10}

// bufferPools caches buffers between all connections; it holds no state.
var bufferPools [len(bufferClasses)]sync.Pool

// Buffer is a byte slice from the pool. B may be replaced by a grown slice before Free.
type Buffer struct{ B []byte }

// GetBuffer returns a buffer of length 0 whose capacity is at least n bytes.
func GetBuffer(n int) *Buffer {
	for i, size := range bufferClasses {
		if n > size {
			continue
		}
		if b, ok := bufferPools[i].Get().(*Buffer); ok {
			return b
		}
		return &Buffer{B: make([]byte, 0, size)}
	}
	return &Buffer{B: make([]byte, 0, n)}
}

// Free gives the buffer back. Nothing may use its bytes any more.
func (b *Buffer) Free() {
	if cap(b.B) > 2*bufferClasses[len(bufferClasses)-1] {
		return // keep the rare giant out of the pool
	}
	for i := len(bufferClasses) - 1; i >= 0; i-- {
		if cap(b.B) >= bufferClasses[i] {
			b.B = b.B[:0]
			bufferPools[i].Put(b)
			return
		}
	}
}
