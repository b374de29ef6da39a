package server

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/gopcua/opcua"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
)

func signing() []ua.MessageSecurityMode {
	return []ua.MessageSecurityMode{ua.MessageSecurityModeSign, ua.MessageSecurityModeSignAndEncrypt}
}

// everyPolicy offers all six, the deprecated ones included.
func everyPolicy(cfg *Config) {
	cfg.AllowDeprecated = true
	cfg.Endpoints[0].Security = []SecuritySetting{
		{none, []ua.MessageSecurityMode{ua.MessageSecurityModeNone}},
		{ua.SecurityPolicyURIBasic128Rsa15, signing()}, {ua.SecurityPolicyURIBasic256, signing()},
		{ua.SecurityPolicyURIBasic256Sha256, signing()}, {ua.SecurityPolicyURIAes128Sha256RsaOaep, signing()},
		{ua.SecurityPolicyURIAes256Sha256RsaPss, signing()},
	}
}

// A foreign client comes with every policy, in every mode, as every kind of user.
func TestForeignClient_GopcuaEveryPolicyModeAndUser(t *testing.T) {
	ann := personal(t, "ann", otherIdentity())
	r, url := listenWith(t, func(cfg *Config) {
		everyPolicy(cfg)
		certificateUsers(ann)(cfg)
		cfg.Limits.MaxConnections, cfg.Limits.MaxConnectionsPerAddress, cfg.Limits.MaxSessions = 100, 100, 100
	})
	for _, s := range r.config().Endpoints[0].Security {
		for _, mode := range s.Modes {
			for _, tt := range []struct {
				token ua.UserTokenType
				auth  []opcua.Option
			}{
				{ua.UserTokenTypeAnonymous, []opcua.Option{opcua.AuthAnonymous()}},
				{ua.UserTokenTypeUserName, []opcua.Option{opcua.AuthUsername("joe", "secret")}},
				{ua.UserTokenTypeCertificate, []opcua.Option{opcua.AuthCertificate(ann.Chain[0]), opcua.AuthPrivateKey(ann.Key)}},
			} {
				if mode == ua.MessageSecurityModeNone && tt.token != ua.UserTokenTypeAnonymous {
					continue // gopcua has no server certificate to encrypt or sign for
				}
				t.Run(s.PolicyURI[strings.Index(s.PolicyURI, "#")+1:]+" "+mode.String()+" "+tt.token.String(), func(t *testing.T) {
					c, err := dial(t, url, s.PolicyURI, mode, tt.token, tt.auth...)
					if err != nil {
						t.Fatal(err)
					}
					if v, err := c.Node(ua.NewStringNodeID(2, "Int16")).Value(t.Context()); err != nil || v.Value() != int16(7) {
						t.Errorf("read: %v, %v", v, err)
					}
				})
			}
		}
	}
}

// The deprecated policies exist behind their switch only, are the last choice,
// leave passwords to a better one, and are warned of at each start.
func TestDeprecatedPolicies(t *testing.T) {
	cfg := testConfig()
	everyPolicy(&cfg)
	cfg.AllowDeprecated = false
	if _, err := New(cfg, testSpace(t), nil); err == nil {
		t.Error("offered without the switch")
	}
	r := newRig(t, nil)
	nc, _ := r.pipe()
	defer nc.Close()
	if _, err := securechanneltest.Dial(nc, ua.SecurityPolicyURIBasic256, ua.MessageSecurityModeSign, clientIdentity(), serverIdentity().Chain[0]); err == nil {
		t.Error("a channel without the switch")
	}

	cfg.AllowDeprecated = true
	var log bytes.Buffer
	s, err := New(cfg, testSpace(t), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "deprecated SecurityPolicy"); n != 2 {
		t.Errorf("%d warnings: %s", n, log.String())
	}
	endpoints := s.Endpoint(0).descriptions(cfg.Endpoints[0].URL)
	for _, e := range endpoints {
		old := slices.Contains([]string{ua.SecurityPolicyURIBasic128Rsa15, ua.SecurityPolicyURIBasic256}, e.SecurityPolicyURI)
		for _, other := range endpoints {
			if old && other.SecurityMode == e.SecurityMode && other.SecurityPolicyURI != e.SecurityPolicyURI && other.SecurityLevel < e.SecurityLevel {
				t.Errorf("%s ranks above %s", e.SecurityPolicyURI, other.SecurityPolicyURI)
			}
		}
		for _, p := range e.UserIdentityTokens {
			if p.SecurityPolicyURI == ua.SecurityPolicyURIBasic128Rsa15 {
				t.Errorf("%s encrypts with Basic128Rsa15", p.PolicyID)
			}
		}
	}
}

// The chain goes along with the certificate; signatures cover the certificate
// alone, or all of it where a client sees it so.
func TestCertificateChain(t *testing.T) {
	issuer := otherIdentity().Chain[0]
	for _, withChain := range []bool{false, true} {
		r := newRig(t, func(cfg *Config) {
			own := *serverIdentity()
			own.Chain = [][]byte{own.Chain[0], issuer}
			cfg.Endpoints[0].Identity = &own
			cfg.Endpoints[0].SignatureWithChain = withChain
		})
		sent := slices.Concat(serverIdentity().Chain[0], issuer)
		if got := r.settings().endpoints[0].descriptions(securechanneltest.EndpointURL)[1].ServerCertificate; !bytes.Equal(got, sent) {
			t.Errorf("GetEndpoints has %d bytes of certificate", len(got))
		}
		c := r.channel(ua.MessageSecurityModeSign)
		req := c.createRequest()
		req.ClientCertificate = slices.Concat(clientIdentity().Chain[0], issuer)
		resp, code := c.create(req)
		c.wantOK(code)
		if !bytes.Equal(resp.ServerCertificate, sent) {
			t.Errorf("CreateSession has %d bytes of certificate", len(resp.ServerCertificate))
		}
		policy, _ := r.config().policy(secure)
		covered := clientIdentity().Chain[0]
		if withChain {
			covered = req.ClientCertificate
		}
		if err := policy.Verify(&serverIdentity().Key.PublicKey, resp.ServerSignature.Signature, covered, req.ClientNonce); err != nil {
			t.Errorf("with chain %v: %v", withChain, err)
		}
		c.wantOK(c.activate(anonymousToken(), c.signature()))
		sig, err := policy.Sign(clientIdentity().Key, sent, c.nonce)
		if err != nil {
			t.Fatal(err)
		}
		c.wantOK(c.activate(anonymousToken(), uabinary.SignatureData{Algorithm: policy.SignatureAlgorithm(), Signature: sig}))
	}
}

func TestFindServers_Others(t *testing.T) {
	other := uabinary.ApplicationDescription{ApplicationURI: "urn:test:peer", DiscoveryURLs: []string{"opc.tcp://peer:4840"}}
	r := newRig(t, func(cfg *Config) { cfg.OtherServers = []uabinary.ApplicationDescription{other} })
	c := r.channel(ua.MessageSecurityModeNone)
	if all := c.servers(uabinary.FindServersRequest{}); len(all) != 2 || all[1].ApplicationURI != other.ApplicationURI {
		t.Errorf("got %+v", all)
	}
	if one := c.servers(uabinary.FindServersRequest{ServerURIs: []string{other.ApplicationURI}}); len(one) != 1 || one[0].DiscoveryURLs[0] != "opc.tcp://peer:4840" {
		t.Errorf("got %+v", one)
	}
	if self := c.servers(uabinary.FindServersRequest{ServerURIs: []string{serverURI}}); len(self) != 1 {
		t.Errorf("got %+v", self)
	}
}
