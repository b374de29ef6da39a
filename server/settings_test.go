package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// replace applies the configuration of the rig with a change.
func (r *rig) replace(change func(*Config), reopen ...string) {
	r.t.Helper()
	cfg := *r.config()
	cfg.Endpoints = append([]EndpointConfig(nil), cfg.Endpoints...)
	change(&cfg)
	apply, err := r.Prepare(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	apply(reopen)
}

// state reads on the Session of c, without failing if there is none any more.
func (c *client) state() ua.StatusCode {
	req := &uabinary.ReadRequest{NodesToRead: []uabinary.ReadValueID{valueOf("Int16")}}
	var resp uabinary.ReadResponse
	code, err := c.try(&req.RequestHeader, req, &resp)
	switch {
	case err != nil:
		return ua.StatusBadConnectionClosed
	case code != ua.StatusOK:
		return code
	}
	return resp.Results[0].Status
}

func TestPrepare_RefusesAndChangesNothing(t *testing.T) {
	r := newRig(t, nil)
	before := r.settings()
	for name, change := range map[string]func(*Config){
		"another ApplicationURI": func(c *Config) { c.ApplicationURI = "urn:other" },
		"no endpoint":            func(c *Config) { c.Endpoints = nil },
		"an endpoint twice":      func(c *Config) { c.Endpoints = append(c.Endpoints[:1:1], c.Endpoints[0]) },
		"a user twice":           func(c *Config) { c.Users = append(c.Users[:1:1], c.Users[0]) },
		"a broken hash":          func(c *Config) { c.Users = []User{{Name: "joe", Hash: []byte("x")}} },
	} {
		cfg := *r.config()
		change(&cfg)
		if _, err := r.Prepare(cfg); err == nil || r.settings() != before {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Users and rights hold for open Sessions at once (Part 18 (1.05), 5.2.7).
func TestReplace_UsersOfOpenSessions(t *testing.T) {
	for name, tt := range map[string]struct {
		change         func(*Config)
		joe, anonymous ua.StatusCode
	}{
		"nothing":            {func(*Config) {}, ua.StatusOK, ua.StatusOK},
		"another user":       {func(c *Config) { c.Users = append(c.Users[:2:2], User{Name: "eve", Password: "x"}) }, ua.StatusOK, ua.StatusOK},
		"user removed":       {func(c *Config) { c.Users = c.Users[:1:1] }, ua.StatusBadSessionIDInvalid, ua.StatusOK},
		"password changed":   {func(c *Config) { c.Users = []User{c.Users[0], {Name: "joe", Password: "other"}} }, ua.StatusBadSessionIDInvalid, ua.StatusOK},
		"user names off":     {func(c *Config) { c.UserName = false }, ua.StatusBadSessionIDInvalid, ua.StatusOK},
		"anonymous off":      {func(c *Config) { c.Anonymous = false }, ua.StatusOK, ua.StatusBadSessionIDInvalid},
		"user Anonymous off": {func(c *Config) { c.Users = c.Users[1:] }, ua.StatusOK, ua.StatusBadSessionIDInvalid},
		"no rights for joe": {func(c *Config) {
			c.Rights = func(u, _ string) Rights { return map[string]Rights{AnonymousUser: AllRights}[u] }
		}, ua.StatusBadUserAccessDenied, ua.StatusOK},
		"no rights for anybody": {func(c *Config) { c.Rights = func(string, string) Rights { return 0 } }, ua.StatusBadUserAccessDenied, ua.StatusBadUserAccessDenied},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			joe, anonymous := r.channel(ua.MessageSecurityModeSign), r.session(ua.MessageSecurityModeNone)
			joe.mustCreate()
			joe.wantOK(joe.login(joe.userToken("joe", "secret")))
			r.replace(tt.change)
			joe.want(tt.joe, joe.state())
			anonymous.want(tt.anonymous, anonymous.state())
		})
	}
}

// What is monitored follows the rights, too.
func TestReplace_RightsOfMonitoredItems(t *testing.T) {
	inTime(t, nil, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(100)
		s.monitor(sub, item("Int16"))
		if got := s.cycle().values(); len(got) != 1 || got[0].Value.Status != ua.StatusOK {
			t.Fatalf("%+v", got)
		}
		r.replace(func(c *Config) { c.Rights = func(string, string) Rights { return 0 } })
		if got := s.cycle().values(); len(got) != 1 || got[0].Value.Status != ua.StatusBadUserAccessDenied {
			t.Errorf("without rights: %+v", got)
		}
		r.replace(func(c *Config) { c.Rights = nil })
		if got := s.cycle().values(); len(got) != 1 || got[0].Value.Status != ua.StatusOK {
			t.Errorf("with rights again: %+v", got)
		}
	})
}

// A login that began before the users changed does not outlive the change.
func TestRevise_LoginOfTheSettingsBefore(t *testing.T) {
	r := newRig(t, nil)
	c := r.channel(ua.MessageSecurityModeSign)
	c.mustCreate()
	c.wantOK(c.login(c.userToken("joe", "secret")))
	old := r.settings()
	r.replace(func(cfg *Config) { cfg.Users = append(cfg.Users[:2:2], User{Name: "eve", Password: "x"}) })
	late := r.withRights(old, user{name: "joe"})
	r.replace(func(cfg *Config) { cfg.Users = cfg.Users[:1:1] })
	c = r.channel(ua.MessageSecurityModeSign)
	c.mustCreate()
	sess := r.lookup(c.token)
	sess.mu.Lock()
	sess.activated, sess.user = true, late
	sess.mu.Unlock()
	r.revise(sess)
	c.want(ua.StatusBadSessionIDInvalid, c.state())
}

func TestReplace_ReopenedEndpointKeepsSessions(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeSign)
	r.replace(func(cfg *Config) { cfg.Endpoints[0].SkipNonceLengthCheck = true }, securechanneltest.EndpointURL)
	if report := c.served.wait(); !errors.Is(report.Err, ua.StatusBadSecureChannelClosed) {
		t.Fatalf("the connection ended with %v", report.Err)
	}
	again := r.channel(ua.MessageSecurityModeSign)
	again.token, again.nonce = c.token, c.nonce
	again.wantOK(again.activate(anonymousToken(), again.signature()))
	again.wantOK(again.state())
}

func TestReplace_SecurityThatIsGone(t *testing.T) {
	r := newRig(t, nil)
	signed, open := r.session(ua.MessageSecurityModeSign), r.session(ua.MessageSecurityModeNone)
	r.replace(func(cfg *Config) { cfg.Endpoints[0].Security = cfg.Endpoints[0].Security[1:] })
	open.want(ua.StatusBadSessionIDInvalid, open.state())
	signed.wantOK(signed.state())
	discovery := r.channel(ua.MessageSecurityModeNone)
	if _, code := discovery.create(discovery.createRequest()); code != ua.StatusBadSecurityPolicyRejected {
		t.Errorf("a session without security: %v", code)
	}
}

func TestReplace_RemovedEndpoint(t *testing.T) {
	r := newRig(t, nil)
	const url = "opc.tcp://other.test:4841"
	c := r.session(ua.MessageSecurityModeSign)
	at := r.Endpoint(0)
	nc, waiting := r.pipe()
	defer nc.Close()
	for r.Counts().Connections < 2 {
		runtime.Gosched()
	}
	r.replace(func(cfg *Config) { cfg.Endpoints[0].URL = url })
	if report := c.served.wait(); !errors.Is(report.Err, ua.StatusBadSecureChannelClosed) {
		t.Errorf("the connection ended with %v", report.Err)
	}
	if report := waiting.wait(); report.Stage != uatcp.StageNoHello {
		t.Errorf("a connection that has said nothing: %+v", report)
	}
	if r.lookup(c.token) != nil || r.EndpointByURL(securechanneltest.EndpointURL) != nil || r.EndpointByURL(url) == nil {
		t.Error("session or endpoint is still there")
	}
	// Who still has the old Endpoint is refused.
	near, far := net.Pipe()
	done := make(chan uatcp.Report, 1)
	go func() { done <- r.Serve(t.Context(), far, at, nil) }()
	if _, err := securechanneltest.Dial(near, none, ua.MessageSecurityModeNone, clientIdentity(), serverIdentity().Chain[0]); err == nil {
		t.Error("a removed endpoint is served")
	}
	near.Close()
	<-done
}

// New connections see the new certificate, those that exist go on with the old one.
func TestReplace_RenewedCertificate(t *testing.T) {
	r := newRig(t, nil)
	before := r.channel(ua.MessageSecurityModeSign)
	before.mustCreate()
	renewed := newIdentity(serverURI)
	r.replace(func(cfg *Config) { cfg.Endpoints[0].Identity = renewed })
	before.wantOK(before.activate(anonymousToken(), before.signature()))
	before.wantOK(before.state())

	nc, served := r.pipe()
	c, err := securechanneltest.Dial(nc, secure, ua.MessageSecurityModeSign, clientIdentity(), renewed.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { nc.Close(); served.wait() }()
	after := &client{Client: c, t: t, rig: r, served: served}
	created, code := after.create(after.createRequest())
	after.wantOK(code)
	if string(created.ServerCertificate) != string(renewed.Chain[0]) {
		t.Error("the old certificate is shown")
	}
	nc, served = r.pipe()
	if _, err := securechanneltest.Dial(nc, secure, ua.MessageSecurityModeSign, clientIdentity(), serverIdentity().Chain[0]); err == nil {
		t.Error("the old certificate still opens channels")
	}
	nc.Close()
	served.wait()
}

func TestReplace_Limits(t *testing.T) {
	r := newRig(t, nil)
	a := r.session(ua.MessageSecurityModeNone)
	r.session(ua.MessageSecurityModeNone)
	r.replace(func(cfg *Config) {
		cfg.Limits.MaxSessions, cfg.Limits.MaxSecureChannels, cfg.LocaleIDs = 1, 9, []string{"de"}
	})
	a.wantOK(a.state()) // nothing is taken away
	c := r.channel(ua.MessageSecurityModeNone)
	if _, code := c.create(c.createRequest()); code != ua.StatusBadTooManySessions {
		t.Errorf("a third session: %v", code)
	}
	shown := func(node uint32) any {
		got := a.read(uabinary.ReadValueID{NodeID: uabinary.NumericID(0, node), AttributeID: ua.AttributeIDValue})
		return got[0].Value.Any()
	}
	if got := shown(id.Server_ServerCapabilities_MaxSessions); got != uint32(1) && got != uint16(1) {
		t.Errorf("MaxSessions shows %v", got)
	}
	r.replace(func(cfg *Config) { cfg.LocaleIDs = nil })
	if got := shown(id.Server_ServerCapabilities_LocaleIDArray).([]string); len(got) != 1 || got[0] != "en" {
		t.Errorf("LocaleIdArray shows %v", got)
	}
}

// Who guesses passwords is not helped by a change of the settings.
func TestReplace_KeepsFailedLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(cfg *Config) { cfg.Limits.MaxBadLogins = 2 })
		for range 2 {
			c := r.channel(ua.MessageSecurityModeSign)
			c.mustCreate()
			c.want(ua.StatusBadIdentityTokenRejected, c.login(c.userToken("joe", rand.Text())))
			r.replace(func(cfg *Config) { cfg.Users = append(cfg.Users, User{Name: rand.Text()}) })
		}
		c := r.channel(ua.MessageSecurityModeSign)
		c.mustCreate()
		c.want(ua.StatusBadUserAccessDenied, c.login(c.userToken("joe", "secret")))
		time.Sleep(2 * time.Minute)
	})
}

// The set that clients are told of contains this server (Part 5 (1.05), 6.3.9).
func TestRedundancy(t *testing.T) {
	r := newRig(t, nil)
	c := r.session(ua.MessageSecurityModeNone)
	shown := func() (any, any) {
		var nodes []uabinary.ReadValueID
		for _, node := range []uint32{id.Server_ServerRedundancy_RedundancySupport, id.Server_ServerRedundancy_ServerURIArray} {
			nodes = append(nodes, uabinary.ReadValueID{NodeID: uabinary.NumericID(0, node), AttributeID: ua.AttributeIDValue})
		}
		got := c.read(nodes...)
		if got[1].Status != ua.StatusOK {
			return got[0].Value.Any(), got[1].Status
		}
		return got[0].Value.Any(), got[1].Value.Any()
	}
	if support, uris := shown(); support != int32(0) || uris != ua.StatusBadNodeIDUnknown {
		t.Errorf("alone: %v, %v", support, uris)
	}
	r.replace(func(cfg *Config) { cfg.Redundancy = Redundancy{ua.RedundancySupportWarm, []string{"urn:other"}} })
	if support, uris := shown(); support != int32(2) || fmt.Sprint(uris) != "["+serverURI+" urn:other]" {
		t.Errorf("Warm: %v, %v", support, uris)
	}
}
