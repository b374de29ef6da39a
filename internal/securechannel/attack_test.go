package securechannel_test

import (
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
	"github.com/gopcua/opcua/uapolicy"
)

// Names are those of the attack list in the security research: what goes in, and what must come back.

func send(t *testing.T, c *securechanneltest.Client, isFinal byte, requestID uint32, body []byte) {
	t.Helper()
	if err := c.Send(uatcp.TypeMessage, isFinal, requestID, body); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, c *securechanneltest.Client, b []byte) {
	t.Helper()
	if _, err := c.Net.Write(b); err != nil {
		t.Fatal(err)
	}
}

// chunks without end.
func TestA01_tooManyChunksBeforeSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().dial(t, encrypted)
		for range 4 {
			send(t, c, uatcp.Intermediate, 9, []byte("x"))
		}
		send(t, c, uatcp.Intermediate, 9, []byte("x"))
		expectError(t, c, ua.StatusBadTCPMessageTooLarge)
	})
}

func TestA01_tooManyBytesBeforeSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().dial(t, encrypted)
		send(t, c, uatcp.Intermediate, 9, make([]byte, 60000))
		send(t, c, uatcp.Final, 9, make([]byte, 5537))
		expectError(t, c, ua.StatusBadTCPMessageTooLarge)
	})
}

func TestA01_limitsAreHigherInSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.cfg.Budget = uatcp.NewBudget(securechannel.DefaultBudget)
		got := make(chan int, 9)
		r.handle = func(ch *securechannel.Channel, request *securechannel.Request) error {
			ch.SetSessionActive(true)
			got <- len(request.Body)
			return nil
		}
		c, _ := r.dial(t, encrypted)
		send(t, c, uatcp.Final, 8, nil)
		for i := range 64 {
			isFinal := byte(uatcp.Intermediate)
			if i == 63 {
				isFinal = uatcp.Final
			}
			send(t, c, isFinal, 9, make([]byte, 16384))
		}
		if a, b := <-got, <-got; a != 0 || b != 1<<20 {
			t.Errorf("requests of %d and %d bytes", a, b)
		}
		send(t, c, uatcp.Final, 10, nil)
		<-got
		if n := r.cfg.Budget.Used(); n != 0 {
			t.Errorf("%d bytes still booked", n)
		}
		for range 64 {
			send(t, c, uatcp.Intermediate, 11, nil)
		}
		send(t, c, uatcp.Intermediate, 11, nil)
		expectError(t, c, ua.StatusBadTCPMessageTooLarge)
	})
}

func TestA01_incompleteMessageIsDroppedAfterDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.cfg.Budget = uatcp.NewBudget(securechannel.DefaultBudget)
		c, result := r.dial(t, encrypted)
		start := time.Now()
		send(t, c, uatcp.Intermediate, 9, make([]byte, 100))
		synctest.Wait()
		if r.cfg.Budget.Used() == 0 {
			t.Error("incomplete message costs nothing")
		}
		if res := <-result; res.Err == nil || time.Since(start) != 10*time.Second {
			t.Errorf("ended with %v after %v", res.Err, time.Since(start))
		}
		if n := r.cfg.Budget.Used(); n != 0 {
			t.Errorf("%d bytes still booked", n)
		}
	})
}

func TestA01_budgetIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.cfg.Budget = uatcp.NewBudget(100_000)
		a, _ := r.dial(t, encrypted)
		b, _ := r.dial(t, encrypted)
		send(t, a, uatcp.Intermediate, 9, make([]byte, 60000))
		synctest.Wait()
		send(t, b, uatcp.Intermediate, 9, make([]byte, 60000))
		expectError(t, b, ua.StatusBadTCPNotEnoughResources)
		send(t, a, uatcp.Final, 9, []byte("end"))
		if id, body, err := a.Receive(); err != nil || id != 9 || len(body) != 60003 {
			t.Errorf("other channel: request %d, %d bytes, %v", id, len(body), err)
		}
	})
}

// sizes that are not.
func TestA02_chunkSizes(t *testing.T) {
	for name, tc := range map[string]struct {
		size uint32
		want ua.StatusCode
	}{
		"0":          {0, ua.StatusBadDecodingError},
		"7":          {7, ua.StatusBadDecodingError},
		"8":          {8, ua.StatusBadDecodingError},
		"23":         {23, ua.StatusBadSecurityChecksFailed},
		"over":       {65536, ua.StatusBadTCPMessageTooLarge},
		"2^31":       {1 << 31, ua.StatusBadTCPMessageTooLarge},
		"2^32-1":     {1<<32 - 1, ua.StatusBadTCPMessageTooLarge},
		"odd blocks": {16 + 8 + 32 + 1, ua.StatusBadSecurityChecksFailed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newRig().dial(t, encrypted)
				chunk, err := c.Seal(uatcp.TypeMessage, uatcp.Final, 1, make([]byte, 100))
				if err != nil {
					t.Fatal(err)
				}
				binary.LittleEndian.PutUint32(chunk[4:], tc.size)
				write(t, c, chunk[:max(8, min(int(uint16(tc.size)), len(chunk)))])
				expectError(t, c, tc.want)
			})
		})
	}
}

// interleaved requests, aborts, chunked OPN and CLO.
func TestA03_interleavedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().dial(t, encrypted)
		send(t, c, uatcp.Intermediate, 1, []byte("a"))
		send(t, c, uatcp.Intermediate, 2, []byte("b"))
		expectError(t, c, ua.StatusBadTCPInternalError)
	})
}

func TestA03_abortDiscardsThatMessageOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().dial(t, encrypted)
		for range 100 {
			send(t, c, uatcp.Intermediate, 1, []byte("a"))
			send(t, c, uatcp.Abort, 1, []byte("whatever"))
		}
		send(t, c, uatcp.Abort, 2, nil)
		if got, err := c.Request([]byte("b")); err != nil || string(got) != "b" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestA03_chunkedOpenAndClose(t *testing.T) {
	for _, kind := range []uatcp.MessageType{uatcp.TypeOpenSecureChannel, uatcp.TypeCloseSecureChannel} {
		for _, isFinal := range []byte{uatcp.Intermediate, uatcp.Abort, 'X', 0} {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newRig().dial(t, encrypted)
				if err := c.Send(kind, isFinal, 1, nil); err != nil {
					t.Fatal(err)
				}
				expectError(t, c, ua.StatusBadTCPMessageTypeInvalid)
			})
		}
	}
}

// one byte now and then.
func TestA05_dribble(t *testing.T) {
	for name, inSession := range map[string]bool{"before session": false, "in session": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.handle = func(ch *securechannel.Channel, _ *securechannel.Request) error {
					ch.SetSessionActive(inSession)
					return nil
				}
				c, result := r.dial(t, encrypted)
				send(t, c, uatcp.Final, 1, nil)
				chunk, err := c.Seal(uatcp.TypeMessage, uatcp.Final, 1, make([]byte, 1000))
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				start, want := time.Now(), 10*time.Second
				if inSession {
					want = 30 * time.Second
				}
				for _, b := range chunk {
					if _, err := c.Net.Write([]byte{b}); err != nil {
						break
					}
					time.Sleep(3 * time.Second)
				}
				res := <-result
				if took := time.Since(start); res.Err == nil || took < want || took > want+3*time.Second {
					t.Errorf("ended with %v after %v", res.Err, took)
				}
			})
		})
	}
}

// messages in the wrong state.
func TestA09_messageBeforeOpen(t *testing.T) {
	for _, kind := range []uatcp.MessageType{uatcp.TypeMessage, uatcp.TypeCloseSecureChannel, uatcp.TypeReverseHello, uatcp.TypeAcknowledge, uatcp.TypeHello, 'X' | 'Y'<<8 | 'Z'<<16} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newRig().start(t, suites[0])
				if err := c.Send(kind, uatcp.Final, 1, nil); err != nil {
					t.Fatal(err)
				}
				expectError(t, c, ua.StatusBadTCPMessageTypeInvalid)
			})
		})
	}
}

// the client accepts next to nothing.
func TestA10_responseAboveClientLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		messageSize, chunks uint32
		fits, tooLarge      int
	}{
		"message size": {messageSize: 500, fits: 500, tooLarge: 501},
		"chunk count":  {chunks: 2, fits: 2 * 8135, tooLarge: 2*8135 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				sizes, errs := []int{tc.tooLarge, tc.fits}, make(chan error, 2)
				r.handle = func(ch *securechannel.Channel, request *securechannel.Request) error {
					size := sizes[0]
					sizes = sizes[1:]
					err := ch.Send(request.ID, func(dst []byte) []byte { return append(dst, make([]byte, size)...) })
					errs <- err
					return nil
				}
				nc, _ := securechanneltest.Serve(r.transport, &r.cfg, r.handle)
				defer nc.Close()
				conn, err := uatcp.Connect(t.Context(), nc, uatcp.Config{ReceiveBufferSize: 8192, MaxMessageSize: tc.messageSize, MaxChunkCount: tc.chunks}, securechanneltest.EndpointURL)
				if err != nil {
					t.Fatal(err)
				}
				c, err := securechanneltest.NewOn(nc, conn, encrypted.policy, encrypted.mode, r.client, r.server.Chain[0])
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Open(ua.SecurityTokenRequestTypeIssue); err != nil {
					t.Fatal(err)
				}
				send(t, c, uatcp.Final, 50, nil)
				if err := <-errs; !errors.Is(err, ua.StatusBadResponseTooLarge) {
					t.Errorf("too large: %v", err)
				}
				if got, err := c.Request(nil); err != nil || len(got) != tc.fits {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
			})
		})
	}
}

// replay and sequence numbers.
func TestA22_replay(t *testing.T) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newRig().dial(t, s)
				chunk, err := c.Seal(uatcp.TypeMessage, uatcp.Final, 5, []byte("write 1"))
				if err != nil {
					t.Fatal(err)
				}
				write(t, c, chunk)
				if id, _, err := c.Receive(); err != nil || id != 5 {
					t.Fatalf("request %d, %v", id, err)
				}
				write(t, c, chunk)
				expectError(t, c, ua.StatusBadSecurityChecksFailed)
			})
		})
	}
}

func TestA22_sequenceGapAndRepeat(t *testing.T) {
	for name, step := range map[string]uint32{"gap": 1, "repeat": 0xFFFFFFFF, "far back": 0x80000000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newRig().dial(t, encrypted)
				c.Sequence += step
				send(t, c, uatcp.Final, 1, nil)
				expectError(t, c, ua.StatusBadSecurityChecksFailed)
			})
		})
	}
}

func TestA22_sequenceStartsAnywhereAndWraps_Part6_6724(t *testing.T) {
	for name, tc := range map[string]struct {
		first, wrapped uint32
		ok             bool
	}{
		"to 0":              {4294966272, 0, true},
		"to 1":              {4294966272, 1, true},
		"to 1023":           {4294966272, 1023, true},
		"to 1024":           {4294966272, 1024, false},
		"at the very end":   {4294967295, 0, true},
		"before the window": {4294966270, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newRig().start(t, encrypted)
				c.Sequence = tc.first - 1
				if err := c.Open(ua.SecurityTokenRequestTypeIssue); err != nil {
					t.Fatal(err)
				}
				c.Sequence = tc.wrapped - 1
				if !tc.ok {
					send(t, c, uatcp.Final, 1, nil)
					expectError(t, c, ua.StatusBadSecurityChecksFailed)
					return
				}
				for range 3 {
					if _, err := c.Request([]byte("x")); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

func TestA22_wrongTokenAndChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().dial(t, encrypted)
		c.TokenID++
		send(t, c, uatcp.Final, 1, make([]byte, 100))
		expectError(t, c, ua.StatusBadSecureChannelTokenUnknown)

		c, _ = newRig().dial(t, encrypted)
		c.ChannelID++
		send(t, c, uatcp.Final, 1, nil)
		expectError(t, c, ua.StatusBadTCPSecureChannelUnknown)
	})
}

func TestA22_oldTokenAfterNewOneWasUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().dial(t, encrypted)
		old := c.TokenID
		if err := c.Renew(); err != nil {
			t.Fatal(err)
		}
		renewed := c.TokenID
		for range 2 { // both are good until the new one is used
			c.TokenID = old
			if _, err := c.Request([]byte("old")); err != nil {
				t.Fatal(err)
			}
		}
		c.TokenID = renewed
		if _, err := c.Request([]byte("new")); err != nil {
			t.Fatal(err)
		}
		c.TokenID = old
		send(t, c, uatcp.Final, 1, nil)
		expectError(t, c, ua.StatusBadSecureChannelTokenUnknown)
	})
}

// every bit of a secured chunk counts.
func TestA22_tamperedChunk(t *testing.T) {
	for _, s := range suites[1:3] {
		for _, offset := range []int{16, 20, 24, 60, -1, -32, -33} {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newRig().dial(t, s)
				chunk, err := c.Seal(uatcp.TypeMessage, uatcp.Final, 5, make([]byte, 100))
				if err != nil {
					t.Fatal(err)
				}
				if offset < 0 {
					offset += len(chunk)
				}
				chunk[offset] ^= 1
				write(t, c, chunk)
				expectError(t, c, ua.StatusBadSecurityChecksFailed)
			})
		}
	}
}

// The padding is checked, but only behind a good signature.
func TestPadding_wrongValueUnderGoodSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().dial(t, encrypted)
		suite, err := uapolicy.Symmetric(c.PolicyURI, c.Nonce, c.Response.ServerNonce)
		if err != nil {
			t.Fatal(err)
		}
		chunk := uatcp.Header{Type: uatcp.TypeMessage, IsFinal: uatcp.Final, Size: 16 + 48 + 32}.Append(nil)
		for _, v := range []uint32{c.ChannelID, c.TokenID, c.Sequence + 1, 1} {
			chunk = uabinary.AppendUint32(chunk, v)
		}
		chunk = append(chunk, make([]byte, 40)...)
		chunk[len(chunk)-1] = 200 // a PaddingSize larger than the chunk
		signature, err := suite.Signature(chunk)
		if err != nil {
			t.Fatal(err)
		}
		ciphertext, err := suite.Encrypt(append(chunk[16:len(chunk):len(chunk)], signature...))
		if err != nil {
			t.Fatal(err)
		}
		write(t, c, append(chunk[:16], ciphertext...))
		expectError(t, c, ua.StatusBadSecurityChecksFailed)
	})
}
