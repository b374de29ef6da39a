package attack

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/server"
)

// fill gives the Variables of the plant the longest values that may be written.
func (s *siege) fill() {
	s.t.Helper()
	array := make([]float64, 65535)
	for i := range array {
		array[i] = float64(i)
	}
	for name, value := range map[string]any{
		"Blob": make([]byte, 500_000), "Text": strings.Repeat("x", 60_000), "Array": array,
	} {
		s.space.Variable(uabinary.StringID(2, name)).Set(&uabinary.DataValue{Value: uabinary.VariantOf(value)})
	}
}

// brief makes what is left of a Session go soon.
func brief(c *server.Config) { c.Limits.MaxSessionTimeout = stretched(3 * time.Second) }

// the same long value a thousand times over is no response.
func TestA40_ReadBombs(t *testing.T) {
	s := besiege(t, nil)
	s.fill()
	s.before = hold()
	s.before.descriptors -= s.heldOpen()
	c := s.session(attackAddress, nil)
	for _, name := range []string{"Blob", "Text", "Array"} {
		_, code, err := c.read(repeat(1000, valueOf(name))...)
		wantCode(t, name, code, err, ua.StatusBadResponseTooLarge)
		part := valueOf(name)
		part.IndexRange = "1:60000"
		_, code, err = c.read(repeat(1000, part)...)
		wantCode(t, "part of "+name, code, err, ua.StatusBadResponseTooLarge)
	}
	_, code, err := c.read(valueOf("Blob"), valueOf("Array"))
	wantCode(t, "each once", code, err, ua.StatusOK)
	s.keeps(1, 256<<10)
	s.leave()
	s.over()
}

// who never reads holds up neither the values of others nor the stop of
// the server, and what waits for it is bounded.
func TestA11_NeverRead(t *testing.T) {
	s := besiege(t, brief)
	s.fill()
	var all sync.WaitGroup
	for i := range 8 {
		c := s.session(fmt.Sprintf("127.0.0.%d", 2+i/4), nil)
		if _, _, err := c.subscribe(50, append(repeat(200, valueOf("Counter")), repeat(4, valueOf("Text"))...)...); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			req := &uabinary.ReadRequest{NodesToRead: repeat(7, valueOf("Array"))}
			req.RequestHeader.AuthenticationToken = c.token
			body := uabinary.AppendMessage(nil, req)
			for range 40 {
				if c.sendBody(body) != nil || c.publish() != nil {
					return // no longer taken, or closed
				}
			}
		})
	}
	counter := s.space.Variable(uabinary.StringID(2, "Text"))
	slowest := time.Duration(0)
	for i := range 50 { // a driver works on
		start := time.Now()
		counter.Set(&uabinary.DataValue{Value: uabinary.VariantOf(strings.Repeat("y", 60_000)), Status: ua.StatusCode(i << 8)})
		slowest = max(slowest, time.Since(start))
		pause(10 * time.Millisecond)
	}
	if slowest > stretched(time.Second) {
		t.Errorf("a value was set in %v", slowest)
	}
	s.enter(entryDuring)
	all.Wait()
	s.leave()
	s.over()
}

// clients that do not read do not keep the server from stopping.
func TestA11_NeverReadAtTheEnd(t *testing.T) {
	s := besiege(t, func(c *server.Config) { c.Limits.WriteTimeout = patience })
	s.fill()
	for range 4 {
		c := s.session(attackAddress, nil)
		req := &uabinary.ReadRequest{NodesToRead: repeat(7, valueOf("Array"))}
		req.RequestHeader.AuthenticationToken = c.token
		body := uabinary.AppendMessage(nil, req)
		c.Net.SetWriteDeadline(time.Now().Add(time.Second))
		for range 5 {
			c.sendBody(body)
		}
	}
	s.peak.stop()
	start := time.Now()
	s.stop()
	if took := time.Since(start); took > stretched(4*time.Second) {
		t.Errorf("stopping took %v", took)
	}
	s.log.check(t)
}

// Publish requests of a client that does not read their answers.
func TestA42_PublishBacklog(t *testing.T) {
	s := besiege(t, nil)
	s.fill()
	c := s.session(attackAddress, nil)
	if _, _, err := c.subscribe(50, repeat(1000, valueOf("Counter"))...); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for ; sent < 200_000; sent++ {
		c.Net.SetWriteDeadline(time.Now().Add(time.Second))
		if err := c.publish(); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Log(err)
			}
			break
		}
	}
	if sent == 200_000 {
		t.Error("the server took 200000 requests without an answer being read")
	}
	s.leave()
	s.over()
}

// values in queues, whole or in part.
func TestA41_QueuesOfLongValues(t *testing.T) {
	s := besiege(t, nil)
	s.fill()
	s.before = hold()
	s.before.descriptors -= s.heldOpen()
	c := s.session(attackAddress, nil)
	subscription, _, err := c.subscribe(3600_000)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range repeat(2, valueOf("Text")) {
		part, slice := text, valueOf("Array")
		part.IndexRange, slice.IndexRange = fmt.Sprintf("%d:50000", i), fmt.Sprintf("%d:60000", i)
		for _, target := range []uabinary.ReadValueID{text, part, slice} {
			if _, err := c.monitor(subscription, 100, repeat(200, target)...); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 30 {
		if _, err := c.write("Text", strings.Repeat(string(rune('a'+i%26)), 60_000)); err != nil {
			t.Fatal(err)
		}
		pause(12 * time.Millisecond)
	}
	if grown := int64(hold().heap) - int64(s.before.heap); grown > 24<<20 {
		t.Errorf("I4: queues hold %d MiB", grown>>20)
	}
	req := &uabinary.CloseSessionRequest{DeleteSubscriptions: true}
	code, err := c.call(&req.RequestHeader, req, &uabinary.CloseSessionResponse{})
	wantCode(t, "close", code, err, ua.StatusOK)
	s.leave()
	s.over()
}
