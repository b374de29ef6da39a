package server

import (
	"crypto/x509"
	"slices"
	"testing"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
)

func (c *client) endpoints(req uabinary.GetEndpointsRequest) []uabinary.EndpointDescription {
	c.t.Helper()
	var resp uabinary.GetEndpointsResponse
	c.wantOK(c.do(&req.RequestHeader, &req, &resp))
	return resp.Endpoints
}

func (c *client) servers(req uabinary.FindServersRequest) []uabinary.ApplicationDescription {
	c.t.Helper()
	var resp uabinary.FindServersResponse
	c.wantOK(c.do(&req.RequestHeader, &req, &resp))
	return resp.Servers
}

func TestDiscoveryGetEndpoints(t *testing.T) {
	r := newRig(t, nil)
	c := r.channel(ua.MessageSecurityModeNone)
	c.token = uabinary.NumericID(1, 99) // ignored
	for _, name := range []string{"", "garbage", securechanneltest.EndpointURL, "http://127.0.0.1", "opc.tcp://elsewhere:1", "opc.tcp://[::1"} {
		list := c.endpoints(uabinary.GetEndpointsRequest{EndpointURL: name})
		if len(list) != 3 {
			t.Fatalf("%q: %d endpoints", name, len(list))
		}
		for _, e := range list {
			if e.EndpointURL != securechanneltest.EndpointURL || e.Server.ApplicationURI != serverURI || e.TransportProfileURI != transportProfile {
				t.Errorf("%q: %+v", name, e)
			}
		}
	}
	if n := len(c.endpoints(uabinary.GetEndpointsRequest{ProfileURIs: []string{"urn:other"}})); n != 0 {
		t.Errorf("unknown profile: %d endpoints", n)
	}
	if n := len(c.endpoints(uabinary.GetEndpointsRequest{ProfileURIs: []string{"urn:other", transportProfile}, LocaleIDs: []string{"xx"}})); n != 3 {
		t.Errorf("own profile among others: %d endpoints", n)
	}
}

func TestDiscoveryGetEndpoints_BestIsLast(t *testing.T) {
	r := newRig(t, nil)
	list := r.settings().endpoints[0].descriptions("opc.tcp://x")
	if !slices.IsSortedFunc(list, func(a, b uabinary.EndpointDescription) int { return int(a.SecurityLevel) - int(b.SecurityLevel) }) {
		t.Error("SignAndEncrypt is not above Sign above None")
	}
}

func TestDiscoveryFindServersSelf(t *testing.T) {
	r := newRig(t, nil)
	c := r.channel(ua.MessageSecurityModeNone)
	for _, filter := range [][]string{nil, {serverURI}, {"urn:x", serverURI}} {
		list := c.servers(uabinary.FindServersRequest{ServerURIs: filter, LocaleIDs: []string{"??"}})
		if len(list) != 1 || list[0].ApplicationURI != serverURI || !slices.Equal(list[0].DiscoveryURLs, []string{securechanneltest.EndpointURL}) {
			t.Errorf("%v: %+v", filter, list)
		}
	}
	if n := len(c.servers(uabinary.FindServersRequest{ServerURIs: []string{"urn:x"}})); n != 0 {
		t.Errorf("foreign filter: %d servers", n)
	}
}

func TestDiscovery_ApplicationURIIsThatOfTheCertificate(t *testing.T) {
	r := newRig(t, nil)
	e := r.channel(ua.MessageSecurityModeNone).endpoints(uabinary.GetEndpointsRequest{})[0]
	cert, err := x509.ParseCertificate(e.ServerCertificate)
	if err != nil || cert.URIs[0].String() != e.Server.ApplicationURI {
		t.Errorf("certificate %v, %v; description %q", cert.URIs, err, e.Server.ApplicationURI)
	}
}

func TestDiscovery_HiddenEndpoints(t *testing.T) {
	r := newRig(t, func(cfg *Config) {
		second := cfg.Endpoints[0]
		second.URL, second.Visible = "opc.tcp://127.0.0.1:4841", false
		cfg.Endpoints = append(cfg.Endpoints, second)
		cfg.Endpoints[0].Discovery = false
	})
	c := r.channel(ua.MessageSecurityModeNone)
	if n := len(c.endpoints(uabinary.GetEndpointsRequest{})); n != 3 {
		t.Errorf("%d endpoints", n)
	}
	if urls := c.servers(uabinary.FindServersRequest{})[0].DiscoveryURLs; !slices.Equal(urls, []string{"opc.tcp://127.0.0.1:4841"}) {
		t.Errorf("discovery URLs %v", urls)
	}
}

func TestDiscovery_TooManyFilters(t *testing.T) {
	r := newRig(t, nil)
	c := r.channel(ua.MessageSecurityModeNone)
	req := &uabinary.GetEndpointsRequest{LocaleIDs: make([]string, 17)}
	c.want(ua.StatusBadTooManyOperations, c.do(&req.RequestHeader, req, &uabinary.GetEndpointsResponse{}))
}

// The URL returned is the configured one byte for byte, or another name of this
// endpoint by which the client came.
func TestEndpointURL_FollowsTheClientOnlyToOwnNames(t *testing.T) {
	r := newRig(t, func(cfg *Config) {
		cfg.Endpoints[0].URL = "opc.tcp://Gateway:4840/ua"
		cfg.Endpoints[0].AlternativeURLs = []string{"opc.tcp://nat.test:5000/x"}
	})
	const own = "opc.tcp://Gateway:4840/ua"
	for _, tt := range []struct{ requested, hello, want string }{
		{own, own, own},
		{"opc.tcp://127.0.0.1:4840/ua", own, own}, // a client behind a reverse connection
		{"opc.tcp://127.0.0.1:36051/ua", "", own}, // other port
		{"opc.tcp://gateway:4840", "", own},
		{"opc.tcp://GATEWAY", "", own}, // default port
		{"opc.tcp://gateway.test:4840/zzz", "", "opc.tcp://gateway.test:4840/ua"},
		{"opc.tcp://127.0.0.1:4840", "", "opc.tcp://127.0.0.1:4840/ua"},
		{"", "opc.tcp://127.0.0.1:4840", "opc.tcp://127.0.0.1:4840/ua"},
		{"opc.tcp://NAT.test:5000", "", "opc.tcp://nat.test:5000/x"},
		{"opc.tcp://nat.test:5001", "", own},
		{"opc.tcp://evil.test:4840", "opc.tcp://evil.test:4840", own},
		{"opc.tcp://gateway.test:4840@evil", "", own},
		{"https://gateway.test:4840", "", own},
		{"\x00", "\xff", own},
	} {
		if got := r.settings().endpoints[0].urlFor(tt.requested, tt.hello); got != tt.want {
			t.Errorf("urlFor(%q, %q) = %q, want %q", tt.requested, tt.hello, got, tt.want)
		}
	}
}
