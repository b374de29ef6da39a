package securechannel_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// inSession makes the server treat every channel as one with an active Session.
func inSession(ch *securechannel.Channel, request *securechannel.Request) error {
	ch.SetSessionActive(true)
	return securechanneltest.Echo(ch, request)
}

func request(t *testing.T, c *securechanneltest.Client) {
	t.Helper()
	if _, err := c.Request([]byte("x")); err != nil {
		t.Fatal(err)
	}
}

func TestToken_acceptedForAQuarterLonger_Part4_5621(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.handle = inSession
		c, result := r.start(t, encrypted)
		c.Lifetime = 100_000
		if err := c.Open(ua.SecurityTokenRequestTypeIssue); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		request(t, c)
		time.Sleep(125*time.Second - 1)
		request(t, c)
		res := <-result
		if took := time.Since(start); took != 125*time.Second || res.Err == nil {
			t.Errorf("channel without renewal ended with %v after %v", res.Err, took)
		}
	})
}

func TestToken_renewalMovesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.handle = inSession
		c, _ := r.start(t, encrypted)
		c.Lifetime = 100_000
		if err := c.Open(ua.SecurityTokenRequestTypeIssue); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			request(t, c)
			time.Sleep(75 * time.Second)
			if err := c.Renew(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestToken_expiredOneIsRefusedWhileANewOneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.handle = inSession
		c, _ := r.start(t, encrypted)
		c.Lifetime = 100_000
		if err := c.Open(ua.SecurityTokenRequestTypeIssue); err != nil {
			t.Fatal(err)
		}
		request(t, c)
		old := c.TokenID
		time.Sleep(75 * time.Second)
		if err := c.Renew(); err != nil {
			t.Fatal(err)
		}
		c.TokenID = old
		time.Sleep(50*time.Second - 1)
		request(t, c)
		time.Sleep(1)
		send(t, c, uatcp.Final, 1, nil)
		expectError(t, c, ua.StatusBadSecureChannelTokenUnknown)
	})
}

// Responses use the old token until the client uses the new one or the old one expires.
func TestToken_ofResponses_Part4_5621(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		var channel *securechannel.Channel
		r.handle = func(ch *securechannel.Channel, request *securechannel.Request) error {
			channel = ch
			return inSession(ch, request)
		}
		c, _ := r.start(t, encrypted)
		c.Lifetime = 100_000
		if err := c.Open(ua.SecurityTokenRequestTypeIssue); err != nil {
			t.Fatal(err)
		}
		request(t, c)
		old := c.TokenID
		time.Sleep(75 * time.Second)
		if err := c.Renew(); err != nil {
			t.Fatal(err)
		}
		// tokenOf lets the server send something and returns the token it used.
		tokenOf := func() uint32 {
			go channel.Send(1, func(dst []byte) []byte { return append(dst, "x"...) })
			chunk, err := c.Conn.ReadChunk()
			if err != nil {
				t.Fatal(err)
			}
			return uint32(chunk.Bytes[12]) | uint32(chunk.Bytes[13])<<8
		}
		if got := tokenOf(); got != old {
			t.Errorf("before use of the new token: %d, want %d", got, old)
		}
		time.Sleep(26 * time.Second)
		if got := tokenOf(); got != c.TokenID {
			t.Errorf("after the old one expired: %d, want %d", got, c.TokenID)
		}
	})
}

func TestToken_sendAfterTheEndFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		channels, hold := make(chan *securechannel.Channel, 1), make(chan struct{})
		r.handle = func(ch *securechannel.Channel, _ *securechannel.Request) error {
			channels <- ch
			<-hold
			return errors.New("stop")
		}
		c, result := r.start(t, encrypted)
		c.Lifetime = 60_000
		if err := c.Open(ua.SecurityTokenRequestTypeIssue); err != nil {
			t.Fatal(err)
		}
		send(t, c, uatcp.Final, 1, nil)
		channel := <-channels
		time.Sleep(75 * time.Second)
		if err := channel.Send(1, func(dst []byte) []byte { return dst }); err == nil {
			t.Error("response under an expired token")
		}
		close(hold)
		<-result
	})
}

func TestChannel_withoutSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		c, result := r.dial(t, encrypted)
		start := time.Now()
		time.Sleep(50 * time.Second)
		request(t, c) // asking for something is not enough
		if res := <-result; res.Err == nil || time.Since(start) != time.Minute {
			t.Errorf("ended with %v after %v", res.Err, time.Since(start))
		}
	})
}

func TestChannel_lifeWithoutSessionStartsAtItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		active := true
		r.handle = func(ch *securechannel.Channel, request *securechannel.Request) error {
			ch.SetSessionActive(active)
			active = false
			return securechanneltest.Echo(ch, request)
		}
		c, result := r.dial(t, encrypted)
		request(t, c)
		time.Sleep(30 * time.Minute)
		request(t, c)
		start := time.Now()
		if res := <-result; res.Err == nil || time.Since(start) != time.Minute {
			t.Errorf("ended with %v after %v", res.Err, time.Since(start))
		}
	})
}

// A Session that becomes active on another goroutine while Next waits keeps the channel.
func TestChannel_sessionActivatedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.handle = func(ch *securechannel.Channel, request *securechannel.Request) error {
			time.AfterFunc(30*time.Second, func() { ch.SetSessionActive(true) })
			return securechanneltest.Echo(ch, request)
		}
		c, _ := r.dial(t, encrypted)
		request(t, c)
		time.Sleep(10 * time.Minute)
		request(t, c)
	})
}

func TestOpen_deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, result := newRig().start(t, encrypted)
		defer c.Net.Close()
		start := time.Now()
		if res := <-result; res.Err == nil || time.Since(start) != 10*time.Second {
			t.Errorf("ended with %v after %v", res.Err, time.Since(start))
		}
	})
}

// the client never reads.
func TestA11_clientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		c, result := r.dial(t, encrypted)
		send(t, c, uatcp.Final, 1, nil)
		start := time.Now()
		if res := <-result; res.Err == nil || time.Since(start) != 30*time.Second {
			t.Errorf("ended with %v after %v", res.Err, time.Since(start))
		}
	})
}

// Close does not wait for a response that is stuck.
func TestChannel_closeWhileSendingIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		channels := make(chan *securechannel.Channel, 1)
		r.handle = func(ch *securechannel.Channel, request *securechannel.Request) error {
			channels <- ch
			return securechanneltest.Echo(ch, request)
		}
		c, result := r.dial(t, encrypted)
		send(t, c, uatcp.Final, 1, nil)
		ch := <-channels
		synctest.Wait()
		start := time.Now()
		ch.Close(ua.StatusBadShutdown)
		if res := <-result; res.Err == nil || time.Since(start) != 0 {
			t.Errorf("ended with %v after %v", res.Err, time.Since(start))
		}
	})
}
