package server

import (
	"net"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// dialPeer opens a channel on a connection that is for peer.
func (r *rig) dialPeer(peer Peer, mode ua.MessageSecurityMode, identity *securechannel.Identity) (*client, error) {
	r.t.Helper()
	near, far := net.Pipe()
	s := &served{done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.report = r.ServePeer(r.t.Context(), far, r.Endpoint(0), peer, nil)
	}()
	r.t.Cleanup(func() { near.Close(); s.wait() })
	policy := secure
	if mode == ua.MessageSecurityModeNone {
		policy = none
	}
	c, err := securechanneltest.Dial(near, policy, mode, identity, serverIdentity().Chain[0])
	return &client{Client: c, t: r.t, rig: r, served: s}, err
}

func (r *rig) mustDialPeer(peer Peer, mode ua.MessageSecurityMode, identity *securechannel.Identity) *client {
	r.t.Helper()
	c, err := r.dialPeer(peer, mode, identity)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// wantRefused checks how the connection ended, and with which code for the peer.
func (c *client) wantRefused(stage uatcp.Stage, code ua.StatusCode) {
	c.t.Helper()
	select {
	case <-c.served.done:
	case <-time.After(5 * time.Second):
		c.t.Error("the connection is still open")
		c.Net.Close()
	}
	report := c.served.wait()
	if !report.Refused || report.Stage != stage || statusOf(report.Err) != code || report.PeerError != nil {
		c.t.Errorf("%+v, want a refusal with %v at %v", report, code, stage)
	}
}

func TestPeer_TheOneAskedForIsServed(t *testing.T) {
	r := newRig(t, nil)
	c := r.mustDialPeer(Peer{ApplicationURI: clientURI}, ua.MessageSecurityModeSign, clientIdentity())
	c.mustCreate()
	c.wantOK(c.activate(anonymousToken(), c.signature()))
	if dv := c.read(valueOf("Int16")); dv[0].Status != ua.StatusOK {
		t.Error(dv[0].Status)
	}
	c.Net.Close()
	if report := c.served.wait(); report.Refused {
		t.Errorf("%+v", report)
	}
}

// Another trusted application at the configured address gets nothing: the
// channel is closed behind OPN, before its owner hears of a success.
func TestPeer_AnotherApplicationIsRefused(t *testing.T) {
	r := newRig(t, nil)
	for _, uri := range []string{clientURI, "urn:test:othe", "urn:test:Other", "urn:test:other "} {
		c := r.mustDialPeer(Peer{ApplicationURI: uri}, ua.MessageSecurityModeSign, otherIdentity())
		_, err := c.try(&uabinary.RequestHeader{}, &uabinary.GetEndpointsRequest{}, &uabinary.GetEndpointsResponse{})
		if err == nil {
			t.Errorf("%q: served", uri)
		}
		c.wantRefused(uatcp.StageHello, ua.StatusBadCertificateURIInvalid)
	}
}

func TestPeer_ClientDescriptionOfAnother(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Endpoints[0].SkipApplicationURICheck = true })
	c := r.mustDialPeer(Peer{ApplicationURI: clientURI}, ua.MessageSecurityModeSign, clientIdentity())
	req := c.createRequest()
	req.ClientDescription.ApplicationURI = "urn:test:other"
	_, code := c.create(req)
	c.want(ua.StatusBadCertificateURIInvalid, code)
	c.wantRefused(uatcp.StageChannel, ua.StatusBadCertificateURIInvalid)
}

func TestPeer_NoneIsForDiscoveryOnly(t *testing.T) {
	r := newRig(t, nil)
	c := r.mustDialPeer(Peer{ApplicationURI: clientURI}, ua.MessageSecurityModeNone, nil)
	if n := len(c.endpoints(uabinary.GetEndpointsRequest{})); n != 3 {
		t.Errorf("%d endpoints", n)
	}
	if n := len(c.servers(uabinary.FindServersRequest{})); n != 1 {
		t.Errorf("%d servers", n)
	}
	_, code := c.create(c.createRequest())
	c.want(ua.StatusBadSecurityPolicyRejected, code)
	c.wantRefused(uatcp.StageChannel, ua.StatusBadSecurityPolicyRejected)
}

// A Session that was opened elsewhere is no way round.
func TestPeer_NoneSessionFromAnotherConnection(t *testing.T) {
	r := newRig(t, nil)
	elsewhere := r.session(ua.MessageSecurityModeNone)
	c := r.mustDialPeer(Peer{ApplicationURI: clientURI}, ua.MessageSecurityModeNone, nil)
	c.token = elsewhere.token
	c.want(ua.StatusBadSecurityPolicyRejected, c.activate(anonymousToken(), uabinary.SignatureData{}))
	c.wantRefused(uatcp.StageChannel, ua.StatusBadSecurityPolicyRejected)
}

func TestPeer_AllowUnverified(t *testing.T) {
	r := newRig(t, nil)
	c := r.mustDialPeer(Peer{ApplicationURI: clientURI, AllowUnverified: true}, ua.MessageSecurityModeNone, nil)
	c.mustCreate()
	c.wantOK(c.activate(anonymousToken(), uabinary.SignatureData{}))
	// It does not admit what is known to be another.
	c = r.mustDialPeer(Peer{ApplicationURI: "urn:x", AllowUnverified: true}, ua.MessageSecurityModeNone, nil)
	_, code := c.create(c.createRequest())
	c.want(ua.StatusBadCertificateURIInvalid, code)
	c = r.mustDialPeer(Peer{ApplicationURI: "urn:x", AllowUnverified: true}, ua.MessageSecurityModeSign, clientIdentity())
	c.wantRefused(uatcp.StageHello, ua.StatusBadCertificateURIInvalid)
}

func TestPeer_EndpointURLByteForByte(t *testing.T) {
	const announced = "opc.tcp://Nat.test:5000/Über"
	r := newRig(t, func(cfg *Config) {
		cfg.Endpoints[0].AlternativeURLs = []string{"opc.tcp://nat.test:5000", announced}
	})
	c := r.mustDialPeer(Peer{EndpointURL: announced}, ua.MessageSecurityModeSign, clientIdentity())
	for _, name := range []string{"", announced, "opc.tcp://nat.test:5000", securechanneltest.EndpointURL, "opc.tcp://127.0.0.1:36051"} {
		if got := c.endpoints(uabinary.GetEndpointsRequest{EndpointURL: name})[0].EndpointURL; got != announced {
			t.Errorf("%q gets %q", name, got)
		}
	}
	resp, code := c.create(c.createRequest())
	if c.wantOK(code); resp.ServerEndpoints[0].EndpointURL != announced {
		t.Errorf("CreateSession returns %q", resp.ServerEndpoints[0].EndpointURL)
	}
	if urls := c.servers(uabinary.FindServersRequest{})[0].DiscoveryURLs; urls[0] != announced {
		t.Errorf("FindServers returns %q", urls)
	}
}
