package securechannel_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// clientConfig is the configuration of a client for the server of r.
func (r *rig) clientConfig(s suite) securechannel.ClientConfig {
	policy, ok := securechannel.PolicyByURI(s.policy)
	if !ok {
		policy, _ = securechannel.DeprecatedPolicyByURI(s.policy)
	}
	return securechannel.ClientConfig{Policy: policy, Mode: s.mode, Identity: r.client, ServerCertificate: r.server.Chain[0]}
}

// connect opens a channel as client on nc.
func connect(t *testing.T, nc net.Conn, cfg securechannel.ClientConfig) (*securechannel.ClientChannel, error) {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	conn, err := uatcp.Connect(t.Context(), nc, uatcp.Config{HelloTimeout: 10 * time.Second}, securechanneltest.EndpointURL)
	if err != nil {
		return nil, err
	}
	return securechannel.Connect(t.Context(), conn, cfg)
}

// mustConnect is connect when nothing can go wrong.
func mustConnect(t *testing.T, nc net.Conn, cfg securechannel.ClientConfig) *securechannel.ClientChannel {
	t.Helper()
	c, err := connect(t, nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// exchange sends body and returns the response.
func exchange(c *securechannel.ClientChannel, body []byte) ([]byte, error) {
	id, sent := c.NextRequestID(), make(chan error, 1)
	go func() { sent <- c.Send(id, func(dst []byte) []byte { return append(dst, body...) }) }()
	response, err := c.Next()
	if errSent := <-sent; err == nil {
		err = errSent
	}
	switch {
	case err != nil:
		return nil, err
	case response.ID != id || response.Aborted != nil:
		return nil, errors.New("another response")
	}
	return response.Body, nil
}

func TestClient_echo(t *testing.T) {
	for _, keys := range [][2]string{{"server2048", "client2048"}, {"server4096", "client3072"}} {
		for _, s := range suitesFor(keys) {
			t.Run(s.name+","+keys[0]+","+keys[1], func(t *testing.T) {
				r := newRig()
				ids(keys[0], keys[1], r)
				r.cfg.BeforeSession = securechannel.MessageLimits{MaxMessageSize: 1 << 20, MaxChunkCount: 64}
				nc, result := securechanneltest.Serve(r.transport, &r.cfg, nil)
				c := mustConnect(t, nc, r.clientConfig(s))
				for _, size := range []int{0, 1, 100, 4000, 70000, 300000} {
					body := bytes.Repeat([]byte{byte(size)}, size)
					if got, err := exchange(c, body); err != nil || !bytes.Equal(got, body) {
						t.Fatalf("%d bytes sent, %d returned, %v", size, len(got), err)
					}
				}
				c.Close()
				if _, err := c.Next(); err == nil {
					t.Error("a response after Close")
				}
				res := <-result
				if res.Err != io.EOF || res.Channel.ID() != c.ID() || res.Channel.Mode() != s.mode {
					t.Errorf("server ended with %v, %+v", res.Err, res.Channel)
				}
			})
		}
	}
}

// peer runs the server's side with the cryptography of gopcua in a goroutine; script is called after the Acknowledge.
func (r *rig) peer(t *testing.T, s suite, script func(p *securechanneltest.Server) error) (net.Conn, <-chan error) {
	t.Helper()
	client, server := net.Pipe()
	done := make(chan error, 1)
	go func() {
		defer server.Close()
		p, err := securechanneltest.NewServer(server, r.transport, s.policy, s.mode, r.server, r.client.Chain[0])
		if err == nil {
			err = script(p)
		}
		done <- err
	}()
	return client, done
}

// echoes opens the channel and answers n requests with their bodies.
func echoes(n int) func(p *securechanneltest.Server) error {
	return func(p *securechanneltest.Server) error {
		if err := p.Open(); err != nil {
			return err
		}
		for range n {
			body, err := p.Receive()
			if err == nil {
				err = p.Send(uatcp.TypeMessage, uatcp.Final, p.ID, body)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// What the client secures, an implementation that we did not write opens, and the other way round.
func TestClient_foreignCryptography(t *testing.T) {
	for _, keys := range [][2]string{{"server2048", "client2048"}, {"server4096", "client3072"}} {
		for _, s := range suitesFor(keys) {
			t.Run(s.name+","+keys[0]+","+keys[1], func(t *testing.T) {
				r := newRig()
				ids(keys[0], keys[1], r)
				nc, done := r.peer(t, s, echoes(4))
				c := mustConnect(t, nc, r.clientConfig(s))
				for _, size := range []int{0, 15, 16, 5000} {
					if got, err := exchange(c, make([]byte, size)); err != nil || len(got) != size {
						t.Errorf("%d bytes of %d, %v", len(got), size, err)
					}
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// The token is renewed at three quarters of its lifetime, by the goroutine that waits for responses.
func TestClient_renews_Part4_5621(t *testing.T) {
	for _, s := range []suite{suites[0], encrypted} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig()
			issued := make(chan time.Duration, 100)
			r.cfg.Trust = func([]byte) error { return nil }
			start := time.Now()
			nc, done := r.peer(t, s, func(p *securechanneltest.Server) error {
				for range 5 {
					if err := p.ReadOpen(); err != nil {
						return err
					}
					p.Net.SetDeadline(time.Time{})
					time.Sleep(3 * time.Second) // the lifetime counts from the request on
					if err := p.AnswerOpen(); err != nil {
						return err
					}
					issued <- time.Since(start)
				}
				close(issued)
				_, err := p.Receive()
				return err
			})
			cfg := r.clientConfig(s)
			cfg.Lifetime = 100 * time.Second
			c := mustConnect(t, nc, cfg)
			go func() {
				for range 5 {
					<-issued
				}
				c.HangUp()
			}()
			_, err := c.Next()
			if err == nil || time.Since(start) != 303*time.Second {
				t.Errorf("ended with %v after %v", err, time.Since(start))
			}
			<-done
		})
	}
}

// Both tokens are good until the server has used the new one; the client uses it at once.
func TestClient_changesTokens_Part6_674(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		nc, done := r.peer(t, encrypted, func(p *securechanneltest.Server) error {
			if err := p.Open(); err != nil {
				return err
			}
			if err := p.Open(); err != nil {
				return err
			}
			p.TokenID = 1
			if err := p.Send(uatcp.TypeMessage, uatcp.Final, 100, []byte("old")); err != nil {
				return err
			}
			if _, err := p.Receive(); err != nil {
				return err
			}
			if p.UsedToken != 2 {
				return fmt.Errorf("client uses token %d", p.UsedToken)
			}
			p.TokenID = 2
			if err := p.Send(uatcp.TypeMessage, uatcp.Final, 101, []byte("new")); err != nil {
				return err
			}
			p.TokenID = 1
			return p.Send(uatcp.TypeMessage, uatcp.Final, 102, []byte("too old"))
		})
		c := mustConnect(t, nc, r.clientConfig(encrypted))
		old, err := c.Next()
		if err != nil || string(old.Body) != "old" {
			t.Fatal(old, err)
		}
		if err := c.Send(7, func(dst []byte) []byte { return append(dst, 'x') }); err != nil {
			t.Fatal(err)
		}
		if response, err := c.Next(); err != nil || string(response.Body) != "new" {
			t.Fatal(response, err)
		}
		if _, err := c.Next(); !errors.Is(err, ua.StatusBadSecureChannelTokenUnknown) {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A server may take its time with a new token: a third does not push out the second, once the first has ended.
func TestClient_threeTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		nc, done := r.peer(t, encrypted, func(p *securechanneltest.Server) error {
			for range 3 {
				if err := p.Open(); err != nil {
					return err
				}
				p.Net.SetDeadline(time.Time{})
			}
			p.TokenID = 2
			return p.Send(uatcp.TypeMessage, uatcp.Final, 100, []byte("second"))
		})
		if response, err := mustConnect(t, nc, r.clientConfig(encrypted)).Next(); err != nil || string(response.Body) != "second" {
			t.Error(response, err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A server that does not renew loses the channel when the token has ended for good.
func TestClient_renewalUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		start := time.Now()
		nc, done := r.peer(t, encrypted, func(p *securechanneltest.Server) error {
			if err := p.Open(); err != nil {
				return err
			}
			p.Net.SetDeadline(time.Time{})
			_, err := io.Copy(io.Discard, p.Net)
			return err
		})
		cfg := r.clientConfig(encrypted)
		cfg.Lifetime = 100 * time.Second
		if _, err := mustConnect(t, nc, cfg).Next(); err == nil || time.Since(start) != 125*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		<-done
	})
}

// Every answer to OpenSecureChannel that is not what was asked for is refused.
func TestClient_badAnswersToOpen(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(p *securechanneltest.Server)
		want  ua.StatusCode
	}{
		"other certificate": {func(p *securechanneltest.Server) { p.Identity.Chain[0] = other().Chain[0] }, ua.StatusBadSecurityChecksFailed},
		"no certificate":    {func(p *securechanneltest.Server) { p.Identity.Chain[0] = nil }, ua.StatusBadSecurityChecksFailed},
		"other key":         {func(p *securechanneltest.Server) { p.Identity.Key = other().Key }, ua.StatusBadSecurityChecksFailed},
		"thumbprint":        {func(p *securechanneltest.Server) { p.Thumbprint = make([]byte, 20) }, ua.StatusBadSecurityChecksFailed},
		"no thumbprint":     {func(p *securechanneltest.Server) { p.Thumbprint = nil }, ua.StatusBadSecurityChecksFailed},
		"other policy":      {func(p *securechanneltest.Server) { p.PolicyURI = ua.SecurityPolicyURIAes128Sha256RsaOaep }, ua.StatusBadSecurityChecksFailed},
		"no security":       {func(p *securechanneltest.Server) { p.PolicyURI, p.ServerKey = ua.SecurityPolicyURINone, nil }, ua.StatusBadSecurityChecksFailed},
		"no channel":        {func(p *securechanneltest.Server) { p.Response.SecurityToken.ChannelID = 0 }, ua.StatusBadTCPSecureChannelUnknown},
		"lifetime 0":        {func(p *securechanneltest.Server) { p.Response.SecurityToken.RevisedLifetime = 0 }, ua.StatusBadSecureChannelTokenUnknown},
		"lifetime 999 ms":   {func(p *securechanneltest.Server) { p.Response.SecurityToken.RevisedLifetime = 999 }, ua.StatusBadSecureChannelTokenUnknown},
		"no nonce":          {func(p *securechanneltest.Server) { p.Response.ServerNonce = nil }, ua.StatusBadNonceInvalid},
		"short nonce":       {func(p *securechanneltest.Server) { p.Response.ServerNonce = make([]byte, 31) }, ua.StatusBadNonceInvalid},
		"long nonce":        {func(p *securechanneltest.Server) { p.Response.ServerNonce = make([]byte, 129) }, ua.StatusBadNonceInvalid},
		"our nonce":         {func(p *securechanneltest.Server) { p.Response.ServerNonce = p.Request.ClientNonce }, ua.StatusBadNonceInvalid},
		"other request":     {func(p *securechanneltest.Server) { p.ID++ }, ua.StatusBadUnknownResponse},
		"refused": {func(p *securechanneltest.Server) {
			p.Response.ResponseHeader.ServiceResult = ua.StatusBadSecurityModeRejected
		}, ua.StatusBadSecurityModeRejected},
		"chain of 20 kB": {func(p *securechanneltest.Server) { p.Identity.Chain = append(p.Identity.Chain, make([]byte, 20000)) }, ua.StatusBadSecurityChecksFailed},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig()
			nc, done := r.peer(t, encrypted, func(p *securechanneltest.Server) error {
				if err := p.ReadOpen(); err != nil {
					return err
				}
				p.Identity = &securechannel.Identity{Chain: [][]byte{p.Identity.Chain[0]}, Key: p.Identity.Key}
				tc.spoil(p)
				_ = p.AnswerOpen()
				return nil
			})
			if _, err := connect(t, nc, r.clientConfig(encrypted)); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func other() *securechannel.Identity { return securechanneltest.NewIdentity("client3072", "urn:other") }

// Messages in OPN that are not the response.
func TestClient_otherMessagesInOpen(t *testing.T) {
	fault := &uabinary.ServiceFault{ResponseHeader: uabinary.ResponseHeader{ServiceResult: ua.StatusBadTCPServerTooBusy}}
	for name, tc := range map[string]struct {
		body []byte
		want ua.StatusCode
	}{
		"fault":         {uabinary.AppendMessage(nil, fault), ua.StatusBadTCPServerTooBusy},
		"good fault":    {uabinary.AppendMessage(nil, &uabinary.ServiceFault{}), ua.StatusBadUnexpectedError},
		"other message": {uabinary.AppendMessage(nil, &uabinary.ReadResponse{}), ua.StatusBadUnknownResponse},
		"nothing":       {nil, ua.StatusBadUnknownResponse},
		"half":          {uabinary.AppendMessage(nil, &uabinary.OpenSecureChannelResponse{})[:20], ua.StatusBadDecodingError},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig()
			nc, done := r.peer(t, encrypted, func(p *securechanneltest.Server) error {
				if err := p.ReadOpen(); err != nil {
					return err
				}
				p.ChannelID, p.RequestID = 1, p.ID-1
				chunk, err := p.SealOpenBody(tc.body)
				if err != nil {
					return err
				}
				_, err = p.Net.Write(chunk)
				return err
			})
			if _, err := connect(t, nc, r.clientConfig(encrypted)); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// What the client is told to do but cannot.
func TestClient_badConfiguration(t *testing.T) {
	for name, spoil := range map[string]func(*securechannel.ClientConfig){
		"no mode":               func(c *securechannel.ClientConfig) { c.Mode = ua.MessageSecurityModeInvalid },
		"mode None":             func(c *securechannel.ClientConfig) { c.Mode = ua.MessageSecurityModeNone },
		"no identity":           func(c *securechannel.ClientConfig) { c.Identity = nil },
		"no server certificate": func(c *securechannel.ClientConfig) { c.ServerCertificate = nil },
		"bad certificate":       func(c *securechannel.ClientConfig) { c.ServerCertificate = c.ServerCertificate[1:] },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig()
			nc, done := r.peer(t, encrypted, func(p *securechanneltest.Server) error { return p.ReadOpen() })
			cfg := r.clientConfig(encrypted)
			spoil(&cfg)
			if _, err := connect(t, nc, cfg); err == nil {
				t.Error("connected")
			}
			if err := <-done; err == nil {
				t.Error("a request was sent")
			}
		})
	}
}

// Everything wrong with a response ends the channel; nothing wrong is handed out.
func TestClient_badResponses(t *testing.T) {
	message := func(isFinal byte, id uint32, size int) func(p *securechanneltest.Server) error {
		return func(p *securechanneltest.Server) error {
			return p.Send(uatcp.TypeMessage, isFinal, id, make([]byte, size))
		}
	}
	endless := func(p *securechanneltest.Server) error {
		for {
			if err := p.Send(uatcp.TypeMessage, uatcp.Intermediate, 1, make([]byte, 10)); err != nil {
				return nil //nolint:nilerror // the client has had enough
			}
		}
	}
	raw := func(b ...byte) func(p *securechanneltest.Server) error {
		return func(p *securechanneltest.Server) error { _, err := p.Net.Write(b); return err }
	}
	for name, tc := range map[string]struct {
		steps []func(p *securechanneltest.Server) error
		want  ua.StatusCode
	}{
		"endless chunks":  {[]func(p *securechanneltest.Server) error{endless}, ua.StatusBadTCPMessageTooLarge},
		"too large":       {[]func(p *securechanneltest.Server) error{message('C', 1, 60000), message('F', 1, 60000)}, ua.StatusBadTCPMessageTooLarge},
		"interleaved":     {[]func(p *securechanneltest.Server) error{message('C', 1, 10), message('F', 2, 10)}, ua.StatusBadTCPInternalError},
		"sequence":        {[]func(p *securechanneltest.Server) error{func(p *securechanneltest.Server) error { p.Sequence++; return nil }, message('F', 1, 10)}, ua.StatusBadSecurityChecksFailed},
		"other channel":   {[]func(p *securechanneltest.Server) error{func(p *securechanneltest.Server) error { p.ChannelID++; return nil }, message('F', 1, 10)}, ua.StatusBadTCPSecureChannelUnknown},
		"other token":     {[]func(p *securechanneltest.Server) error{func(p *securechanneltest.Server) error { p.TokenID++; return nil }, message('F', 1, 10)}, ua.StatusBadSecureChannelTokenUnknown},
		"huge frame":      {[]func(p *securechanneltest.Server) error{raw('M', 'S', 'G', 'F', 0xFF, 0xFF, 0xFF, 0xFF)}, ua.StatusBadTCPMessageTooLarge},
		"close":           {[]func(p *securechanneltest.Server) error{func(p *securechanneltest.Server) error { return p.Send(uatcp.TypeCloseSecureChannel, 'F', 1, nil) }}, ua.StatusBadTCPMessageTypeInvalid},
		"hello":           {[]func(p *securechanneltest.Server) error{raw('H', 'E', 'L', 'F', 8, 0, 0, 0)}, ua.StatusBadTCPMessageTypeInvalid},
		"web page":        {[]func(p *securechanneltest.Server) error{raw([]byte("HTTP/1.1 400 Bad Request\r\n")...)}, ua.StatusBadTCPMessageTypeInvalid},
		"token unasked":   {[]func(p *securechanneltest.Server) error{(*securechanneltest.Server).AnswerOpen}, ua.StatusBadTCPMessageTypeInvalid},
		"closed":          {nil, ua.StatusBadConnectionClosed},
		"closed half-way": {[]func(p *securechanneltest.Server) error{raw('M', 'S', 'G', 'F', 100, 0, 0, 0)}, ua.StatusBadConnectionClosed},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig()
			nc, done := r.peer(t, encrypted, func(p *securechanneltest.Server) error {
				if err := p.Open(); err != nil {
					return err
				}
				for _, step := range tc.steps {
					if err := step(p); err != nil {
						return err
					}
				}
				return nil
			})
			cfg := r.clientConfig(encrypted)
			cfg.Limits = securechannel.MessageLimits{MaxMessageSize: 100_000, MaxChunkCount: 10}
			if response, err := mustConnect(t, nc, cfg).Next(); !errors.Is(err, tc.want) {
				t.Errorf("got %v, %v, want %v", response, err, tc.want)
			}
			<-done
		})
	}
}

func TestClient_abortedResponse_Part6_673(t *testing.T) {
	r := newRig()
	reason := (&uatcp.Error{Code: ua.StatusBadResponseTooLarge, Reason: "too much"}).Append(nil)[uatcp.HeaderSize:]
	nc, done := r.peer(t, encrypted, func(p *securechanneltest.Server) error {
		if err := p.Open(); err != nil {
			return err
		}
		if err := p.Send(uatcp.TypeMessage, uatcp.Intermediate, 7, []byte("half")); err != nil {
			return err
		}
		if err := p.Send(uatcp.TypeMessage, uatcp.Abort, 7, reason); err != nil {
			return err
		}
		return p.Send(uatcp.TypeMessage, uatcp.Final, 8, []byte("next"))
	})
	c := mustConnect(t, nc, r.clientConfig(encrypted))
	if response, err := c.Next(); err != nil || response.ID != 7 || response.Aborted == nil || response.Aborted.Code != ua.StatusBadResponseTooLarge {
		t.Errorf("%+v, %v", response, err)
	}
	if response, err := c.Next(); err != nil || response.ID != 8 || response.Aborted != nil || string(response.Body) != "next" {
		t.Errorf("%+v, %v", response, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestClient_serversErrorMessage(t *testing.T) {
	r := newRig()
	r.cfg.Trust = func([]byte) error { return errors.New("never seen") }
	nc, result := securechanneltest.Serve(r.transport, &r.cfg, nil)
	_, err := connect(t, nc, r.clientConfig(encrypted))
	var peer *uatcp.Error
	if !errors.As(err, &peer) || peer.Code != ua.StatusBadSecurityChecksFailed {
		t.Errorf("got %v", err)
	}
	<-result
}

func TestClient_requestTooLarge(t *testing.T) {
	r := newRig()
	r.transport = uatcp.Config{MaxMessageSize: 1000}
	nc, done := r.peer(t, encrypted, echoes(1))
	c := mustConnect(t, nc, r.clientConfig(encrypted))
	if err := c.Send(9, func(dst []byte) []byte { return append(dst, make([]byte, 1001)...) }); !errors.Is(err, ua.StatusBadRequestTooLarge) {
		t.Error(err)
	}
	if _, err := exchange(c, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Waiting for a server has an end everywhere.
func TestClient_silentServer(t *testing.T) {
	partial := []byte("MSGF\x40\x00\x00\x00")
	for name, tc := range map[string]struct {
		open  bool
		write []byte
		after time.Duration
	}{
		"no answer":     {false, nil, 10 * time.Second},
		"half OPN":      {false, []byte("OPNF\x40\x00\x00\x00"), 30 * time.Second},
		"half response": {true, partial, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				nc, done := r.peer(t, encrypted, func(p *securechanneltest.Server) error {
					err := p.ReadOpen()
					if err == nil && tc.open {
						err = p.AnswerOpen()
					}
					if err != nil {
						return err
					}
					p.Net.SetDeadline(time.Time{})
					if _, err := p.Net.Write(tc.write); err != nil {
						return err
					}
					_, err = io.Copy(io.Discard, p.Net)
					return err
				})
				start := time.Now()
				c, err := connect(t, nc, r.clientConfig(encrypted))
				if tc.open && err == nil {
					_, err = c.Next()
				}
				if err == nil || time.Since(start) != tc.after {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				<-done
			})
		})
	}
}

// One message in two chunks has a limited time between them.
func TestClient_messageTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		nc, done := r.peer(t, encrypted, func(p *securechanneltest.Server) error {
			if err := p.Open(); err != nil {
				return err
			}
			p.Net.SetDeadline(time.Time{})
			for p.Send(uatcp.TypeMessage, uatcp.Intermediate, 1, nil) == nil {
				time.Sleep(7 * time.Second)
			}
			return nil
		})
		c := mustConnect(t, nc, r.clientConfig(encrypted))
		start := time.Now()
		if _, err := c.Next(); err == nil || time.Since(start) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		<-done
	})
}
