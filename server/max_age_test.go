package server

import (
	"context"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// line is a Refresher that counts up, or never answers.
type line struct {
	silent bool
	next   uint16
	asked  []int         // how many Variables, each time
	waited time.Duration // until the last one was given up
}

func (l *line) Refresh(ctx context.Context, variables []*addressspace.Variable) {
	l.asked = append(l.asked, len(variables))
	if l.silent {
		begin := time.Now()
		<-ctx.Done()
		l.waited = time.Since(begin)
		return
	}
	l.next++
	for _, v := range variables {
		now := uabinary.DateTimeOf(time.Now())
		v.Set(&uabinary.DataValue{Value: uabinary.Uint16Variant(l.next), SourceTimestamp: now, ServerTimestamp: now})
	}
}

func (r *rig) line(names ...string) *line {
	l := &line{}
	for _, name := range names {
		v := r.space.Variable(uabinary.StringID(2, name))
		v.SetRefresher(l)
		old := uabinary.DateTimeOf(time.Now().Add(-time.Hour))
		v.Set(&uabinary.DataValue{Value: uabinary.Uint16Variant(0), SourceTimestamp: old, ServerTimestamp: old})
	}
	return l
}

func (c *client) readAged(maxAge float64, hint uint32, names ...string) (values []any) {
	c.t.Helper()
	req := &uabinary.ReadRequest{TimestampsToReturn: ua.TimestampsToReturnBoth, MaxAge: maxAge}
	for _, name := range names {
		req.NodesToRead = append(req.NodesToRead, valueOf(name))
	}
	req.RequestHeader.TimeoutHint = hint
	var resp uabinary.ReadResponse
	c.wantOK(c.do(&req.RequestHeader, req, &resp))
	for _, dv := range resp.Results {
		values = append(values, dv.Value.Any())
	}
	return values
}

// Part 4 (1.05), 5.11.2: 0 always asks, the largest Int32 never does, anything else when the value is older.
func TestAttributeRead_MaxAge(t *testing.T) {
	r := newRig(t, nil)
	l, other := r.line("Device16", "Int16"), r.line("Number")
	c := r.session(ua.MessageSecurityModeNone)
	for i, step := range []struct {
		maxAge float64
		want   []any
		asked  []int
	}{
		{math.MaxInt32, []any{uint16(0), uint16(0)}, nil},
		{10 * 3600 * 1000, []any{uint16(0), uint16(0)}, nil},
		{1000, []any{uint16(1), uint16(1)}, []int{2}}, // both together
		{3600 * 1000, []any{uint16(1), uint16(1)}, []int{2}},
		{0, []any{uint16(2), uint16(2)}, []int{2, 2}},
		{0, []any{uint16(3), uint16(3)}, []int{2, 2, 2}},
	} {
		if got := c.readAged(step.maxAge, 0, "Device16", "Int16"); !slices.Equal(got, step.want) || !slices.Equal(l.asked, step.asked) {
			t.Errorf("step %d: %v, asked %v; want %v, asked %v", i, got, l.asked, step.want, step.asked)
		}
	}
	if len(other.asked) != 0 {
		t.Error("asked for what was not to be read")
	}
	// A list that mixes sources, plain values and what cannot be read comes back in its order.
	got := c.readAged(0, 0, "Number", "Nothing", "Device16", "Double", "Device16")
	if len(got) != 5 || got[0] != uint16(1) || got[1] != nil || got[2] != uint16(4) || got[4] != uint16(4) || len(other.asked) != 1 {
		t.Errorf("%v, asked %v and %v", got, l.asked, other.asked)
	}
}

// A device that does not answer delays its own Read alone, and no longer than the client waits; then the value that there
// is comes as the best effort.
func TestAttributeRead_MaxAgeIsBoundedByTheTimeoutHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		l := r.line("Device16")
		l.silent = true
		c := r.session(ua.MessageSecurityModeNone)
		if got := c.readAged(0, 2000, "Device16"); got[0] != uint16(0) || l.waited != 1500*time.Millisecond {
			t.Errorf("%v after %v", got, l.waited)
		}
	})
}

// Who asks for more than a Session may wait for gets what there is.
func TestAttributeRead_MaxAgeWithoutRoomToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Limits.MaxCallsAside = 1 })
		l := r.line("Device16")
		l.silent = true
		c := r.session(ua.MessageSecurityModeNone)
		c.sendRead(0, valueOf("Device16"))
		synctest.Wait()
		second := c.sendRead(0, valueOf("Device16"))
		begin := time.Now()
		if id, _, err := c.Receive(); id != second || err != nil || time.Since(begin) > 0 {
			t.Errorf("answer to %d after %v, %v", id, time.Since(begin), err)
		}
		if _, _, err := c.Receive(); err != nil || time.Since(begin) != longestRefresh {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func (c *client) sendRead(maxAge float64, nodes ...uabinary.ReadValueID) uint32 {
	c.t.Helper()
	req := &uabinary.ReadRequest{MaxAge: maxAge, NodesToRead: nodes}
	req.RequestHeader.AuthenticationToken = c.token
	c.RequestID++
	if err := c.Send(uatcp.TypeMessage, 'F', c.RequestID, uabinary.AppendMessage(nil, req)); err != nil {
		c.t.Fatal(err)
	}
	return c.RequestID
}
