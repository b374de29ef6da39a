package gds

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var someone = Client{Directory: gdsURL, Endpoint: "opc.tcp://gw.test:4840", ApplicationURI: clientURI}

// desk is a directory that exists only in memory, with a Lookup that asks it. It lives in a synctest bubble.
type desk struct {
	*Lookup
	mu      sync.Mutex
	urls    []string // guarded by mu
	err     error    // guarded by mu
	asked   int      // guarded by mu; since times
	learned int      // guarded by mu
	open    func()   // since the first say; nobody is answered before
	opened  chan struct{}
	stop    func()
}

func newDesk(t *testing.T, file string, clients ...Client) *desk {
	t.Helper()
	d := &desk{opened: make(chan struct{})}
	d.open = sync.OnceFunc(func() { close(d.opened) })
	d.Lookup = New(Config{File: file, Query: d.query, Learned: func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.learned++
	}})
	d.Update(clients)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { d.Run(ctx) })
	d.stop = func() { cancel(); running.Wait() }
	t.Cleanup(d.stop)
	return d
}

func (d *desk) query(ctx context.Context, _ Client) ([]string, error) {
	select {
	case <-d.opened:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	return d.urls, d.err
}

func (d *desk) say(err error, urls ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err, d.urls = err, urls
	d.open()
}

// times returns how often the directory has been asked since the last time, when another period has passed.
func (d *desk) times(period time.Duration) int {
	time.Sleep(period)
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.asked
	d.asked = 0
	return n
}

func TestLookup_EveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, "", someone)
		defer d.stop()
		d.say(nil, "opc.tcp://a:1")
		synctest.Wait()
		if n := d.times(24 * time.Hour); n < 24 || n > 31 {
			t.Errorf("asked %d times a day", n)
		}
		if urls := d.URLs(someone); !slices.Equal(urls, []string{"opc.tcp://a:1"}) || d.learned != 1 {
			t.Errorf("%v, told %d times", urls, d.learned)
		}
		if urls := d.URLs(Client{ApplicationURI: "urn:x"}); urls != nil {
			t.Errorf("a stranger is at %v", urls)
		}
	})
}

// A client that is not where it was is looked up soon, and less and less often as long as the answer is the same.
func TestLookup_OnFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, "", someone)
		defer d.stop()
		d.say(nil, "opc.tcp://a:1")
		d.times(time.Second)
		d.Failed("opc.tcp://else:1")
		if n := d.times(5 * time.Minute); n != 0 {
			t.Errorf("asked %d times for a stranger's sake", n)
		}
		asked := 0
		for range 24 * 60 * 6 { // the client is called every ten seconds, in vain
			d.Failed("opc.tcp://a:1")
			asked += d.times(10 * time.Second)
		}
		if asked < 25 || asked > 45 {
			t.Errorf("asked %d times a day", asked)
		}
		d.Reached("opc.tcp://a:1")
		d.say(nil, "opc.tcp://b:2")
		d.times(time.Hour)
		d.Reached("opc.tcp://b:2")
		d.Failed("opc.tcp://b:2")
		if n := d.times(time.Minute + time.Second); n != 1 {
			t.Errorf("asked %d times in the first minute of a new trouble", n)
		}
		if urls := d.URLs(someone); !slices.Equal(urls, []string{"opc.tcp://b:2"}) || d.learned != 2 {
			t.Errorf("%v, told %d times", urls, d.learned)
		}
	})
}

// While the directory is away the last answer holds, also over a restart.
func TestLookup_DirectoryAway(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "directory.json")
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, file, someone)
		d.say(nil, "opc.tcp://a:1", "opc.tcp://b:2")
		d.times(time.Second)
		d.say(errors.New("no route"))
		if n := d.times(24 * time.Hour); n < 24 || n > 45 {
			t.Errorf("asked %d times a day", n)
		}
		d.stop()
		again := newDesk(t, file, someone)
		again.say(errors.New("no route"))
		for _, l := range []*desk{d, again} {
			if urls := l.URLs(someone); !slices.Equal(urls, []string{"opc.tcp://a:1", "opc.tcp://b:2"}) {
				t.Errorf("%v", urls)
			}
		}
		again.times(time.Hour)
		again.say(nil) // it is back, and the client is not there any more
		again.times(2 * time.Hour)
		if urls := again.URLs(someone); len(urls) != 0 || again.learned != 1 {
			t.Errorf("%v, told %d times", urls, again.learned)
		}
		again.stop()
		last := newDesk(t, file, someone)
		last.say(errors.New("no route"))
		if urls := last.URLs(someone); len(urls) != 0 {
			t.Errorf("kept %v", urls)
		}
		last.stop()
	})
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestLookup_Update(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, "")
		defer d.stop()
		d.say(nil, "opc.tcp://a:1")
		if n := d.times(24 * time.Hour); n != 0 {
			t.Errorf("asked %d times for nobody", n)
		}
		other := someone
		other.ApplicationURI = "urn:test:second"
		d.Update([]Client{someone, other})
		if n := d.times(time.Second); n != 2 {
			t.Errorf("asked %d times for two", n)
		}
		d.say(nil, "opc.tcp://b:2", "opc.tcp://a:1")
		d.times(2 * time.Hour)
		if urls := d.URLs(someone); !slices.Equal(urls, []string{"opc.tcp://a:1", "opc.tcp://b:2"}) {
			t.Errorf("%v: the address that still holds is not first", urls)
		}
		d.Update([]Client{someone})
		if n := d.times(time.Minute); n != 0 || len(d.URLs(someone)) != 2 || d.URLs(other) != nil {
			t.Errorf("asked %d times; %v, %v", n, d.URLs(someone), d.URLs(other))
		}
	})
}

func TestReadFile_Broken(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "{", "null", `{"directory":1}`, `[{"directory":"d","applicationUri":"a","urls":["opc.tcp://a:1","opc.tcp://a:1","http://b","rcp+opc.tcp://c:1","opc.tcp://:1"]}]`} {
		file := filepath.Join(dir, "directory.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		all, err := readFile(file)
		good := strings.HasPrefix(text, "[") || text == "null"
		if (err == nil) != good || all == nil {
			t.Errorf("%q: %v, %v", text, all, err)
		}
		if urls := all[record{"d", "a"}]; strings.HasPrefix(text, "[") && !slices.Equal(urls, []string{"opc.tcp://a:1"}) {
			t.Errorf("%v", urls)
		}
		New(Config{File: file}) // starts anyway
	}
	if _, err := readFile(dir); err == nil {
		t.Error("a directory is read")
	}
	l := New(Config{File: filepath.Join(dir, "directory.json", "x")})
	if err := l.save(); err == nil {
		t.Error("saved below a file")
	}
}

func FuzzReadFile(f *testing.F) {
	f.Add([]byte(`[{"directory":"d","applicationUri":"a","urls":["opc.tcp://a:1"]}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		all := map[record][]string{}
		_ = parse(data, all)
		for _, urls := range all {
			if len(urls) > MaxURLs {
				t.Errorf("%d addresses", len(urls))
			}
		}
	})
}
