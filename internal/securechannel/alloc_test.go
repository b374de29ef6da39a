//go:build !race

// The race detector makes sync.Pool forget buffers at random.

package securechannel

import (
	"testing"

	"github.com/edgeua/edgeua/internal/uatcp"
)

func TestNextAndSend_doNotAllocate(t *testing.T) {
	for name, mode := range modes {
		for _, size := range []int{100, 3000, 30000} {
			p := newPeer(t, mode)
			body := make([]byte, size)
			echo := func() {
				p.seal(uatcp.TypeMessage, uatcp.Final, 5, body)
				p.echo(t)
			}
			echo()
			if allocs := testing.AllocsPerRun(1000, echo); allocs != 0 {
				t.Errorf("%s, %d bytes: %v allocations", name, size, allocs)
			}
		}
	}
}
