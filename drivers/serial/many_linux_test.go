package serial

import (
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"golang.org/x/sys/unix"
)

// threads counts those of this process.
func threads(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// spent is the CPU time of this process so far.
func spent(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// As many ports as a large gateway has: a thread for each and hardly any CPU time while nothing comes, nobody is missed when
// something does, and all end.
func TestManyPorts(t *testing.T) {
	const ports = 64
	threadsBefore, goroutines := threads(t), runtime.NumGoroutine()
	var fars []*os.File
	var links []drivers.Link
	for range ports {
		far, c := openPTY(t)
		fars, links = append(fars, far), append(links, open(t, c))
	}
	before := spent(t)
	if c, err := links[0].Receive(time.Now().Add(time.Second)); err != nil || len(c.Data) > 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if cpu := spent(t) - before; cpu > 250*time.Millisecond { // 10 wake-ups a second and port
		t.Errorf("%d silent ports take %v of CPU time in a second", ports, cpu)
	}
	if n := threads(t) - threadsBefore; n > ports+16 {
		t.Errorf("%d threads for %d ports", n, ports)
	}
	for i, l := range links {
		if _, err := fars[i].WriteString("x"); err != nil {
			t.Fatal(err)
		}
		if c, _ := next(t, l); string(c.Data) != "x" {
			t.Errorf("port %d: %q", i, c.Data)
		}
	}
	var closing sync.WaitGroup
	for _, l := range links {
		closing.Go(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	closing.Wait()
	if n := runtime.NumGoroutine() - goroutines; n > 4 { // some may be about to end
		t.Errorf("%d goroutines are left", n)
	}
}
