package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"
	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uaclient"
)

// Nobody has to send a signal. A file that is there for the first time counts,
// and a wrong one is told of once.
func TestReload_FilesThatChange(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	a := newURL(t)
	g := startCalling(t, endpointsFile("", a), "<EdgeUa/>")
	defer g.stop()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(filepath.Dir(g.main), name)
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil { // as editors do
			t.Fatal(err)
		}
	}
	write("edgeua.xml", "<EdgeUa>\n<Nonsense/></EdgeUa>")
	g.log.wait(t, "edgeua.xml:2: error")
	g.log.wait(t, notReloaded)
	write("edgeua.xml", deviceFile("D", "h0"))
	g.log.wait(t, reloaded)
	c := visit(t, a)
	if got := readStatus(t, c, tag("D.T")); got != ua.StatusOK {
		t.Errorf("the new device: %v", got)
	}
	list := deviceFile("D", "h0")
	group := list[strings.Index(list, "<Group"):strings.Index(list, "</Device>")]
	list = strings.Replace(list, group, "<TagFile>tags.csv</TagFile>", 1)
	g.reload(reloaded, map[string]string{"tags.csv": "Name,Address,Type\nA,h0,Int16\n", "edgeua.xml": list})
	write("tags.csv", "Name,Address,Type\nA,h0,Int16\nB,h1,Int16\n")
	g.log.waitFor(t, reloaded, 3)
	if got := readStatus(t, c, tag("D.B")); got != ua.StatusOK {
		t.Errorf("the tag that is new in the list: %v", got)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if bad, good := g.log.count(notReloaded), g.log.count(reloaded); bad != 1 || good != 3 {
		t.Errorf("reloaded %d times, %d times in vain", good, bad)
	}
}

func TestFileWatch(t *testing.T) {
	dir := t.TempDir()
	path, late := filepath.Join(dir, "a"), filepath.Join(dir, "late")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path, "1")
	w := newFileWatch([]string{dir, path, late})
	look := func(want ...bool) {
		t.Helper()
		for i, changed := range want {
			if got := w.changed(); got != changed {
				t.Errorf("look %d: %v", i+1, got)
			}
		}
	}
	look(false, false)
	write(path, "one") // not settled at the first look
	look(false, true)
	w.take([]string{dir, path, late})
	write(filepath.Join(dir, "draft"), "")
	look(false, false)
	write(late, "")
	look(false)
	write(late, "more")
	look(false, true)
	if err := os.Remove(late); err != nil { // as it was
		t.Fatal(err)
	}
	look(false, false)
	w.add([]string{filepath.Join(dir, "b"), path}, nil)
	look(false)
	write(filepath.Join(dir, "b"), "")
	look(false, true)
	w.take([]string{path})
	w.add([]string{filepath.Join(dir, "b")}, map[string]time.Time{filepath.Join(dir, "b"): time.Now().Add(-time.Hour)}) // changed since it was read
	look(false, true)
}

// A listener that narrows to one address makes room for itself, and comes back
// when that fails.
func TestReload_PortThatMustMakeRoom(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	_, number, _ := net.SplitHostPort(freeAddress(t))
	wide := strings.Replace(mainFile("opc.tcp://localhost:"+number, ""), "<ServerName>", "<ServerName>", 1)
	narrow := mainFile("opc.tcp://localhost:"+number, "<StackUrl>opc.tcp://127.0.0.1:"+number+"</StackUrl>")
	g := startCalling(t, wide, "<EdgeUa/>")
	defer g.stop()
	enter := func() {
		t.Helper()
		if err := visit(t, "opc.tcp://127.0.0.1:"+number).Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	enter()
	g.reload(reloaded, map[string]string{"TcUaServerConfig.xml": narrow})
	enter()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	g.reload(notReloaded, map[string]string{"TcUaServerConfig.xml": wide, "edgeua.xml": `<EdgeUa><Metrics Listen="` + busy.Addr().String() + `"/></EdgeUa>`})
	enter()
	g.reload(reloaded, map[string]string{"TcUaServerConfig.xml": wide, "edgeua.xml": "<EdgeUa/>"})
	enter()
}

// secureVisit opens an encrypted session and returns the certificate that the
// server has shown as well.
func secureVisit(t *testing.T, url string, own *pki.Own) (*uaclient.Client, []byte, error) {
	t.Helper()
	dial := func() net.Conn {
		nc, err := net.Dial("tcp", strings.TrimPrefix(url, "opc.tcp://"))
		if err != nil {
			t.Fatal(err)
		}
		return nc
	}
	all, err := uaclient.Endpoints(t.Context(), dial(), url)
	if err != nil || len(all) == 0 {
		t.Fatalf("endpoints: %v", err)
	}
	c, err := uaclient.Open(t.Context(), dial(), uaclient.Options{
		EndpointURL: url, SecurityPolicyURI: ua.SecurityPolicyURIBasic256Sha256, Mode: ua.MessageSecurityModeSignAndEncrypt,
		Identity: &securechannel.Identity{Chain: own.Chain, Key: own.Key}, ServerCertificate: all[0].ServerCertificate,
		ApplicationURI: "urn:test:client", SessionName: "secure",
	})
	return c, all[0].ServerCertificate, err
}

// Trust in clients and the own certificate change without a restart.
func TestReload_Certificates(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	a, own := newURL(t), newOwn(t, "urn:test:client")
	main := strings.NewReplacer("#None", "#Basic256Sha256", "<MessageSecurityMode>None", "<MessageSecurityMode>SignAndEncrypt").Replace(endpointsFile("", a))
	g := startCalling(t, main, "<EdgeUa/>")
	defer g.stop()
	if _, _, err := secureVisit(t, a, own); err == nil {
		t.Fatal("a stranger is let in")
	}
	trusted := filepath.Join(filepath.Dir(g.main), "trusted", "client.der")
	if err := os.WriteFile(trusted, own.DER, 0o600); err != nil {
		t.Fatal(err)
	}
	first, before, err := secureVisit(t, a, own)
	if err != nil {
		t.Fatal("trusted now:", err)
	}
	edgeua(t, "certs", "renew", "--config", g.main).want(t, exitOK)
	g.log.wait(t, "own certificate taken over")
	g.log.wait(t, reloaded)
	second, after, err := secureVisit(t, a, own)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(before, after) {
		t.Error("the old certificate is still shown")
	}
	for _, c := range []*uaclient.Client{first, second} { // that of before goes on
		if got := readStatus(t, c, tag("none")); got != ua.StatusBadNodeIDUnknown {
			t.Errorf("%v", got)
		}
	}
	if err := second.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := os.Remove(trusted); err != nil {
		t.Fatal(err)
	}
	if _, _, err := secureVisit(t, a, own); err == nil {
		t.Error("one who is not trusted any more is let in")
	}
	if err := first.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// An own certificate that is about to expire is told of 30 days before, and
// then once a day.
func TestRemind_DailyFromThirtyDaysBefore(t *testing.T) {
	own := newOwn(t, "urn:test:gateway")
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(own.Cert.NotAfter.Add(-31*24*time.Hour - time.Minute)))
		log := &watched{}
		cfg := &config.Config{Application: config.Application{URI: "urn:test:gateway"}, Endpoints: []config.Endpoint{{Certificate: config.Certificate{File: "own.der"}}, {}}}
		g := &gateway{log: slog.New(slog.NewTextHandler(log, nil)), cfg: cfg, ids: []identity{{pair: own, of: &cfg.Endpoints[0]}, {}}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.remind(ctx) }()
		for day, want := range []string{"", "expires in 29 days", "expires in 28 days", "expires in 27 days"} {
			time.Sleep(remindInterval)
			synctest.Wait()
			if got := log.String(); !strings.Contains(got, want) || strings.Count(got, "expires") != day {
				t.Errorf("day %d: %q", day, got)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A hundred reloads leave nothing behind: goroutines, descriptors, memory.
func TestReload_AHundredTimes(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	p, q := newPhone(t), newPhone(t)
	a, b := newURL(t), newURL(t)
	variant := func(i int) map[string]string {
		calls := func(url string) string { return "<ReverseConnect><Url>" + url + "</Url></ReverseConnect>" }
		if i%2 == 0 {
			return map[string]string{"TcUaServerConfig.xml": endpointsFile(calls(p.url()), a), "edgeua.xml": deviceFile("A", "h0"), "TcUaSecurityConfig.xml": anonymousUsers}
		}
		return map[string]string{"TcUaServerConfig.xml": endpointsFile(calls(q.url()), a, b), "edgeua.xml": deviceFile("A", "h1", "B", "h0"),
			"TcUaSecurityConfig.xml": strings.Replace(anonymousUsers, "<Users>", `<Users><User Name="op" Auth="Server" Password="x"/>`, 1)}
	}
	first := variant(0)
	g := startCalling(t, first["TcUaServerConfig.xml"], first["edgeua.xml"])
	defer g.stop()
	c := visit(t, a)
	hangUp := func() {
		for len(p.calls)+len(q.calls) > 0 {
			select {
			case r := <-p.calls:
				r.Close()
			case r := <-q.calls:
				r.Close()
			}
		}
	}
	measure := func() (goroutines, descriptors int, heap uint64) {
		hangUp()
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), openFiles(t), m.HeapAlloc
	}
	cycle := func(times int) {
		for i := range times {
			g.reload(reloaded, variant(i+1))
			hangUp()
		}
	}
	cycle(10)
	goroutines, descriptors, heap := measure()
	cycle(90)
	nowGoroutines, nowDescriptors, nowHeap := measure()
	t.Logf("goroutines %d -> %d, descriptors %d -> %d, heap %d -> %d KiB", goroutines, nowGoroutines, descriptors, nowDescriptors, heap>>10, nowHeap>>10)
	if nowGoroutines > goroutines+10 || nowDescriptors > descriptors+10 {
		t.Error("something is left behind")
	}
	if log := uint64(len(g.log.String())); nowHeap > heap+4*log+1<<20 { // the log of the test is kept
		t.Errorf("memory is left behind: %d bytes of it are the log", log)
	}
	if got := readStatus(t, c, tag("A.T")); got != ua.StatusOK {
		t.Errorf("%v", got)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// openFiles counts the descriptors of this process.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
