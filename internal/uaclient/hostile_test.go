package uaclient_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uaclient"
	"github.com/edgeua/edgeua/internal/uatcp"
)

const (
	createSessionID = id.CreateSessionRequest_Encoding_DefaultBinary
	activateID      = id.ActivateSessionRequest_Encoding_DefaultBinary
	closeSessionID  = id.CloseSessionRequest_Encoding_DefaultBinary
	readID          = id.ReadRequest_Encoding_DefaultBinary
	browseID        = id.BrowseRequest_Encoding_DefaultBinary
	browseNextID    = id.BrowseNextRequest_Encoding_DefaultBinary
)

// A session whose server does not prove that it is the one of the channel is not activated. Part 4 (1.05), 5.7.2.2
func TestCreateSession_verified(t *testing.T) {
	other := securechanneltest.NewIdentity("client3072", "urn:test:other")
	for name, tc := range map[string]struct {
		spoil func(r *uabinary.CreateSessionResponse)
		want  ua.StatusCode
	}{
		"no signature":      {func(r *uabinary.CreateSessionResponse) { r.ServerSignature.Signature = nil }, ua.StatusBadApplicationSignatureInvalid},
		"wrong signature":   {func(r *uabinary.CreateSessionResponse) { r.ServerSignature.Signature[9] ^= 1 }, ua.StatusBadApplicationSignatureInvalid},
		"huge signature":    {func(r *uabinary.CreateSessionResponse) { r.ServerSignature.Signature = make([]byte, 50_000) }, ua.StatusBadApplicationSignatureInvalid},
		"other certificate": {func(r *uabinary.CreateSessionResponse) { r.ServerCertificate = other.Chain[0] }, ua.StatusBadSecurityChecksFailed},
		"no certificate":    {func(r *uabinary.CreateSessionResponse) { r.ServerCertificate = nil }, ua.StatusBadSecurityChecksFailed},
		"no nonce":          {func(r *uabinary.CreateSessionResponse) { r.ServerNonce = nil }, ua.StatusBadNonceInvalid},
		"short nonce":       {func(r *uabinary.CreateSessionResponse) { r.ServerNonce = make([]byte, 31) }, ua.StatusBadNonceInvalid},
		"long nonce":        {func(r *uabinary.CreateSessionResponse) { r.ServerNonce = make([]byte, 129) }, ua.StatusBadNonceInvalid},
		"no endpoints":      {func(r *uabinary.CreateSessionResponse) { r.ServerEndpoints = nil }, ua.StatusBadIdentityTokenInvalid},
		"no user tokens":    {func(r *uabinary.CreateSessionResponse) { r.ServerEndpoints[0].UserIdentityTokens = nil }, ua.StatusBadIdentityTokenInvalid},
		"fault":             {func(r *uabinary.CreateSessionResponse) { r.ResponseHeader.ServiceResult = ua.StatusBadTooManySessions }, ua.StatusBadTooManySessions},
		"issuers behind it": {func(r *uabinary.CreateSessionResponse) {
			r.ServerCertificate = slices.Concat(r.ServerCertificate, other.Chain[0])
		}, ua.StatusGood},
	} {
		t.Run(name, func(t *testing.T) {
			activated := false
			nc := answers{
				createSessionID: func(s *stranger, r *uabinary.Reader) uabinary.Structure {
					response := s.createSession(r)
					tc.spoil(response)
					return response
				},
				activateID: func(*stranger, *uabinary.Reader) uabinary.Structure {
					activated = true
					return &uabinary.ActivateSessionResponse{}
				},
			}.meet(t, options())
			c, err := uaclient.Open(t.Context(), nc, options())
			if tc.want == ua.StatusGood {
				if err != nil {
					t.Fatal(err)
				}
				_ = c.Close(t.Context())
				return
			}
			if !errors.Is(err, tc.want) || activated {
				t.Errorf("got %v, want %v; activated: %v", err, tc.want, activated)
			}
		})
	}
}

// A password leaves only encrypted, for a certificate that the caller has verified.
func TestActivateSession_password(t *testing.T) {
	offer := func(uri string) func(s *stranger, r *uabinary.Reader) uabinary.Structure {
		return func(s *stranger, r *uabinary.Reader) uabinary.Structure {
			response := s.createSession(r)
			response.ServerNonce = make([]byte, 32)
			response.ServerCertificate = serverIdentity().Chain[0] // also under None, where it proves nothing
			response.ServerEndpoints[0].UserIdentityTokens = []uabinary.UserTokenPolicy{
				{PolicyID: "user", TokenType: ua.UserTokenTypeUserName, SecurityPolicyURI: uri}}
			return response
		}
	}
	signed := options()
	signed.Mode = ua.MessageSecurityModeSign
	unverified, verified := plain(), plain()
	verified.ServerCertificate = serverIdentity().Chain[0]
	for name, tc := range map[string]struct {
		options uaclient.Options
		uri     string
		want    ua.StatusCode // Good: sent encrypted
	}{
		"the endpoint's policy":     {options(), "", ua.StatusGood},
		"a policy of its own":       {options(), ua.SecurityPolicyURIAes256Sha256RsaPss, ua.StatusGood},
		"unknown policy":            {options(), "http://opcfoundation.org/UA/SecurityPolicy#Basic128Rsa15", ua.StatusBadSecurityPolicyRejected},
		"clear, signed only":        {signed, ua.SecurityPolicyURINone, ua.StatusBadSecurityPolicyRejected},
		"clear, None":               {unverified, "", ua.StatusBadSecurityPolicyRejected},
		"encrypted for a stranger":  {unverified, ua.SecurityPolicyURIBasic256Sha256, ua.StatusBadCertificateInvalid},
		"encrypted for a confidant": {verified, ua.SecurityPolicyURIBasic256Sha256, ua.StatusGood},
	} {
		t.Run(name, func(t *testing.T) {
			var token uabinary.UserNameIdentityToken
			nc := answers{
				createSessionID: offer(tc.uri),
				activateID: func(_ *stranger, r *uabinary.Reader) uabinary.Structure {
					var request uabinary.ActivateSessionRequest
					if request.Parse(r); request.UserIdentityToken.Decode(&token, nil) != nil {
						t.Error("no user token")
					}
					return &uabinary.ActivateSessionResponse{}
				},
			}.meet(t, tc.options)
			o := tc.options
			o.User, o.Password = "joe", "secret"
			c, err := uaclient.Open(t.Context(), nc, o)
			if tc.want != ua.StatusGood {
				if !errors.Is(err, tc.want) || token.Password != nil {
					t.Errorf("got %v, want %v; sent %q", err, tc.want, token.Password)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close(t.Context())
			if token.PolicyID != "user" || len(token.Password) != 256 || bytes.Contains(token.Password, []byte("secret")) {
				t.Errorf("sent %+v", token)
			}
		})
	}
}

// raw is a message body that is what it is.
type raw []byte

func (m raw) Append(dst []byte) []byte { return append(dst, m...) }
func (m raw) Parse(*uabinary.Reader)   {}
func (m raw) EncodingID() uint32       { return id.ReadResponse_Encoding_DefaultBinary }

// deep is a ReadResponse with Variants inside of each other.
func deep(levels int) raw {
	body := uabinary.ReadResponse{}
	b := body.ResponseHeader.Append(nil)
	b = uabinary.AppendInt32(b, 1)
	b = append(b, 1) // DataValue with a Value
	for range levels {
		b = append(b, 24|1<<7, 1, 0, 0, 0) // array of one Variant
	}
	return b
}

// What is wrong with a response is an error of the request; the connection goes on.
func TestRead_badResponses(t *testing.T) {
	good := uabinary.AppendMessage(nil, &uabinary.ReadResponse{Results: make([]uabinary.DataValue, 1)})[4:]
	counted := func(n int32) raw {
		b := (&uabinary.ResponseHeader{}).Append(nil)
		return uabinary.AppendInt32(b, n)
	}
	for name, tc := range map[string]struct {
		response uabinary.Structure
		want     ua.StatusCode
	}{
		"fault":             {&uabinary.ServiceFault{ResponseHeader: uabinary.ResponseHeader{ServiceResult: ua.StatusBadUserAccessDenied}}, ua.StatusBadUserAccessDenied},
		"fault without one": {&uabinary.ServiceFault{}, ua.StatusBadUnknownResponse},
		"other type":        {&uabinary.BrowseResponse{}, ua.StatusBadUnknownResponse},
		"no results":        {&uabinary.ReadResponse{}, ua.StatusBadUnknownResponse},
		"too many results":  {&uabinary.ReadResponse{Results: make([]uabinary.DataValue, 2)}, ua.StatusBadUnknownResponse},
		"nothing":           {raw(nil), ua.StatusBadDecodingError},
		"half":              {raw(good[:len(good)/2]), ua.StatusBadDecodingError},
		"2^31-1 results":    {counted(1<<31 - 1), ua.StatusBadEncodingLimitsExceeded},
		"60000 results":     {counted(60_000), ua.StatusBadDecodingError},
		"nested 101 deep":   {deep(101), ua.StatusBadEncodingLimitsExceeded},
		"nested 10000 deep": {deep(10_000), ua.StatusBadEncodingLimitsExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			first := true
			nc := answers{readID: func(s *stranger, r *uabinary.Reader) uabinary.Structure {
				if !first {
					return honest[readID](s, r)
				}
				first = false
				return tc.response
			}}.meet(t, options())
			c := open(t, nc, options())
			if _, err := c.Read(t.Context(), value(temperature)); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if got := read(t, c); got != 1 {
				t.Errorf("then read %v", got)
			}
		})
	}
}

// What breaks the rules of the connection ends it, and every request with it.
func TestClient_brokenConnections(t *testing.T) {
	message := func(isFinal byte, id uint32, size int) func(s *stranger) {
		return func(s *stranger) { _ = s.Send(uatcp.TypeMessage, isFinal, id, make([]byte, size)) }
	}
	for name, tc := range map[string]struct {
		act  func(s *stranger)
		want ua.StatusCode
	}{
		"unknown request":  {message(uatcp.Final, 12345, 10), ua.StatusBadUnknownResponse},
		"answered already": {message(uatcp.Final, 2, 10), ua.StatusBadUnknownResponse},
		"endless chunks": {func(s *stranger) {
			for s.Send(uatcp.TypeMessage, uatcp.Intermediate, s.ID, make([]byte, 100)) == nil {
			}
		}, ua.StatusBadTCPMessageTooLarge},
		"endless bytes": {func(s *stranger) {
			for s.Send(uatcp.TypeMessage, uatcp.Intermediate, s.ID, make([]byte, 60_000)) == nil {
			}
		}, ua.StatusBadTCPMessageTooLarge},
		"error message": {func(s *stranger) {
			_, _ = s.Net.Write((&uatcp.Error{Code: ua.StatusBadTCPServerTooBusy, Reason: "go away\x1b[2J"}).Append(nil))
		}, ua.StatusBadTCPServerTooBusy},
		"closed":       {func(s *stranger) {}, ua.StatusBadConnectionClosed},
		"garbage":      {func(s *stranger) { _, _ = s.Net.Write(bytes.Repeat([]byte{0xA5}, 4000)) }, ua.StatusBadTCPMessageTypeInvalid},
		"half a frame": {func(s *stranger) { _, _ = s.Net.Write([]byte("MSGF\x00\x10\x00\x00")) }, ua.StatusBadConnectionClosed},
		"bad padding": {func(s *stranger) {
			chunk, _ := s.Seal(uatcp.TypeMessage, uatcp.Final, s.ID, make([]byte, 100))
			chunk[len(chunk)-1] ^= 1
			_, _ = s.Net.Write(chunk)
		}, ua.StatusBadSecurityChecksFailed},
	} {
		t.Run(name, func(t *testing.T) {
			nc := answers{readID: func(s *stranger, _ *uabinary.Reader) uabinary.Structure {
				tc.act(s)
				s.Net.Close()
				return nil
			}}.meet(t, options())
			c := open(t, nc, options())
			_, err := c.Read(t.Context(), value(temperature))
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if bytes.ContainsRune([]byte(err.Error()), 0x1b) {
				t.Errorf("%q", err)
			}
			<-c.Ended()
			if _, again := c.Read(t.Context(), value(temperature)); !errors.Is(again, tc.want) {
				t.Errorf("then got %v", again)
			}
		})
	}
}

func TestRead_aborted(t *testing.T) {
	reason := (&uatcp.Error{Code: ua.StatusBadResponseTooLarge, Reason: "no"}).Append(nil)[uatcp.HeaderSize:]
	nc := answers{readID: func(s *stranger, _ *uabinary.Reader) uabinary.Structure {
		_ = s.Send(uatcp.TypeMessage, uatcp.Intermediate, s.ID, make([]byte, 50))
		_ = s.Send(uatcp.TypeMessage, uatcp.Abort, s.ID, reason)
		return nil
	}}.meet(t, options())
	c := open(t, nc, options())
	if _, err := c.Read(t.Context(), value(temperature)); !errors.Is(err, ua.StatusBadResponseTooLarge) {
		t.Error(err)
	}
}

// A tree without end comes to an end.
func TestBrowse_endless(t *testing.T) {
	for name, references := range map[string]int{"references": 100, "nothing": 0} {
		t.Run(name, func(t *testing.T) {
			released, rounds := false, 0
			result := []uabinary.BrowseResult{{ContinuationPoint: []byte("more"), References: make([]uabinary.ReferenceDescription, references)}}
			nc := answers{
				browseID: always(&uabinary.BrowseResponse{Results: result}),
				browseNextID: func(_ *stranger, r *uabinary.Reader) uabinary.Structure {
					var request uabinary.BrowseNextRequest
					request.Parse(r)
					released = request.ReleaseContinuationPoints
					rounds++
					return &uabinary.BrowseNextResponse{Results: result}
				},
			}.meet(t, options())
			c := open(t, nc, options())
			all, err := c.Browse(t.Context(), hierarchical(folder), 1000)
			if err != nil || len(all) > 1000 || !released || rounds > 1001 {
				t.Errorf("%d references after %d rounds, released: %v, %v", len(all), rounds, released, err)
			}
		})
	}
}

// A server that does not even close keeps us for a second.
func TestClose_silentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nc := answers{closeSessionID: func(s *stranger, _ *uabinary.Reader) uabinary.Structure {
			time.Sleep(time.Hour)
			return nil
		}}.meet(t, options())
		c, err := uaclient.Open(t.Context(), nc, options())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := c.Close(t.Context()); err == nil || time.Since(start) > 12*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// A server that never finishes a message takes a few megabytes of memory, and no more.
func TestClient_memoryIsBounded(t *testing.T) {
	var sent atomic.Int64
	nc := answers{readID: func(s *stranger, _ *uabinary.Reader) uabinary.Structure {
		chunk, err := s.Seal(uatcp.TypeMessage, uatcp.Intermediate, s.ID, make([]byte, 60_000))
		for ; err == nil; s.Sequence++ {
			binary.LittleEndian.PutUint32(chunk[16:], s.Sequence)
			_, err = s.Net.Write(chunk)
			sent.Add(1)
		}
		return nil
	}}.meet(t, plain())
	c := open(t, nc, plain())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := c.Read(t.Context(), value(temperature)); !errors.Is(err, ua.StatusBadTCPMessageTooLarge) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 || sent.Load() < 60 {
		t.Errorf("%d bytes of memory for %d chunks", took, sent.Load())
	}
}
