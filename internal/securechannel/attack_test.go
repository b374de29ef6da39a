package securechannel_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"math/big"
	"slices"
	"strings"
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

// openBody opens a channel with a request changed by the test.
func openWith(t *testing.T, c *securechanneltest.Client, change func(*uabinary.OpenSecureChannelRequest)) {
	t.Helper()
	if c.ServerKey != nil {
		c.Nonce = make([]byte, 32)
		rand.Read(c.Nonce)
	}
	request := c.OpenRequest(ua.SecurityTokenRequestTypeIssue)
	if c.ChannelID != 0 {
		request.RequestType = ua.SecurityTokenRequestTypeRenew
	}
	if change != nil {
		change(request)
	}
	chunk, err := c.SealOpen(request)
	if err != nil {
		t.Fatal(err)
	}
	write(t, c, chunk)
}

// many RSA blocks in one OPN.
func TestA14_tooManyRSABlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().start(t, encrypted)
		// 214 bytes of plaintext in a block: 9 blocks
		openWith(t, c, func(request *uabinary.OpenSecureChannelRequest) {
			request.RequestHeader.AuditEntryID = string(make([]byte, 214*7))
		})
		expectError(t, c, ua.StatusBadSecurityChecksFailed)
	})
}

func TestA14_eightRSABlocksAreFine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().start(t, encrypted)
		openWith(t, c, func(request *uabinary.OpenSecureChannelRequest) {
			request.RequestHeader.AuditEntryID = string(make([]byte, 214*6))
		})
		if err := c.ReadOpen(); err != nil {
			t.Error(err)
		}
	})
}

// nothing is decrypted for strangers.
func TestA15_orderOfChecks(t *testing.T) {
	stranger := securechanneltest.NewIdentity("client3072", "urn:stranger")
	for name, tc := range map[string]struct {
		policy      string
		allow       bool
		distrust    error
		identity    *securechannel.Identity
		thumbprint  []byte
		want        ua.StatusCode
		wantTrusted bool // Trust was asked
	}{
		"policy unknown":      {policy: "http://opcfoundation.org/UA/SecurityPolicy#Basic128Rsa15", allow: true},
		"policy not offered":  {policy: encrypted.policy},
		"thumbprint":          {policy: encrypted.policy, allow: true, thumbprint: make([]byte, 20)},
		"thumbprint missing":  {policy: encrypted.policy, allow: true, thumbprint: []byte{}},
		"untrusted":           {policy: encrypted.policy, allow: true, distrust: ua.StatusBadCertificateUntrusted, wantTrusted: true},
		"revoked":             {policy: encrypted.policy, allow: true, distrust: ua.StatusBadCertificateRevoked, wantTrusted: true},
		"incomplete":          {policy: encrypted.policy, allow: true, distrust: ua.StatusBadCertificateChainIncomplete, wantTrusted: true},
		"some error":          {policy: encrypted.policy, allow: true, distrust: errors.New("/etc/secret unreadable"), wantTrusted: true},
		"expired":             {policy: encrypted.policy, allow: true, distrust: ua.StatusBadCertificateTimeInvalid, want: ua.StatusBadCertificateTimeInvalid, wantTrusted: true},
		"revocation unknown":  {policy: encrypted.policy, allow: true, distrust: ua.StatusBadCertificateRevocationUnknown, want: ua.StatusBadCertificateRevocationUnknown, wantTrusted: true},
		"wrong ciphertext":    {policy: encrypted.policy, allow: true, wantTrusted: true},
		"another certificate": {policy: encrypted.policy, allow: true, identity: stranger, wantTrusted: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				asked := false
				r.cfg.Allowed = func(string, ua.MessageSecurityMode) bool { return tc.allow }
				r.cfg.Trust = func([]byte) error { asked = true; return tc.distrust }
				c, result := r.start(t, encrypted)
				if tc.thumbprint != nil {
					c.Thumbprint = tc.thumbprint
				}
				c.Nonce = make([]byte, 32)
				chunk, err := c.SealOpen(c.OpenRequest(ua.SecurityTokenRequestTypeIssue))
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case tc.policy != encrypted.policy:
					chunk = bytes.Replace(chunk, []byte("Basic256Sha256"), []byte("Basic128Rsa15X"), 1)
				case tc.identity != nil:
					chunk = replaceSender(chunk, r.client.Chain[0], tc.identity.Chain[0])
				default:
					chunk[len(chunk)-1] ^= 1
				}
				write(t, c, chunk)
				want := ua.StatusBadSecurityChecksFailed
				if tc.want != 0 {
					want = tc.want
				}
				expectError(t, c, want)
				if res := <-result; res.Err == nil || asked != tc.wantTrusted {
					t.Errorf("ended with %v, trust was asked: %v", res.Err, asked)
				}
			})
		})
	}
}

// replaceSender puts another certificate into an OPN chunk.
func replaceSender(chunk, old, with []byte) []byte {
	old, with = uabinary.AppendByteString(nil, old), uabinary.AppendByteString(nil, with)
	chunk = bytes.Replace(chunk, old, with, 1)
	binary.LittleEndian.PutUint32(chunk[4:], uint32(len(chunk)))
	return chunk
}

// the receiver is somebody else.
func TestA16_thumbprintOfAnotherServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().start(t, encrypted)
		other := sha1.Sum(securechanneltest.NewIdentity("server4096", "urn:other").Chain[0])
		c.Thumbprint = other[:]
		openWith(t, c, nil)
		expectError(t, c, ua.StatusBadSecurityChecksFailed)
	})
}

// hostile certificates.
func TestA20_hostileCertificates(t *testing.T) {
	good := securechanneltest.NewIdentity("client2048", "urn:client").Chain[0]
	key := func(n *big.Int, e int) []byte {
		der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: e})
		if err != nil {
			t.Fatal(err)
		}
		return withPublicKey(t, good, der)
	}
	odd := func(bits uint) *big.Int { // an odd number of that many bits
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.SetBit(n, 0, 1)
	}
	for name, blob := range map[string][]byte{
		"missing":         nil,
		"not DER":         bytes.Repeat([]byte("x"), 1000),
		"cut":             good[:len(good)-1],
		"trailing zero":   append(bytes.Clone(good), 0),
		"trailing text":   append(bytes.Clone(good), "rubbish behind the leaf"...),
		"six in chain":    bytes.Repeat(good, 6),
		"SAN of 7 KiB":    largeCertificate(t),
		"over 16 KiB":     append(bytes.Clone(good), append([]byte{0x30, 0x82, 0x3F, 0xFF}, make([]byte, 0x3FFF)...)...),
		"indefinite":      append([]byte{0x30, 0x80}, make([]byte, 1000)...),
		"3 bytes length":  append([]byte{0x30, 0x83, 0, 1, 0}, make([]byte, 256)...),
		"length 2^32-1":   append([]byte{0x30, 0x84, 255, 255, 255, 255}, make([]byte, 256)...),
		"2047 bits":       key(odd(2047), 65537),
		"4097 bits":       key(odd(4097), 65537),
		"16384 bits":      key(odd(16384), 65537),
		"even modulus":    key(new(big.Int).Lsh(big.NewInt(1), 2047), 65537),
		"exponent 1":      key(odd(2048), 1),
		"exponent even":   key(odd(2048), 65536),
		"elliptic curve":  withPublicKey(t, good, ecKey),
		"explicit curve":  withPublicKey(t, good, explicitECKey),
		"empty SEQUENCEs": bytes.Repeat([]byte{0x30, 0x81, 0}, 1000),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.cfg.Trust = func([]byte) error { t.Error("trust was asked"); return nil }
				c, _ := r.start(t, encrypted)
				c.Nonce = make([]byte, 32)
				chunk, err := c.SealOpen(c.OpenRequest(ua.SecurityTokenRequestTypeIssue))
				if err != nil {
					t.Fatal(err)
				}
				write(t, c, replaceSender(chunk, r.client.Chain[0], blob))
				expectError(t, c, ua.StatusBadSecurityChecksFailed)
			})
		})
	}
}

// largeCertificate returns a certificate with nothing wrong but its size.
func largeCertificate(t *testing.T) []byte {
	t.Helper()
	key := securechanneltest.Key("client2048")
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: slices.Repeat([]string{strings.Repeat("x", 63)}, 110)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil || len(der) < 7501 || len(der) > 16<<10 {
		t.Fatalf("%d bytes, %v", len(der), err)
	}
	return der
}

var (
	ecKey         = mustHex("3059301306072a8648ce3d020106082a8648ce3d03010703420004" + "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
	explicitECKey = mustHex("301A" + "3013" + "06072a8648ce3d0201" + "3008" + "020101" + "300306012A" + "0303" + "000400")
)

// withPublicKey replaces the SubjectPublicKeyInfo of a certificate; its signature no longer fits, which nobody gets to check.
func withPublicKey(t *testing.T, der, spki []byte) []byte {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	tbs := bytes.Replace(cert.RawTBSCertificate, cert.RawSubjectPublicKeyInfo, spki, 1)
	var inner, outer asn1.RawValue
	if _, err := asn1.Unmarshal(cert.RawTBSCertificate, &inner); err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		t.Fatal(err)
	}
	header := len(cert.RawTBSCertificate) - len(inner.Bytes)
	newTBS, err := asn1.Marshal(asn1.RawValue{Class: 0, Tag: 16, IsCompound: true, Bytes: tbs[header:]})
	if err != nil {
		t.Fatal(err)
	}
	rest := outer.Bytes[len(cert.RawTBSCertificate):]
	out, err := asn1.Marshal(asn1.RawValue{Class: 0, Tag: 16, IsCompound: true, Bytes: append(newTBS, rest...)})
	if err != nil {
		t.Fatal(err)
	}
	return out
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

// a renewal changes nothing but the keys.
func TestA23_renewalWithOtherProperties(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*rig, *securechanneltest.Client)
		want   ua.StatusCode
	}{
		"certificate": {func(_ *rig, c *securechanneltest.Client) {
			c.Identity = securechanneltest.NewIdentity("client3072", "urn:client")
		}, ua.StatusBadSecurityChecksFailed},
		"certificate of the same key": {func(_ *rig, c *securechanneltest.Client) {
			c.Identity = securechanneltest.NewIdentity("client2048", "urn:other")
		}, ua.StatusBadSecurityChecksFailed},
		"policy": {func(_ *rig, c *securechanneltest.Client) {
			c.PolicyURI = ua.SecurityPolicyURIAes256Sha256RsaPss
		}, ua.StatusBadSecurityChecksFailed},
		"policy None": {func(_ *rig, c *securechanneltest.Client) {
			c.PolicyURI, c.Mode, c.ServerKey = ua.SecurityPolicyURINone, ua.MessageSecurityModeNone, nil
		}, ua.StatusBadSecurityChecksFailed},
		"mode": {func(_ *rig, c *securechanneltest.Client) {
			c.Mode = ua.MessageSecurityModeSign
		}, ua.StatusBadSecurityModeRejected},
		"channel": {func(_ *rig, c *securechanneltest.Client) {
			c.ChannelID++
		}, ua.StatusBadTCPSecureChannelUnknown},
		"no longer trusted": {func(r *rig, _ *securechanneltest.Client) {
			r.cfg.Trust = nil
		}, ua.StatusBadSecurityChecksFailed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.cfg.Trust = func([]byte) error {
					if r.cfg.Trust == nil {
						return ua.StatusBadCertificateUntrusted
					}
					return nil
				}
				c, _ := r.dial(t, encrypted)
				tc.change(r, c)
				openWith(t, c, nil)
				expectError(t, c, tc.want)
			})
		})
	}
}

func TestA23_secondIssueAndForeignRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().dial(t, encrypted)
		openWith(t, c, func(r *uabinary.OpenSecureChannelRequest) { r.RequestType = ua.SecurityTokenRequestTypeIssue })
		expectError(t, c, ua.StatusBadRequestTypeInvalid)

		other, _ := newRig().start(t, encrypted) // another connection
		other.ChannelID = c.ChannelID
		openWith(t, other, nil)
		expectError(t, other, ua.StatusBadTCPSecureChannelUnknown)

		c, _ = newRig().start(t, encrypted)
		openWith(t, c, func(r *uabinary.OpenSecureChannelRequest) { r.RequestType = ua.SecurityTokenRequestTypeRenew })
		expectError(t, c, ua.StatusBadRequestTypeInvalid)
	})
}

// nonces.
func TestA24_nonces(t *testing.T) {
	for name, nonce := range map[string][]byte{"none": nil, "31 bytes": make([]byte, 31), "129 bytes": make([]byte, 129)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newRig().start(t, encrypted)
				openWith(t, c, func(r *uabinary.OpenSecureChannelRequest) { r.ClientNonce = nonce })
				expectError(t, c, ua.StatusBadNonceInvalid)
			})
		})
	}
}

func TestA24_nonceRepeatedAtRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newRig().dial(t, encrypted)
		first := c.Nonce
		openWith(t, c, func(r *uabinary.OpenSecureChannelRequest) { r.ClientNonce = first })
		expectError(t, c, ua.StatusBadNonceInvalid)
	})
}

func TestA24_serverNoncesAndChannelsDiffer(t *testing.T) {
	nonces, channels := map[string]bool{}, map[uint32]bool{}
	for range 10 {
		c, _ := newRig().dial(t, encrypted)
		nonces[string(c.Response.ServerNonce)] = len(c.Response.ServerNonce) == 32
		if err := c.Renew(); err != nil {
			t.Fatal(err)
		}
		nonces[string(c.Response.ServerNonce)] = len(c.Response.ServerNonce) == 32
		channels[c.ChannelID] = true
	}
	if len(nonces) != 20 || len(channels) != 10 {
		t.Errorf("%d nonces, %d channels", len(nonces), len(channels))
	}
}

// downgrades.
func TestA25_modes(t *testing.T) {
	for name, tc := range map[string]struct {
		suite suite
		mode  ua.MessageSecurityMode
	}{
		"invalid":                         {encrypted, ua.MessageSecurityModeInvalid},
		"7":                               {encrypted, 7},
		"None with policy":                {encrypted, ua.MessageSecurityModeNone},
		"Sign where not offered":          {encrypted, ua.MessageSecurityModeSign},
		"Sign without policy":             {suites[0], ua.MessageSecurityModeSign},
		"SignAndEncrypt without policy":   {suites[0], ua.MessageSecurityModeSignAndEncrypt},
		"invalid without policy":          {suites[0], ua.MessageSecurityModeInvalid},
		"2^32-1 where nothing is offered": {suites[0], 0xFFFFFFFF},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				r.cfg.Allowed = func(_ string, mode ua.MessageSecurityMode) bool { return mode == ua.MessageSecurityModeSignAndEncrypt }
				c, _ := r.start(t, tc.suite)
				openWith(t, c, func(r *uabinary.OpenSecureChannelRequest) { r.SecurityMode = tc.mode })
				expectError(t, c, ua.StatusBadSecurityModeRejected)
			})
		})
	}
}

func TestA25_nothingAllowedByDefault(t *testing.T) {
	for name, change := range map[string]func(*securechannel.Config){
		"no identity": func(c *securechannel.Config) { c.Identity = nil },
		"no policies": func(c *securechannel.Config) { c.Allowed = nil },
		"no trust":    func(c *securechannel.Config) { c.Trust = nil },
		"short own key": func(c *securechannel.Config) {
			key := *c.Identity.Key
			key.N = new(big.Int).Rsh(key.N, 1024)
			c.Identity = &securechannel.Identity{Chain: c.Identity.Chain, Key: &key}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig()
				change(&r.cfg)
				c, _ := r.start(t, encrypted)
				openWith(t, c, nil)
				expectError(t, c, ua.StatusBadSecurityChecksFailed)
			})
		})
	}
}

// OPN with a body that is something else, under a valid signature.
func TestOpen_bodyIsNotAnOpenRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		body []byte
		want ua.StatusCode
	}{
		"empty":        {nil, ua.StatusBadTCPMessageTypeInvalid},
		"other":        {uabinary.AppendMessage(nil, &uabinary.CloseSecureChannelRequest{}), ua.StatusBadTCPMessageTypeInvalid},
		"cut":          {uabinary.AppendMessage(nil, &uabinary.OpenSecureChannelRequest{})[:20], ua.StatusBadDecodingError},
		"string 2^31":  {append(uabinary.AppendMessage(nil, &uabinary.OpenSecureChannelRequest{})[:22], 0, 0, 0, 0x80), ua.StatusBadEncodingLimitsExceeded},
		"other prefix": {[]byte{3, 0, 0}, ua.StatusBadTCPMessageTypeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := newRig().start(t, encrypted)
				chunk, err := c.SealOpenBody(tc.body)
				if err != nil {
					t.Fatal(err)
				}
				write(t, c, chunk)
				_, _, err = c.Receive()
				var peer *uatcp.Error
				if !errors.As(err, &peer) || peer.Code != tc.want {
					t.Errorf("got %v, want %v", err, uatcp.StatusName(tc.want))
				}
			})
		})
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
