package uaclient

import (
	"context"
	"errors"
	"net"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// Register tells the discovery server on nc about a server, on a SecureChannel with the policy, mode, identity and
// certificate of o, and closes nc. A discovery server without RegisterServer2 is told by RegisterServer, which has no room for
// mdns. Part 4 (1.05), 5.5.5 and 5.5.6
func Register(ctx context.Context, nc net.Conn, o Options, server uabinary.RegisteredServer, mdns uabinary.MdnsDiscoveryConfiguration) error {
	policy, ok := securechannel.PolicyByURI(o.SecurityPolicyURI)
	if !ok || policy.IsNone() {
		nc.Close()
		return failure(ua.StatusBadSecurityPolicyRejected, "registration needs a secure channel", nil)
	}
	c, err := connect(ctx, nc, o.EndpointURL, securechannel.ClientConfig{
		Policy: policy, Mode: o.Mode, Identity: o.Identity, ServerCertificate: o.ServerCertificate,
	})
	if err != nil {
		return err
	}
	defer c.close()
	request := uabinary.RegisterServer2Request{
		Server: server, DiscoveryConfiguration: []uabinary.ExtensionObject{uabinary.ExtensionObjectOf(&mdns)},
	}
	var response uabinary.RegisterServer2Response
	err = c.invoke(ctx, &request.RequestHeader, &request, &response)
	if !unsupported(err) {
		return err
	}
	older := uabinary.RegisterServerRequest{Server: server}
	var answer uabinary.RegisterServerResponse
	return c.invoke(ctx, &older.RequestHeader, &older, &answer)
}

// unsupported reports whether the server does not know a service.
func unsupported(err error) bool {
	var refusal *ServerError
	return errors.As(err, &refusal) && (refusal.Code == ua.StatusBadServiceUnsupported || refusal.Code == ua.StatusBadNotImplemented)
}
