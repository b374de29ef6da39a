package server

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// modes are every security there is in the tests.
var modes = []ua.MessageSecurityMode{
	ua.MessageSecurityModeNone, ua.MessageSecurityModeSign, ua.MessageSecurityModeSignAndEncrypt,
}

func TestSessionBase_CreateActivateReadClose(t *testing.T) {
	r := newRig(t, nil)
	for _, mode := range modes {
		c := r.session(mode)
		if dv := c.read(valueOf("Int16"))[0]; dv.Status != ua.StatusOK || !dv.Value.Equal(uabinary.Int16Variant(7)) {
			t.Errorf("%v: got %v %v", mode, dv.Value, dv.Status)
		}
		var resp uabinary.CloseSessionResponse
		req := &uabinary.CloseSessionRequest{DeleteSubscriptions: true}
		c.wantOK(c.do(&req.RequestHeader, req, &resp))
		c.want(ua.StatusBadSessionIDInvalid, c.do(&req.RequestHeader, req, &resp))
	}
	if n := len(r.sessions); n != 0 {
		t.Errorf("%d sessions left", n)
	}
}

func TestSessionBase_ServerProvesItsKey(t *testing.T) {
	r := newRig(t, nil)
	c := r.channel(ua.MessageSecurityModeSign)
	req := c.createRequest()
	resp, code := c.create(req)
	c.wantOK(code)
	policy, _ := securechannel.PolicyByURI(secure)
	sig := resp.ServerSignature
	if sig.Algorithm != policy.SignatureAlgorithm() ||
		policy.Verify(&serverIdentity().Key.PublicKey, sig.Signature, req.ClientCertificate, req.ClientNonce) != nil {
		t.Error("the server signature does not verify")
	}
	if len(resp.ServerNonce) != nonceLength || len(resp.ServerEndpoints) != 3 {
		t.Errorf("nonce of %d bytes, %d endpoints", len(resp.ServerNonce), len(resp.ServerEndpoints))
	}
}

func TestSessionBase_RevisedTimeout(t *testing.T) {
	r := newRig(t, nil)
	c := r.channel(ua.MessageSecurityModeNone)
	for asked, want := range map[float64]float64{
		0: 3_600_000, -1: 3_600_000, math.Inf(1): 3_600_000, 1: 10_000, 60_000: 60_000, 1e300: 3_600_000,
	} {
		req := c.createRequest()
		req.RequestedSessionTimeout = asked
		resp, code := c.create(req)
		if code != ua.StatusOK || resp.RevisedSessionTimeout != want {
			t.Errorf("asked %v: got %v, %v, want %v", asked, resp.RevisedSessionTimeout, code, want)
		}
		c.closeSession()
	}
	if got := r.limits().revisedTimeout(math.NaN()); got != time.Hour {
		t.Errorf("NaN: got %v", got)
	}
}

func (c *client) closeSession() {
	c.t.Helper()
	req := &uabinary.CloseSessionRequest{}
	c.wantOK(c.do(&req.RequestHeader, req, &uabinary.CloseSessionResponse{}))
}

func TestSessionBase_CreateSessionRefused(t *testing.T) {
	r := newRig(t, nil)
	for _, tt := range []struct {
		name   string
		change func(*uabinary.CreateSessionRequest)
		want   ua.StatusCode
	}{
		{"short nonce", func(q *uabinary.CreateSessionRequest) { q.ClientNonce = q.ClientNonce[:31] }, ua.StatusBadNonceInvalid},
		{"no nonce", func(q *uabinary.CreateSessionRequest) { q.ClientNonce = nil }, ua.StatusBadNonceInvalid},
		{"no certificate", func(q *uabinary.CreateSessionRequest) { q.ClientCertificate = nil }, ua.StatusBadCertificateInvalid},
		{"other certificate", func(q *uabinary.CreateSessionRequest) { q.ClientCertificate = otherIdentity().Chain[0] }, ua.StatusBadCertificateInvalid},
		{"rubbish after the leaf", func(q *uabinary.CreateSessionRequest) {
			q.ClientCertificate = append(q.ClientCertificate[:len(q.ClientCertificate):len(q.ClientCertificate)], "rubbish"...)
		}, ua.StatusBadCertificateInvalid},
		{"URI not in the certificate", func(q *uabinary.CreateSessionRequest) { q.ClientDescription.ApplicationURI = "urn:x" }, ua.StatusBadCertificateURIInvalid},
		{"other server", func(q *uabinary.CreateSessionRequest) { q.ServerURI = "urn:x" }, ua.StatusBadServerURIInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := r.channel(ua.MessageSecurityModeSignAndEncrypt)
			req := c.createRequest()
			tt.change(req)
			_, code := c.create(req)
			c.want(tt.want, code)
		})
	}
}

func TestSessionBase_IssuersBehindTheLeafAreAccepted(t *testing.T) {
	r := newRig(t, nil)
	c := r.channel(ua.MessageSecurityModeSign)
	req := c.createRequest()
	req.ClientCertificate = append(append([]byte(nil), req.ClientCertificate...), otherIdentity().Chain[0]...)
	_, code := c.create(req)
	c.wantOK(code)
}

func TestSecurityPolicyNone_RubbishIsIgnored(t *testing.T) {
	r := newRig(t, nil)
	c := r.channel(ua.MessageSecurityModeNone)
	req := c.createRequest()
	req.ClientNonce, req.ClientCertificate = []byte("short"), []byte("rubbish")
	resp, code := c.create(req)
	c.wantOK(code)
	if resp.ServerSignature.Signature != nil || resp.ServerSignature.Algorithm != "" {
		t.Error("a signature on None")
	}
	c.wantOK(c.activate(anonymousToken(), uabinary.SignatureData{Algorithm: "x", Signature: []byte("rubbish")}))
}

func TestSecurityPolicyNone_RefusedWhenDisabled(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Endpoints[0].Security = cfg.Endpoints[0].Security[1:] })
	c := r.channel(ua.MessageSecurityModeNone)
	_, code := c.create(c.createRequest())
	c.want(ua.StatusBadSecurityPolicyRejected, code)
	req := &uabinary.GetEndpointsRequest{}
	var resp uabinary.GetEndpointsResponse
	c.wantOK(c.do(&req.RequestHeader, req, &resp))
	if len(resp.Endpoints) != 2 {
		t.Errorf("%d endpoints", len(resp.Endpoints))
	}
}

func TestSessionBase_RequestBeforeActivationClosesTheSession(t *testing.T) {
	r := newRig(t, nil)
	c := r.channel(ua.MessageSecurityModeSign)
	c.mustCreate()
	req := &uabinary.ReadRequest{NodesToRead: []uabinary.ReadValueID{valueOf("Int16")}}
	c.want(ua.StatusBadSessionNotActivated, c.do(&req.RequestHeader, req, &uabinary.ReadResponse{}))
	c.want(ua.StatusBadSessionIDInvalid, c.do(&req.RequestHeader, req, &uabinary.ReadResponse{}))
}

func TestSessionBase_ClientSignature(t *testing.T) {
	r := newRig(t, nil)
	c := r.channel(ua.MessageSecurityModeSign)
	c.mustCreate()
	good := c.signature()
	c.want(ua.StatusBadApplicationSignatureInvalid, c.activate(anonymousToken(), uabinary.SignatureData{}))
	c.want(ua.StatusBadApplicationSignatureInvalid, c.activate(anonymousToken(), uabinary.SignatureData{Algorithm: "x", Signature: good.Signature}))
	bad := append([]byte(nil), good.Signature...)
	bad[3] ^= 1
	c.want(ua.StatusBadApplicationSignatureInvalid, c.activate(anonymousToken(), uabinary.SignatureData{Algorithm: good.Algorithm, Signature: bad}))
	c.wantOK(c.activate(anonymousToken(), good))
	// The nonce is single use: the same signature is no good again.
	c.want(ua.StatusBadApplicationSignatureInvalid, c.activate(anonymousToken(), good))
	c.wantOK(c.activate(anonymousToken(), c.signature()))
}

func TestSessionBase_TokenOfAnotherChannel(t *testing.T) {
	r := newRig(t, nil)
	owner, thief := r.session(ua.MessageSecurityModeSign), r.channel(ua.MessageSecurityModeSign)
	thief.token = owner.token
	req := &uabinary.ReadRequest{NodesToRead: []uabinary.ReadValueID{valueOf("Int16")}}
	thief.want(ua.StatusBadSecureChannelIDInvalid, thief.do(&req.RequestHeader, req, &uabinary.ReadResponse{}))
	owner.read(valueOf("Int16"))
}

func TestSessionTransfer_FirstActivationOnlyOnTheCreatingChannel(t *testing.T) {
	r := newRig(t, nil)
	a, b := r.channel(ua.MessageSecurityModeSign), r.channel(ua.MessageSecurityModeSign)
	a.mustCreate()
	b.token, b.nonce = a.token, a.nonce
	b.want(ua.StatusBadSecureChannelIDInvalid, b.activate(anonymousToken(), b.signature()))
	a.wantOK(a.activate(anonymousToken(), a.signature()))
}

func TestSessionTransfer_ToAnotherChannel(t *testing.T) {
	r := newRig(t, nil)
	a, b := r.session(ua.MessageSecurityModeSign), r.channel(ua.MessageSecurityModeSign)
	other := r.channelAs(ua.MessageSecurityModeSign, otherIdentity())
	weak := r.channel(ua.MessageSecurityModeNone)
	for _, c := range []*client{b, other, weak} {
		c.token, c.nonce = a.token, a.nonce
	}
	other.want(ua.StatusBadSecurityChecksFailed, other.activate(anonymousToken(), other.signature()))
	weak.want(ua.StatusBadSecurityChecksFailed, weak.activate(anonymousToken(), weak.signature()))
	b.want(ua.StatusBadIdentityChangeNotSupported, b.login(b.userToken("joe", "secret")))
	b.wantOK(b.activate(anonymousToken(), b.signature()))
	b.read(valueOf("Int16"))
	req := &uabinary.ReadRequest{NodesToRead: []uabinary.ReadValueID{valueOf("Int16")}}
	a.want(ua.StatusBadSecureChannelIDInvalid, a.do(&req.RequestHeader, req, &uabinary.ReadResponse{}))
}

func TestSessionTransfer_AfterTheChannelIsLost(t *testing.T) {
	r := newRig(t, nil)
	a := r.session(ua.MessageSecurityModeSign)
	a.Net.Close()
	r.waitUnbound(a)
	b := r.channel(ua.MessageSecurityModeSign)
	b.token, b.nonce = a.token, a.nonce
	b.wantOK(b.activate(anonymousToken(), b.signature()))
	b.read(valueOf("Int16"))
}

// waitUnbound waits until the server has noticed that the channel of c is gone.
func (r *rig) waitUnbound(c *client) {
	for {
		sess := r.lookup(c.token)
		if sess == nil {
			r.t.Fatal("the session went with its channel")
		}
		sess.mu.Lock()
		bound := sess.channel != nil
		sess.mu.Unlock()
		if !bound {
			return
		}
	}
}

func TestSessionBase_OneOverTheLimit(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Limits.MaxSessions = 2; cfg.Limits.MaxSecureChannels = 10 })
	r.session(ua.MessageSecurityModeNone)
	idle := r.channel(ua.MessageSecurityModeNone)
	idle.mustCreate() // never activated: gives way
	r.session(ua.MessageSecurityModeNone)
	idle.want(ua.StatusBadSessionIDInvalid, idle.activate(anonymousToken(), idle.signature()))
	late := r.channel(ua.MessageSecurityModeNone)
	_, code := late.create(late.createRequest())
	late.want(ua.StatusBadTooManySessions, code)
}

func TestSessionBase_LimitsPerChannelAndClient(t *testing.T) {
	r := newRig(t, func(cfg *Config) {
		cfg.Limits.MaxSessionsPerChannel = 2
		cfg.Limits.MaxSessionsPerClient = 3
	})
	c := r.channel(ua.MessageSecurityModeNone)
	c.mustCreate()
	c.mustCreate()
	_, code := c.create(c.createRequest())
	c.want(ua.StatusBadTooManySessions, code)
	d := r.channel(ua.MessageSecurityModeNone)
	d.mustCreate()
	_, code = d.create(d.createRequest())
	d.want(ua.StatusBadTooManySessions, code)
}

func TestSessionBase_UnusedSessionEndsAtItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.session(ua.MessageSecurityModeNone)
		for range 3 { // used: lives on past its 60 s
			time.Sleep(40 * time.Second)
			c.read(valueOf("Int16"))
		}
		time.Sleep(60*time.Second + time.Millisecond)
		req := &uabinary.ReadRequest{NodesToRead: []uabinary.ReadValueID{valueOf("Int16")}}
		c.want(ua.StatusBadSessionIDInvalid, c.do(&req.RequestHeader, req, &uabinary.ReadResponse{}))
		if n := r.counters.sessionTimeouts.Load(); n != 1 {
			t.Errorf("%d timeouts counted", n)
		}
	})
}

func TestSessionBase_NotActivatedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.channel(ua.MessageSecurityModeNone)
		c.mustCreate()
		time.Sleep(30*time.Second + time.Millisecond)
		c.want(ua.StatusBadSessionIDInvalid, c.activate(anonymousToken(), c.signature()))
	})
}

func TestSessionBase_ChannelWithoutSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.channel(ua.MessageSecurityModeNone)
		time.Sleep(61 * time.Second)
		if _, err := c.try(&uabinary.RequestHeader{}, &uabinary.FindServersRequest{}, &uabinary.FindServersResponse{}); err == nil {
			t.Error("the channel lives on")
		}
	})
}

func TestSessionBase_TokensAreRandom(t *testing.T) {
	r := newRig(t, nil)
	c := r.channel(ua.MessageSecurityModeNone)
	seen := make(map[uabinary.NodeID]bool)
	for range 4 {
		c.mustCreate()
		if seen[c.token] || seen[c.id] || len(c.token.Text) != nonceLength {
			t.Fatalf("token %v, id %v", c.token, c.id)
		}
		seen[c.token], seen[c.id] = true, true
	}
}

func TestShutdown_TellsSessionsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.session(ua.MessageSecurityModeSign)
		ended := make(chan error)
		go func() { ended <- r.Shutdown(t.Context()) }()
		c.Net.SetDeadline(time.Time{})
		if _, _, err := c.Receive(); err == nil {
			t.Error("no ERR")
		}
		c.Net.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if report := c.served.wait(); !errors.Is(report.Err, errStopping) {
			t.Errorf("report %+v", report)
		}
	})
}
