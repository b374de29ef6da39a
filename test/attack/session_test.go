package attack

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/server"
)

// the oldest that was never activated gives way.
func TestA27_SessionsNeverActivated(t *testing.T) {
	s := besiege(t, func(c *server.Config) {
		c.Limits.MaxSessions, c.Limits.ActivationTime, c.Limits.ChannelIdleTime = 8, stretched(2*time.Second), stretched(2*time.Second)
	})
	for i := range 8 {
		nc, err := s.dialFrom(fmt.Sprintf("127.0.0.%d", 2+i%4))
		if err != nil {
			t.Fatal(err)
		}
		s.held = append(s.held, nc)
		c, err := openOn(nc, nil)
		if err != nil {
			continue // gave way
		}
		for range 7 {
			if _, err := c.create(c.createRequest()); err != nil {
				break
			}
		}
	}
	s.enter(entryDuring)
	s.over()
}

// an AuthenticationToken is bound to channel and certificate.
func TestA28_StolenToken(t *testing.T) {
	s := besiege(t, nil)
	victim := s.session(witnessAddress, witnessIdentity())
	for name, identity := range map[string]*securechannel.Identity{"plain": nil, "trusted": insiderIdentity()} {
		thief := s.open(attackAddress, identity)
		thief.token, thief.nonce = victim.token, victim.nonce
		_, code, err := thief.read(valueOf("Counter"))
		wantCode(t, name+" reads", code, err, ua.StatusBadSecureChannelIDInvalid, ua.StatusBadSessionIDInvalid)
		code, err = thief.activate(anonymousToken())
		wantCode(t, name+" activates", code, err, ua.StatusBadSecurityChecksFailed)
		req := &uabinary.CloseSessionRequest{DeleteSubscriptions: true}
		code, err = thief.call(&req.RequestHeader, req, &uabinary.CloseSessionResponse{})
		wantCode(t, name+" closes", code, err, ua.StatusBadSecureChannelIDInvalid, ua.StatusBadSessionIDInvalid)
	}
	// First activation on another channel than the creating one.
	creator, other := s.open(witnessAddress, insiderIdentity()), s.open(witnessAddress, insiderIdentity())
	code, err := creator.create(creator.createRequest())
	wantCode(t, "create", code, err, ua.StatusOK)
	other.token, other.nonce = creator.token, creator.nonce
	code, err = other.activate(anonymousToken())
	wantCode(t, "first activation elsewhere", code, err, ua.StatusBadSecureChannelIDInvalid)
	// A nonce is good for one activation.
	code, err = creator.activate(anonymousToken())
	wantCode(t, "activate", code, err, ua.StatusOK)
	stale := *other
	stale.nonce = other.nonce
	code, err = stale.activate(anonymousToken())
	wantCode(t, "signature over an old nonce", code, err, ua.StatusBadApplicationSignatureInvalid, ua.StatusBadSecurityChecksFailed)
	_, code, err = victim.read(valueOf("Counter"))
	wantCode(t, "victim", code, err, ua.StatusOK)
	s.leave()
	s.over()
}

// of many activations with the same nonce at the same time one succeeds.
func TestA28_ActivationRace(t *testing.T) {
	s := besiege(t, nil)
	const channels = 4
	owner := s.session(attackAddress, insiderIdentity())
	clients := []*client{owner}
	for range channels - 1 {
		clients = append(clients, s.open(attackAddress, insiderIdentity()))
	}
	for range 30 {
		results := make([]ua.StatusCode, channels)
		nonces := make([][]byte, channels)
		var all sync.WaitGroup
		nonce := owner.nonce
		for i, c := range clients {
			c.token, c.nonce = owner.token, nonce
			all.Go(func() {
				code, err := c.activate(anonymousToken())
				if err != nil {
					t.Error(err)
					code = ua.StatusBadCommunicationError
				}
				results[i], nonces[i] = code, c.nonce
			})
		}
		all.Wait()
		won := 0
		for i, code := range results {
			if code == ua.StatusOK {
				won++
				owner.nonce = nonces[i]
			}
		}
		if won != 1 {
			t.Fatalf("%d activations with one nonce succeeded: %v", won, results)
		}
	}
	s.leave()
	s.over()
}

func login(c *client, name, secret string) (ua.StatusCode, error) {
	if code, err := c.create(c.createRequest()); err != nil || code != ua.StatusOK {
		return code, err
	}
	return c.activate(uabinary.ExtensionObjectOf(c.userToken(name, secret)))
}

// guessing is slow, names are not told apart, and it locks nobody
// but the guesser.
func TestA29_A32_PasswordGuessing(t *testing.T) {
	s := besiege(t, func(c *server.Config) {
		c.Limits.MaxBadLogins, c.Limits.ActivationTime, c.Limits.ChannelIdleTime = 3, patience, patience
	})
	var all sync.WaitGroup
	answers := make(chan ua.StatusCode, 100)
	start := time.Now()
	for i := range 4 {
		c := s.open(attackAddress, nil)
		all.Go(func() {
			if code, err := c.create(c.createRequest()); err != nil || code != ua.StatusOK {
				t.Error(code, err)
				return
			}
			for j := range 5 {
				name := operator
				if (i+j)%2 == 0 {
					name = "nobody"
				}
				code, err := c.activate(uabinary.ExtensionObjectOf(c.userToken(name, fmt.Sprint("guess", i, j))))
				if err != nil {
					t.Error(err)
					return
				}
				answers <- code
			}
		})
	}
	pause(300 * time.Millisecond)
	right := s.open(witnessAddress, insiderIdentity())
	code, err := login(right, operator, password)
	wantCode(t, "the operator elsewhere", code, err, ua.StatusOK)
	all.Wait()
	close(answers)
	counted := 0
	for code := range answers {
		switch code {
		case ua.StatusBadIdentityTokenRejected:
			counted++
		case ua.StatusBadUserAccessDenied:
		default:
			t.Errorf("answer %v", code)
		}
	}
	if counted > 3+4 { // those under way on other channels at the last one
		t.Errorf("%d guesses counted in %v", counted, time.Since(start))
	}
	again := s.open(attackAddress, nil)
	code, err = login(again, operator, password)
	wantCode(t, "the right password while locked", code, err, ua.StatusBadUserAccessDenied)
	s.leave()
	s.over()
}

// whatever is wrong with the secret, the answer is the same.
func TestA30_Secrets(t *testing.T) {
	s := besiege(t, nil)
	var all sync.WaitGroup
	guesser := 2
	try := func(name string, want ua.StatusCode, spoil func(c *client) *uabinary.UserNameIdentityToken) {
		c := s.open(fmt.Sprintf("127.0.0.%d", guesser), nil) // each from elsewhere: the second would wait longer
		guesser++
		all.Go(func() {
			if code, err := c.create(c.createRequest()); err != nil || code != ua.StatusOK {
				t.Error(name, code, err)
				return
			}
			code, err := c.activate(uabinary.ExtensionObjectOf(spoil(c)))
			wantCode(t, name, code, err, want)
			c.Close()
		})
	}
	rejected, invalid := ua.StatusBadIdentityTokenRejected, ua.StatusBadIdentityTokenInvalid
	token := func(plain []byte) func(c *client) *uabinary.UserNameIdentityToken {
		return func(c *client) *uabinary.UserNameIdentityToken { return c.userTokenOf(operator, plain) }
	}
	try("old nonce", rejected, token(append(append(uabinary.AppendUint32(nil, uint32(len(password)+32)), password...), random(32)...)))
	try("length too large", rejected, token(append(uabinary.AppendUint32(nil, math.MaxUint32), password...)))
	try("length 2^31", rejected, token(append(uabinary.AppendUint32(nil, 1<<31), password...)))
	try("shorter than the nonce", rejected, token(uabinary.AppendUint32(nil, 3)))
	try("wrong password", rejected, func(c *client) *uabinary.UserNameIdentityToken { return c.userToken(operator, "wrong") })
	try("garbage", rejected, func(c *client) *uabinary.UserNameIdentityToken {
		tok := c.userToken(operator, password)
		tok.Password = random(256)
		return tok
	})
	try("nine blocks", rejected, func(c *client) *uabinary.UserNameIdentityToken {
		tok := c.userToken(operator, password)
		tok.Password = random(9 * 256)
		return tok
	})
	try("plain text", invalid, func(c *client) *uabinary.UserNameIdentityToken {
		return &uabinary.UserNameIdentityToken{PolicyID: "UserName_Basic256Sha256", UserName: operator, Password: []byte(password)}
	})
	all.Wait()
	s.leave()
	s.over()
}

// no anonymous Session where that is off, by any kind of token.
func TestA31_AnonymousOff(t *testing.T) {
	s := besiegeWithout(t)
	for name, token := range map[string]uabinary.ExtensionObject{
		"anonymous": anonymousToken(),
		"null":      {},
		"certificate": uabinary.ExtensionObjectOf(&uabinary.X509IdentityToken{
			PolicyID: "Anonymous", CertificateData: gatewayIdentity().Chain[0],
		}),
		"issued":   uabinary.ExtensionObjectOf(&uabinary.IssuedIdentityToken{PolicyID: "Anonymous", TokenData: random(100)}),
		"no token": {TypeID: uabinary.NumericID(0, 12345), Encoding: 1, Body: random(10)},
		"name of the role": uabinary.ExtensionObjectOf(&uabinary.UserNameIdentityToken{
			PolicyID: "UserName_Basic256Sha256", UserName: server.AnonymousUser,
		}),
	} {
		c := s.open(attackAddress, nil)
		code, err := c.create(c.createRequest())
		wantCode(t, "create", code, err, ua.StatusOK)
		code, err = c.activate(token)
		wantCode(t, name, code, err, ua.StatusBadIdentityTokenRejected, ua.StatusBadIdentityTokenInvalid)
		_, code, err = c.read(valueOf("Counter"))
		wantCode(t, name+" reads", code, err, ua.StatusBadSessionNotActivated)
		c.Close()
	}
	s.log.check(t)
}

// besiegeWithout is a plant without anonymous access, and so without witness.
func besiegeWithout(t *testing.T) *siege {
	t.Helper()
	return &siege{plant: newPlant(t, func(c *server.Config) { c.Anonymous = false })}
}

// text that is no text, and text that would be lines of the log.
func TestA35_HostileText(t *testing.T) {
	s := besiege(t, nil)
	for _, text := range []string{
		"\xff\xfe\xc0\x80", "\x00\x00", "\xed\xa0\x80", strings.Repeat("a", 10000), strings.Repeat("\xf0\x9f\x92\xa9", 200),
		"x\ntime=2026-01-01 level=ERROR msg=\"forged\"\r\n", "\x1b]0;owned\a\x1b[2J", "\u0085\u009b2J\u2028", "%s%n%d", password[:0] + "../../etc",
	} {
		c := s.open(attackAddress, nil)
		req := c.createRequest()
		req.SessionName, req.ClientDescription.ApplicationURI = text, text
		req.ClientDescription.ApplicationName.Text, req.ClientDescription.ProductURI = text, text
		code, err := c.create(req)
		wantCode(t, "create", code, err, ua.StatusOK, ua.StatusBadDecodingError)
		if code == ua.StatusOK {
			tok := c.userToken(text, "x")
			tok.PolicyID = text
			c.activate(uabinary.ExtensionObjectOf(tok))
			activate := &uabinary.ActivateSessionRequest{UserIdentityToken: anonymousToken(), LocaleIDs: []string{text, text}}
			code, err = c.call(&activate.RequestHeader, activate, &uabinary.ActivateSessionResponse{})
			wantCode(t, "activate", code, err, ua.StatusOK)
			_, _, err = c.read(uabinary.ReadValueID{NodeID: uabinary.StringID(2, text), AttributeID: 13, IndexRange: text, DataEncoding: uabinary.QualifiedName{Name: text}})
			if err != nil {
				t.Error(err)
			}
			c.write("Text", text)
		}
		c.Net.Close()
	}
	for _, text := range []string{"opc.tcp://\x1b[2J\n/", strings.Repeat("\n", 4096)} {
		nc := s.attacker()
		nc.Write(append(hello(nil)[:0], honest("ERRF", append([]byte{0, 0, 0, 0x80}, uabinary.AppendString(nil, text)...))...))
		s.ended("ERR with a line", nc, closing, transportCodes...)
	}
	s.over()
}

// numbers of time that are none.
func TestA36_Times(t *testing.T) {
	s := besiege(t, nil)
	for i, d := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0, 1e308, -1e308, 5e-324, math.MaxInt64, math.MaxUint32} {
		c := s.open(fmt.Sprintf("127.0.0.%d", 2+i%4), nil)
		req := c.createRequest()
		req.RequestedSessionTimeout = d
		code, err := c.create(req)
		wantCode(t, "create", code, err, ua.StatusOK)
		code, err = c.activate(anonymousToken())
		wantCode(t, "activate", code, err, ua.StatusOK)
		create := &uabinary.CreateSubscriptionRequest{
			RequestedPublishingInterval: d, RequestedLifetimeCount: math.MaxUint32, RequestedMaxKeepAliveCount: math.MaxUint32,
			MaxNotificationsPerPublish: math.MaxUint32, PublishingEnabled: true, Priority: 255,
		}
		create.RequestHeader.TimeoutHint = math.MaxUint32
		create.RequestHeader.Timestamp = []uabinary.DateTime{math.MinInt64, -1, 0, 1, math.MaxInt64}[i%5]
		var sub uabinary.CreateSubscriptionResponse
		code, err = c.call(&create.RequestHeader, create, &sub)
		wantCode(t, "create subscription", code, err, ua.StatusOK)
		if p := sub.RevisedPublishingInterval; !(p >= 50 && p <= 3600_000) || sub.RevisedMaxKeepAliveCount == 0 || sub.RevisedLifetimeCount < 3*sub.RevisedMaxKeepAliveCount {
			t.Errorf("%v: revised %+v", d, sub)
		}
		item := &uabinary.CreateMonitoredItemsRequest{SubscriptionID: sub.SubscriptionID, ItemsToCreate: []uabinary.MonitoredItemCreateRequest{{
			ItemToMonitor: valueOf("Counter"), MonitoringMode: ua.MonitoringModeReporting,
			RequestedParameters: uabinary.MonitoringParameters{
				SamplingInterval: d, QueueSize: math.MaxUint32,
				Filter: uabinary.ExtensionObjectOf(&uabinary.DataChangeFilter{Trigger: 1, DeadbandType: 1, DeadbandValue: d}),
			},
		}}}
		code, err = c.call(&item.RequestHeader, item, &uabinary.CreateMonitoredItemsResponse{})
		wantCode(t, "create item", code, err, ua.StatusOK)
		read := &uabinary.ReadRequest{MaxAge: d, NodesToRead: []uabinary.ReadValueID{valueOf("Counter")}}
		code, err = c.call(&read.RequestHeader, read, &uabinary.ReadResponse{})
		wantCode(t, "read", code, err, ua.StatusOK, ua.StatusBadMaxAgeInvalid)
		for _, dt := range []uabinary.DateTime{math.MinInt64, -1, math.MaxInt64} {
			_, err = c.write("Number", dt)
			if err != nil {
				t.Error(err)
			}
		}
		publish := &uabinary.PublishRequest{}
		publish.RequestHeader.AuthenticationToken, publish.RequestHeader.TimeoutHint = c.token, []uint32{1, math.MaxUint32}[i%2]
		c.sendBody(uabinary.AppendMessage(nil, publish))
		pause(10 * time.Millisecond)
		c.Net.Close()
	}
	s.over()
}
