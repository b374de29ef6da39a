package uaclient_test

import (
	"net"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uaclient"
	"github.com/edgeua/edgeua/internal/uatcp"
)

// stranger is the server's side of a connection in the hands of a test.
type stranger struct{ *securechanneltest.Server }

// answers say how a stranger answers requests, by the identifiers of their encodings; nil is not at all.
type answers map[uint32]func(s *stranger, r *uabinary.Reader) uabinary.Structure

// meet returns the client's end of a connection to a stranger that has opened a SecureChannel when script begins.
func meet(t testing.TB, o uaclient.Options, script func(s *stranger)) net.Conn {
	t.Helper()
	client, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		p, err := securechanneltest.NewServer(theirs, uatcp.Config{}, o.SecurityPolicyURI, o.Mode, serverIdentity(), clientIdentity().Chain[0])
		if err != nil || p.Open() != nil {
			return
		}
		_ = theirs.SetDeadline(time.Time{})
		script(&stranger{p})
	}()
	t.Cleanup(func() { client.Close(); <-done })
	return client
}

// stranger answers as custom says, and otherwise as a server does that has nothing to hide.
func (custom answers) meet(t testing.TB, o uaclient.Options) net.Conn {
	t.Helper()
	return meet(t, o, func(s *stranger) { s.serve(custom) })
}

func (s *stranger) serve(custom answers) {
	for {
		body, err := s.Receive()
		if err != nil {
			return
		}
		r := uabinary.NewReader(body, nil)
		kind := r.MessageType()
		answer, ok := custom[kind]
		if !ok {
			answer = honest[kind]
		}
		if answer == nil {
			continue
		}
		response := answer(s, r)
		if response != nil && s.reply(response) != nil {
			return
		}
	}
}

// reply sends a response to the request read last.
func (s *stranger) reply(response uabinary.Structure) error {
	return s.Send(uatcp.TypeMessage, uatcp.Final, s.ID, uabinary.AppendMessage(nil, response))
}

// honest is how a server answers that does what it should.
var honest = answers{
	id.CreateSessionRequest_Encoding_DefaultBinary: func(s *stranger, r *uabinary.Reader) uabinary.Structure {
		return s.createSession(r)
	},
	id.ActivateSessionRequest_Encoding_DefaultBinary: always(&uabinary.ActivateSessionResponse{ServerNonce: make([]byte, 32)}),
	id.CloseSessionRequest_Encoding_DefaultBinary:    always(&uabinary.CloseSessionResponse{}),
	id.ReadRequest_Encoding_DefaultBinary:            always(&uabinary.ReadResponse{Results: []uabinary.DataValue{{Value: uabinary.DoubleVariant(1)}}}),
	id.CreateSubscriptionRequest_Encoding_DefaultBinary: always(&uabinary.CreateSubscriptionResponse{
		SubscriptionID: 7, RevisedPublishingInterval: 500, RevisedMaxKeepAliveCount: 20, RevisedLifetimeCount: 60}),
	id.CreateMonitoredItemsRequest_Encoding_DefaultBinary: always(&uabinary.CreateMonitoredItemsResponse{
		Results: []uabinary.MonitoredItemCreateResult{{MonitoredItemID: 1}}}),
	id.DeleteSubscriptionsRequest_Encoding_DefaultBinary: always(&uabinary.DeleteSubscriptionsResponse{Results: []ua.StatusCode{ua.StatusGood}}),
}

// always gives the same answer.
func always(response uabinary.Structure) func(*stranger, *uabinary.Reader) uabinary.Structure {
	return func(*stranger, *uabinary.Reader) uabinary.Structure { return response }
}

func (s *stranger) createSession(r *uabinary.Reader) *uabinary.CreateSessionResponse {
	var request uabinary.CreateSessionRequest
	request.Parse(r)
	response := &uabinary.CreateSessionResponse{
		AuthenticationToken:   uabinary.NumericID(0, 99),
		RevisedSessionTimeout: 120_000,
		ServerEndpoints: []uabinary.EndpointDescription{{
			SecurityPolicyURI: s.PolicyURI, SecurityMode: s.Mode,
			UserIdentityTokens: []uabinary.UserTokenPolicy{{PolicyID: "anonymous", TokenType: ua.UserTokenTypeAnonymous}},
		}},
	}
	if s.ServerKey == nil {
		return response
	}
	policy, _ := securechannel.PolicyByURI(s.PolicyURI)
	response.ServerNonce, response.ServerCertificate = make([]byte, 32), s.Identity.Chain[0]
	signature, err := policy.Sign(s.Identity.Key, request.ClientCertificate, request.ClientNonce)
	if err != nil {
		panic(err)
	}
	response.ServerSignature = uabinary.SignatureData{Algorithm: policy.SignatureAlgorithm(), Signature: signature}
	return response
}
