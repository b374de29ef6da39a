package securechanneltest

import (
	"context"
	"crypto/rand"
	"net"
	"time"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// Server is the server's side of one SecureChannel. What is secured and how is the same on both sides, so it is a Client whose Identity
// is that of the server and whose ServerKey and Thumbprint are those of the client.
type Server struct {
	*Client
	Request uabinary.OpenSecureChannelRequest // the last one
	ID      uint32                            // RequestId of the last OPN or MSG received
}

// NewServer waits for Hello on nc and acknowledges it. clientCert is in DER, nil under None.
func NewServer(nc net.Conn, transport uatcp.Config, policyURI string, mode ua.MessageSecurityMode, identity *securechannel.Identity, clientCert []byte) (*Server, error) {
	conn, err := uatcp.Accept(context.Background(), nc, transport)
	if err != nil {
		return nil, err
	}
	c, err := NewOn(nc, conn, policyURI, mode, identity, clientCert)
	if err != nil {
		return nil, err
	}
	c.Response.SecurityToken = uabinary.ChannelSecurityToken{ChannelID: 1, RevisedLifetime: 3600_000}
	return &Server{Client: c}, nil
}

// ReadOpen reads an OpenSecureChannel request and prepares the Response to it.
func (s *Server) ReadOpen() error {
	var err error
	if _, s.ID, err = s.readOpen(&s.Request); err != nil {
		return err
	}
	s.Response.ResponseHeader.RequestHandle = s.Request.RequestHeader.RequestHandle
	s.Response.SecurityToken.TokenID++
	s.Response.SecurityToken.CreatedAt = uabinary.DateTimeOf(time.Now())
	if s.Response.ServerNonce = nil; s.ServerKey != nil {
		s.Response.ServerNonce = make([]byte, 32)
		rand.Read(s.Response.ServerNonce)
	}
	return nil
}

// AnswerOpen sends the Response and uses its token from then on.
func (s *Server) AnswerOpen() error {
	token := s.Response.SecurityToken
	s.ChannelID, s.TokenID, s.RequestID = token.ChannelID, token.TokenID, s.ID-1
	chunk, err := s.SealOpen(&s.Response)
	if err != nil {
		return err
	}
	if _, err = s.Net.Write(chunk); err != nil {
		return err
	}
	return s.useToken(s.Response.ServerNonce, s.Request.ClientNonce)
}

// Open answers one OpenSecureChannel request.
func (s *Server) Open() error {
	if err := s.ReadOpen(); err != nil {
		return err
	}
	return s.AnswerOpen()
}

// Receive reads one message and returns its body.
func (s *Server) Receive() (body []byte, err error) {
	s.ID, body, err = s.Client.Receive()
	return body, err
}
