package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/ua"
	"golang.org/x/crypto/bcrypt"

	"github.com/edgeua/edgeua/internal/uabinary"
)

func TestSecurityUserNamePassword_Right(t *testing.T) {
	r := newRig(t, nil)
	for _, mode := range modes {
		c := r.channel(mode)
		c.mustCreate()
		c.wantOK(c.login(c.userToken("joe", "secret")))
		if u := r.lookup(c.token).user; u.name != "joe" || u.anonymous {
			t.Errorf("%v: user %+v", mode, u)
		}
		c.read(valueOf("Int16"))
	}
}

func TestSecurityUserNamePassword_Hash(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("hashed"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(cfg *Config) { cfg.Users = append(cfg.Users, User{Name: "ann", Hash: hash}) })
	for _, tt := range []struct {
		name, password string
		ok             bool
	}{
		{"ann", "hashed", true}, {"ann", "secret", false}, {"ann", "", false},
		{"joe", "secret", true}, {"joe", "hashed", false}, {"nobody", "hashed", false},
		{AnonymousUser, "", false},
	} {
		if got := r.settings().users.check(tt.name, []byte(tt.password)); got != tt.ok {
			t.Errorf("%s/%s: got %v", tt.name, tt.password, got)
		}
	}
}

func TestSecurityUserNamePassword_Refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(cfg *Config) { cfg.Limits.MaxBadLogins = 1000 })
		for _, tt := range []struct {
			name   string
			change func(*client, *uabinary.UserNameIdentityToken)
			want   ua.StatusCode
		}{
			{"wrong password", func(c *client, u *uabinary.UserNameIdentityToken) { *u = *c.userToken("joe", "Secret") }, ua.StatusBadIdentityTokenRejected},
			{"unknown user", func(c *client, u *uabinary.UserNameIdentityToken) { *u = *c.userToken("jim", "secret") }, ua.StatusBadIdentityTokenRejected},
			{"user without password", func(c *client, u *uabinary.UserNameIdentityToken) { *u = *c.userToken(AnonymousUser, "") }, ua.StatusBadIdentityTokenRejected},
			{"empty user", func(c *client, u *uabinary.UserNameIdentityToken) { *u = *c.userToken("", "secret") }, ua.StatusBadIdentityTokenInvalid},
			{"wrong policy id", func(_ *client, u *uabinary.UserNameIdentityToken) { u.PolicyID = "x" }, ua.StatusBadIdentityTokenInvalid},
			{"wrong algorithm", func(_ *client, u *uabinary.UserNameIdentityToken) { u.EncryptionAlgorithm = "x" }, ua.StatusBadIdentityTokenInvalid},
			{"plain text", func(_ *client, u *uabinary.UserNameIdentityToken) {
				u.EncryptionAlgorithm, u.Password = "", []byte("secret")
			}, ua.StatusBadIdentityTokenInvalid},
			{"garbage", func(_ *client, u *uabinary.UserNameIdentityToken) { u.Password[9] ^= 1 }, ua.StatusBadIdentityTokenRejected},
			{"nothing", func(_ *client, u *uabinary.UserNameIdentityToken) { u.Password = nil }, ua.StatusBadIdentityTokenRejected},
			{"old nonce", func(c *client, u *uabinary.UserNameIdentityToken) {
				fresh := c.nonce
				c.nonce = make([]byte, nonceLength)
				*u = *c.userToken("joe", "secret")
				c.nonce = fresh
			}, ua.StatusBadIdentityTokenRejected},
		} {
			for _, mode := range modes {
				c := r.channel(mode)
				c.mustCreate()
				token := c.userToken("joe", "secret")
				tt.change(c, token)
				if got := c.login(token); got != tt.want {
					t.Errorf("%s, %v: got %v, want %v", tt.name, mode, got, tt.want)
				}
				c.wantOK(c.login(c.userToken("joe", "secret"))) // and it works after
				c.closeSession()
				c.Net.Close()
			}
		}
	})
}

func TestSecurityUserNamePassword_OtherTokens(t *testing.T) {
	r := newRig(t, nil)
	c := r.channel(ua.MessageSecurityModeSign)
	c.mustCreate()
	x509 := uabinary.ExtensionObjectOf(&uabinary.X509IdentityToken{PolicyID: "x"})
	broken := anonymousToken()
	broken.Body = broken.Body[:2]
	for _, tt := range []struct {
		name  string
		token uabinary.ExtensionObject
		want  ua.StatusCode
	}{
		{"X509", x509, ua.StatusBadIdentityTokenRejected},
		{"unknown type", uabinary.ExtensionObjectOf(&uabinary.Range{}), ua.StatusBadIdentityTokenInvalid},
		{"anonymous, cut", broken, ua.StatusBadIdentityTokenInvalid},
		{"anonymous, other policy", uabinary.ExtensionObjectOf(&uabinary.AnonymousIdentityToken{PolicyID: "x"}), ua.StatusBadIdentityTokenInvalid},
		{"none means anonymous", uabinary.ExtensionObject{}, ua.StatusOK},
	} {
		if got := c.activate(tt.token, c.signature()); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestSecurityAdministration_TokenTypesOff(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"disabled":          func(cfg *Config) { cfg.Anonymous = false },
		"no anonymous user": func(cfg *Config) { cfg.Users = cfg.Users[1:] },
	} {
		r := newRig(t, change)
		c := r.channel(ua.MessageSecurityModeSign)
		c.mustCreate()
		for asked, want := range map[uint32]string{0: "", additionalInfo: "EnableAnonymous and a user Anonymous"} {
			req := &uabinary.ActivateSessionRequest{ClientSignature: c.signature(), UserIdentityToken: anonymousToken()}
			req.RequestHeader.ReturnDiagnostics = asked
			c.info = ""
			if got := c.do(&req.RequestHeader, req, &uabinary.ActivateSessionResponse{}); got != ua.StatusBadIdentityTokenRejected {
				t.Errorf("anonymous, %s: got %v", name, got)
			}
			if !strings.Contains(c.info, want) || (c.info == "") != (want == "") {
				t.Errorf("anonymous, %s, asked for %#x: told %q", name, asked, c.info)
			}
		}
		read := &uabinary.ReadRequest{}
		read.RequestHeader.ReturnDiagnostics = additionalInfo
		if c.do(&read.RequestHeader, read, &uabinary.ReadResponse{}); c.info != "" {
			t.Errorf("another fault says %q", c.info)
		}
	}
	r := newRig(t, func(cfg *Config) { cfg.UserName = false })
	c := r.channel(ua.MessageSecurityModeSign)
	c.mustCreate()
	c.want(ua.StatusBadIdentityTokenRejected, c.login(c.userToken("joe", "secret")))
}

func TestSessionChangeUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.session(ua.MessageSecurityModeSign)
		c.wantOK(c.login(c.userToken("joe", "secret")))
		c.want(ua.StatusBadIdentityTokenRejected, c.login(c.userToken("joe", "wrong")))
		if u := r.lookup(c.token).user; u.name != "joe" {
			t.Errorf("wrong credentials changed the user to %+v", u)
		}
		c.read(valueOf("Int16"))
	})
}

// 1, 2, 4, 8 s, then locked for 60 s, for this client only.
func TestSecurityInvalidUserToken_DelaysAndLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c, other := r.channel(ua.MessageSecurityModeSign), r.channel(ua.MessageSecurityModeNone)
		c.mustCreate()
		other.mustCreate()
		for _, want := range []time.Duration{1, 2, 4, 8, 0} {
			start := time.Now()
			c.want(ua.StatusBadIdentityTokenRejected, c.login(c.userToken("joe", "wrong")))
			if got := time.Since(start); got != want*time.Second {
				t.Errorf("answered after %v, want %v s", got, want)
			}
		}
		c.want(ua.StatusBadUserAccessDenied, c.login(c.userToken("joe", "secret")))
		other.wantOK(other.login(other.userToken("joe", "secret")))
		for _, tt := range []struct {
			pause time.Duration
			want  ua.StatusCode
		}{{59 * time.Second, ua.StatusBadUserAccessDenied}, {2 * time.Second, ua.StatusOK}} {
			time.Sleep(tt.pause)
			again := r.channel(ua.MessageSecurityModeSign)
			again.mustCreate()
			again.want(tt.want, again.login(again.userToken("joe", "secret")))
		}
	})
}

// New certificates bring more attempts, but not without end; who logged in
// before is not locked out by others at his address.
func TestLoginGuard_ManyCertificates(t *testing.T) {
	l := Limits{}.withDefaults()
	g := newLoginGuard(&l)
	now := time.Now()
	guesser := func(i int) loginClient { return loginClient{address: "192.0.2.1", certificate: [32]byte{byte(i)}} }
	operator := guesser(255)
	g.succeeded(operator, now)
	attempts := 0
	for i := range 100 {
		for range l.MaxBadLogins - 1 {
			if !g.locked(guesser(i), now) {
				g.failed(guesser(i), now)
				attempts++
			}
		}
	}
	if want := addressShare * l.MaxBadLogins; attempts != want {
		t.Errorf("%d attempts from one address, want %d", attempts, want)
	}
	if !g.locked(guesser(200), now) || g.locked(operator, now) || g.locked(loginClient{address: "192.0.2.2"}, now) {
		t.Error("the wrong ones are locked")
	}
	if g.locked(guesser(200), now.Add(l.BadLoginWindow)) {
		t.Error("locked for ever")
	}
	g.failed(operator, now)
	for range l.MaxBadLogins - 1 {
		g.failed(operator, now)
	}
	if !g.locked(operator, now) {
		t.Error("who logged in before may guess without end")
	}
}

func TestLoginGuard_TableIsBounded(t *testing.T) {
	l := Limits{}.withDefaults()
	g := newLoginGuard(&l)
	now := time.Now()
	for i := range 3 * maxLoginClients {
		client := loginClient{address: string(rune(i + 1))}
		g.failed(client, now.Add(time.Duration(i)))
	}
	if n := len(g.clients); n > maxLoginClients {
		t.Errorf("%d clients remembered", n)
	}
}

func TestTokenPolicies_IDsAreUnique(t *testing.T) {
	r := newRig(t, func(cfg *Config) {
		certificateUsers()(cfg)
		second := cfg.Endpoints[0]
		second.URL = "opc.tcp://127.0.0.1:4841"
		second.Security = []SecuritySetting{{ua.SecurityPolicyURIBasic256Sha256, []ua.MessageSecurityMode{ua.MessageSecurityModeSign}}}
		cfg.Endpoints = append(cfg.Endpoints, second)
	})
	seen := make(map[string]uabinary.UserTokenPolicy)
	for _, e := range r.settings().endpoints {
		for _, d := range e.descriptions(e.cfg.URL) {
			if len(d.UserIdentityTokens) != 3 {
				t.Errorf("%s: %d policies", d.SecurityPolicyURI, len(d.UserIdentityTokens))
			}
			for _, p := range d.UserIdentityTokens {
				if old, ok := seen[p.PolicyID]; ok && old != p {
					t.Errorf("id %q is %+v and %+v", p.PolicyID, old, p)
				}
				seen[p.PolicyID] = p
				if p.TokenType != ua.UserTokenTypeAnonymous && p.SecurityPolicyURI == "" {
					t.Errorf("policy %q leaves the algorithms to the channel", p.PolicyID)
				}
			}
		}
	}
}

// The administrator reads which of the two switches is missing.
func TestAnonymousRefused_TheLogSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Anonymous, cfg.NoAnonymous = false, "there is no users file"
		var log bytes.Buffer
		s, err := New(cfg, testSpace(t), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		c := (&rig{Server: s, t: t}).channel(ua.MessageSecurityModeSign)
		c.mustCreate()
		c.want(ua.StatusBadIdentityTokenRejected, c.activate(anonymousToken(), c.signature()))
		if !strings.Contains(log.String(), `msg="anonymous session refused"`) || !strings.Contains(log.String(), "there is no users file") {
			t.Errorf("log: %s", log.String())
		}
		s.closeSession(s.lookup(c.token), true)
	})
}

// The administrator reads why a login is refused; the client does not.
func TestLoginRefused_TheLogSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.Users = append(cfg.Users, User{Name: "os", NoPassword: "accounts of the operating system are not used"})
		var log bytes.Buffer
		s, err := New(cfg, testSpace(t), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{Server: s, t: t}
		c := r.channel(ua.MessageSecurityModeSign)
		c.mustCreate()
		for user, reason := range map[string]string{
			"os": `user=os reason="accounts of the operating system are not used"`, "joe": `user=joe reason="wrong password"`,
			"hunter2": `reason="there is no such user"`,
		} {
			log.Reset()
			c.want(ua.StatusBadIdentityTokenRejected, c.login(c.userToken(user, "x")))
			if !strings.Contains(log.String(), `msg="login refused"`) || !strings.Contains(log.String(), reason) || strings.Contains(log.String(), "hunter2") {
				t.Errorf("%s: %s", user, log.String())
			}
		}
		s.closeSession(s.lookup(c.token), true)
	})
}
