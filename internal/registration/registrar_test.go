package registration

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ldsURL = "opc.tcp://lds.test:4841"
	policy = ua.SecurityPolicyURIBasic256Sha256
)

var (
	ldsIdentity = sync.OnceValue(func() *securechannel.Identity { return securechanneltest.NewIdentity("server2048", "urn:test:lds") })
	ownIdentity = sync.OnceValue(func() *securechannel.Identity { return securechanneltest.NewIdentity("client2048", "urn:test:gateway") })
)

// stub is a discovery server. Connections come in pairs: one to ask for the
// endpoints, one to register.
type stub struct {
	t       testing.TB
	old     bool // knows RegisterServer only
	refuse  ua.StatusCode
	bare    bool // offers no security
	serving sync.WaitGroup

	mu       sync.Mutex
	down     bool                        // guarded by mu
	dialled  []string                    // guarded by mu
	secured  bool                        // guarded by mu; the next connection is for registering
	told     []uabinary.RegisteredServer // guarded by mu
	mdns     uabinary.MdnsDiscoveryConfiguration
	services []uint32 // guarded by mu
}

func (s *stub) dial(_ context.Context, _, address string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialled = append(s.dialled, address)
	if s.down {
		return nil, errors.New("connection refused")
	}
	client, server := net.Pipe()
	policyURI, mode, certificate := ua.SecurityPolicyURINone, ua.MessageSecurityModeNone, []byte(nil)
	if s.secured {
		policyURI, mode, certificate = policy, ua.MessageSecurityModeSignAndEncrypt, ownIdentity().Chain[0]
	}
	s.secured = !s.secured && !s.bare
	s.serving.Go(func() { s.serve(server, policyURI, mode, certificate) })
	return client, nil
}

func (s *stub) serve(nc net.Conn, policyURI string, mode ua.MessageSecurityMode, certificate []byte) {
	defer nc.Close()
	peer, err := securechanneltest.NewServer(nc, uatcp.Config{}, policyURI, mode, ldsIdentity(), certificate)
	if err == nil {
		err = peer.Open()
	}
	if err != nil {
		return // the client thought better of it
	}
	for {
		body, err := peer.Receive()
		if err != nil {
			return
		}
		if err := peer.Send(uatcp.TypeMessage, uatcp.Final, peer.ID, uabinary.AppendMessage(nil, s.answer(body))); err != nil {
			return
		}
	}
}

func (s *stub) answer(body []byte) uabinary.Structure {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := uabinary.NewReader(body, nil)
	kind := r.MessageType()
	s.services = append(s.services, kind)
	fault := func(code ua.StatusCode) uabinary.Structure {
		return &uabinary.ServiceFault{ResponseHeader: uabinary.ResponseHeader{ServiceResult: code}}
	}
	switch {
	case kind == id.GetEndpointsRequest_Encoding_DefaultBinary:
		resp := &uabinary.GetEndpointsResponse{Endpoints: []uabinary.EndpointDescription{
			{EndpointURL: "opc.tcp://elsewhere:1", SecurityMode: ua.MessageSecurityModeNone, SecurityPolicyURI: ua.SecurityPolicyURINone},
		}}
		if !s.bare {
			resp.Endpoints = append(resp.Endpoints, uabinary.EndpointDescription{
				EndpointURL: "opc.tcp://elsewhere:1", SecurityMode: ua.MessageSecurityModeSignAndEncrypt, SecurityPolicyURI: policy,
				ServerCertificate: ldsIdentity().Chain[0],
			})
		}
		return resp
	case s.refuse != 0:
		return fault(s.refuse)
	case kind == id.RegisterServer2Request_Encoding_DefaultBinary && !s.old:
		var req uabinary.RegisterServer2Request
		req.Parse(r)
		s.told = append(s.told, req.Server)
		if err := req.DiscoveryConfiguration[0].Decode(&s.mdns, nil); err != nil {
			s.t.Error(err)
		}
		return &uabinary.RegisterServer2Response{}
	case kind == id.RegisterServerRequest_Encoding_DefaultBinary:
		var req uabinary.RegisterServerRequest
		req.Parse(r)
		s.told = append(s.told, req.Server)
		return &uabinary.RegisterServerResponse{}
	}
	return fault(ua.StatusBadServiceUnsupported)
}

func (s *stub) set(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// count is how often the server was told about, and how many times as gone.
func (s *stub) count() (online, offline int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.told {
		if s.told[i].IsOnline {
			online++
		} else {
			offline++
		}
	}
	return online, offline
}

// run registers at s in fake time while f looks on.
func run(t *testing.T, s *stub, change func(*Config), f func(log *bytes.Buffer)) {
	t.Helper()
	ldsIdentity()
	ownIdentity()
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		var log bytes.Buffer
		cfg := Config{
			URLs: []string{ldsURL}, Interval: 30 * time.Second, Identity: ownIdentity(), Dial: s.dial,
			Capabilities: []string{"DA"}, Log: slog.New(slog.NewTextHandler(&log, nil)),
			Server: uabinary.RegisteredServer{
				ServerURI: "urn:test:gateway", ServerNames: []uabinary.LocalizedText{{Text: strings.Repeat("ü", 40)}},
				DiscoveryURLs: []string{"opc.tcp://gateway:4840"},
			},
			Trust: func(der []byte) error {
				if bytes.Equal(der, ldsIdentity().Chain[0]) {
					return nil
				}
				return ua.StatusBadCertificateUntrusted
			},
		}
		if change != nil {
			change(&cfg)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- New(cfg).Run(ctx) }()
		synctest.Wait()
		f(&log)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.serving.Wait()
		if i := slices.IndexFunc(s.dialled, func(a string) bool { return a != "lds.test:4841" }); i >= 0 {
			t.Errorf("dialled %s", s.dialled[i]) // I9
		}
	})
}

func TestRegisterServer2_RepeatedAndTakenBack(t *testing.T) {
	s := &stub{}
	run(t, s, nil, func(*bytes.Buffer) {
		if online, _ := s.count(); online != 1 {
			t.Fatalf("registered %d times at once", online)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if online, offline := s.count(); online < 11 || online > 14 || offline != 0 {
			t.Errorf("registered %d times in 5 minutes, taken back %d times", online, offline)
		}
	})
	if online, offline := s.count(); offline != 1 || s.told[online].IsOnline {
		t.Errorf("taken back %d times", offline)
	}
	first := s.told[0]
	if first.ServerURI != "urn:test:gateway" || len(first.DiscoveryURLs) != 1 {
		t.Errorf("told %+v", first)
	}
	if len(s.mdns.ServerCapabilities) != 1 || len(s.mdns.MdnsServerName) != 62 {
		t.Errorf("told %+v", s.mdns)
	}
}

func TestRegisterServer_WhereTheOtherIsUnknown(t *testing.T) {
	s := &stub{old: true}
	run(t, s, nil, func(*bytes.Buffer) {})
	if online, offline := s.count(); online != 1 || offline != 1 {
		t.Errorf("registered %d times, taken back %d times", online, offline)
	}
	if !slices.Contains(s.services, id.RegisterServer2Request_Encoding_DefaultBinary) {
		t.Error("RegisterServer2 was not tried")
	}
}

// Failures come further and further apart, are told once, and end by themselves.
func TestRegistration_BacksOff(t *testing.T) {
	s := &stub{down: true}
	run(t, s, nil, func(log *bytes.Buffer) {
		time.Sleep(time.Hour)
		synctest.Wait()
		s.set(func() {
			if n := len(s.dialled); n < 8 || n > 14 {
				t.Errorf("%d attempts in an hour", n)
			}
			s.down = false
		})
		time.Sleep(longestPause)
		synctest.Wait()
		if online, _ := s.count(); online == 0 {
			t.Error("not registered once the discovery server is back")
		}
		if n := strings.Count(log.String(), "not registered"); n != 1 || strings.Count(log.String(), "msg=registered") != 1 {
			t.Errorf("log: %s", log.String())
		}
	})
}

// Nothing is told to a discovery server that is not trusted or has no security.
func TestRegistration_OnlyOverASecureChannelToATrustedServer(t *testing.T) {
	for name, tt := range map[string]struct {
		stub   *stub
		change func(*Config)
	}{
		"not trusted": {stub: &stub{}, change: func(c *Config) { c.Trust = func([]byte) error { return ua.StatusBadCertificateUntrusted } }},
		"no security": {stub: &stub{bare: true}},
		"no identity": {stub: &stub{}, change: func(c *Config) { c.Identity = nil }},
		"refused":     {stub: &stub{refuse: ua.StatusBadServerURIInvalid}},
		"bad address": {stub: &stub{}, change: func(c *Config) { c.URLs = []string{"https://lds.test"} }},
		"no address":  {stub: &stub{}, change: func(c *Config) { c.URLs = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, tt.stub, tt.change, func(log *bytes.Buffer) {
				if online, _ := tt.stub.count(); online != 0 {
					t.Error("registered")
				}
				if told := strings.Contains(log.String(), "not registered"); told == (name == "no address") {
					t.Errorf("log: %s", log.String())
				}
			})
			if _, offline := tt.stub.count(); offline != 0 {
				t.Error("what never was is taken back")
			}
		})
	}
}
