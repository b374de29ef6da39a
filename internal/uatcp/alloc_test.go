//go:build !race

// The race detector makes sync.Pool forget buffers at random.

package uatcp

import (
	"bytes"
	"testing"
)

func TestReadChunk_doesNotAllocate(t *testing.T) {
	frame := append(Header{TypeMessage, Final, 3000}.Append(nil), make([]byte, 2992)...)
	c := openConn(bytes.NewReader(bytes.Repeat(frame, 1200)))
	allocs := testing.AllocsPerRun(1000, func() {
		if _, err := c.ReadChunk(); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
