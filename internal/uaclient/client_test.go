package uaclient_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uaclient"
)

func TestOpen_everyPolicyAndUser(t *testing.T) {
	g := newGateway(t)
	for _, policy := range []string{ua.SecurityPolicyURINone, ua.SecurityPolicyURIBasic256Sha256,
		ua.SecurityPolicyURIAes128Sha256RsaOaep, ua.SecurityPolicyURIAes256Sha256RsaPss} {
		for _, mode := range []ua.MessageSecurityMode{ua.MessageSecurityModeNone, ua.MessageSecurityModeSign, ua.MessageSecurityModeSignAndEncrypt} {
			if (policy == ua.SecurityPolicyURINone) != (mode == ua.MessageSecurityModeNone) {
				continue
			}
			for _, user := range []string{"", "joe"} {
				t.Run(policy[len(ua.SecurityPolicyURIPrefix):]+","+mode.String()+","+user, func(t *testing.T) {
					o := options()
					o.SecurityPolicyURI, o.Mode, o.User, o.Password = policy, mode, user, "secret"
					c := open(t, g.pipe(), o)
					if got := read(t, c); got != 21.5 {
						t.Errorf("read %v", got)
					}
					if err := c.Close(t.Context()); err != nil {
						t.Error(err)
					}
					if _, err := c.Read(t.Context(), value(temperature)); !errors.Is(err, ua.StatusBadConnectionClosed) {
						t.Errorf("read after Close: %v", err)
					}
				})
			}
		}
	}
}

func TestEndpoints(t *testing.T) {
	g := newGateway(t)
	endpoints, err := uaclient.Endpoints(t.Context(), g.pipe(), endpointURL)
	if err != nil || len(endpoints) != 7 || endpoints[0].EndpointURL != endpointURL {
		t.Errorf("%d endpoints, %v", len(endpoints), err)
	}
}

func TestOpen_serverRefusesUser(t *testing.T) {
	g := newGateway(t)
	o := options()
	o.User, o.Password = "joe", "wrong"
	_, err := uaclient.Open(t.Context(), g.pipe(), o)
	var refused *uaclient.ServerError
	if !errors.As(err, &refused) || !errors.Is(err, ua.StatusBadUserAccessDenied) && !errors.Is(err, ua.StatusBadIdentityTokenRejected) {
		t.Errorf("got %v", err)
	}
}

func TestRead_andWrite(t *testing.T) {
	g := newGateway(t)
	c := open(t, g.pipe(), options())
	write := []uabinary.WriteValue{{NodeID: temperature, AttributeID: ua.AttributeIDValue, Value: uabinary.DataValue{Value: uabinary.DoubleVariant(30)}}}
	if codes, err := c.Write(t.Context(), write); err != nil || codes[0] != ua.StatusGood {
		t.Fatal(codes, err)
	}
	if got := read(t, c); got != 30 {
		t.Errorf("read %v", got)
	}
	values, err := c.Read(t.Context(), value(uabinary.StringID(2, "nothing")))
	if err != nil || values[0].Status != ua.StatusBadNodeIDUnknown {
		t.Error(values, err)
	}
	if _, err := c.Read(t.Context(), nil); !errors.Is(err, ua.StatusBadNothingToDo) {
		t.Error(err)
	}
}

// A folder of 2501 children comes in several responses.
func TestBrowse_followsContinuationPoints(t *testing.T) {
	g := newGateway(t)
	c := open(t, g.pipe(), options())
	references, err := c.Browse(t.Context(), hierarchical(folder), 10_000)
	if err != nil || len(references) != 2501 {
		t.Errorf("%d references, %v", len(references), err)
	}
	references, err = c.Browse(t.Context(), hierarchical(folder), 1500)
	if err != nil || len(references) != 1500 {
		t.Errorf("%d references, %v", len(references), err)
	}
	_, err = c.Browse(t.Context(), hierarchical(uabinary.StringID(2, "nothing")), 10)
	var node *uaclient.NodeError
	if !errors.As(err, &node) || node.Code != ua.StatusBadNodeIDUnknown || !strings.Contains(err.Error(), "ns=2;s=nothing") {
		t.Error(err)
	}
}

func TestCall(t *testing.T) {
	g := newGateway(t)
	c := open(t, g.pipe(), options())
	outputs, err := c.Call(t.Context(), uabinary.CallMethodRequest{ObjectID: folder, MethodID: double, InputArguments: []uabinary.Variant{uabinary.DoubleVariant(4)}})
	if err != nil || len(outputs) != 1 {
		t.Fatal(outputs, err)
	}
	if y, _ := outputs[0].Number(); y != 8 {
		t.Errorf("2 * 4 = %v", y)
	}
	_, err = c.Call(t.Context(), uabinary.CallMethodRequest{ObjectID: folder, MethodID: double})
	var node *uaclient.NodeError
	if !errors.As(err, &node) || node.Code != ua.StatusBadArgumentsMissing {
		t.Error(err)
	}
}

// Requests of many goroutines each get their own response.
func TestClient_concurrentRequests(t *testing.T) {
	g := newGateway(t)
	c := open(t, g.pipe(), options())
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for range 5 {
				outputs, err := c.Call(t.Context(), uabinary.CallMethodRequest{ObjectID: folder, MethodID: double, InputArguments: []uabinary.Variant{uabinary.DoubleVariant(float64(i))}})
				if err != nil {
					t.Error(err)
					return
				}
				if y, _ := outputs[0].Number(); y != float64(2*i) {
					t.Errorf("2 * %d = %v", i, y)
				}
			}
		})
	}
	wg.Wait()
}

func TestOpen_endsWithContext(t *testing.T) {
	for name, nc := range map[string]func(t *testing.T) net.Conn{
		"no hello": func(t *testing.T) net.Conn {
			client, theirs := net.Pipe()
			t.Cleanup(func() { theirs.Close() })
			return client
		},
		"no session": func(t *testing.T) net.Conn {
			return answers{createSessionID: nil}.meet(t, options())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				start := time.Now()
				_, err := uaclient.Open(ctx, nc(t), options())
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

// A request that is given up does not disturb the next one, also when its response comes late.
func TestClient_lateResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late uint32
		nc := answers{readID: func(s *stranger, _ *uabinary.Reader) uabinary.Structure {
			if late == 0 {
				late = s.ID
				return nil
			}
			now := s.ID
			s.ID = late
			if err := s.reply(&uabinary.ReadResponse{Results: make([]uabinary.DataValue, 3)}); err != nil {
				t.Error(err)
			}
			s.ID = now
			return &uabinary.ReadResponse{Results: []uabinary.DataValue{{Value: uabinary.DoubleVariant(2)}}}
		}}.meet(t, options())
		c := open(t, nc, options())
		start := time.Now()
		if _, err := c.Read(t.Context(), value(temperature)); !errors.Is(err, ua.StatusBadTimeout) || time.Since(start) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if got := read(t, c); got != 2 {
			t.Errorf("read %v", got)
		}
	})
}

// A server that answers nothing makes us hold 32 requests and no more.
func TestClient_requestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		nc := answers{readID: func(*stranger, *uabinary.Reader) uabinary.Structure { asked++; return nil }, closeSessionID: nil}.meet(t, options())
		c := open(t, nc, options())
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := c.Read(t.Context(), value(temperature)); !errors.Is(err, ua.StatusBadTimeout) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if asked != 32 {
			t.Errorf("%d requests were sent", asked)
		}
	})
}
