package uaclient

import (
	"context"
	"net"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// Endpoints asks the server on nc for the endpoints of url, without security, and closes nc. Nothing in the answer is proven.
// Part 4 (1.05), 5.5.4 (5.4.4 in 1.04)
func Endpoints(ctx context.Context, nc net.Conn, url string) ([]uabinary.EndpointDescription, error) {
	policy, _ := securechannel.PolicyByURI(ua.SecurityPolicyURINone)
	c, err := connect(ctx, nc, url, securechannel.ClientConfig{Policy: policy, Mode: ua.MessageSecurityModeNone})
	if err != nil {
		return nil, err
	}
	defer c.close()
	request := uabinary.GetEndpointsRequest{EndpointURL: url}
	var response uabinary.GetEndpointsResponse
	if err := c.invoke(ctx, &request.RequestHeader, &request, &response); err != nil {
		return nil, err
	}
	return response.Endpoints, nil
}
