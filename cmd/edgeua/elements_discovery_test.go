package main

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/config/configtest"
	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/securechannel/securechanneltest"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uaclient"
	"github.com/edgeua/edgeua/internal/uatcp"
)

const endpointPath = "UaServerConfig/UaEndpoint/"

// identityEffects are those of the names of the server and of others.
func identityEffects() map[string]influence {
	all := map[string]influence{
		"ServerUri":                            {value: "urn:other", plain: stageURI, probe: own(func(d *uabinary.ApplicationDescription) any { return d.ApplicationURI }), want: "urn:other"},
		"ServerName":                           {value: "Other@[NodeName]", plain: "Plant", probe: own(func(d *uabinary.ApplicationDescription) any { return d.ApplicationName.Text }), want: "Other@gw-7"},
		"ProductUri":                           {value: "urn:p", probe: and(published(id.Server_ServerStatus_BuildInfo_ProductURI), own(func(d *uabinary.ApplicationDescription) any { return d.ProductURI })), want: "urn:p, urn:p"},
		"ApplicationUri":                       {value: "urn:old", probe: published(id.Server_ServerStatus_BuildInfo_ProductURI), want: "urn:old"},
		"ManufacturerName":                     {value: "Works", probe: published(id.Server_ServerStatus_BuildInfo_ManufacturerName), want: "Works"},
		"ProductName":                          {value: "Crane", probe: published(id.Server_ServerStatus_BuildInfo_ProductName), want: "Crane"},
		"ApplicationName":                      {value: "Winch", probe: published(id.Server_ServerStatus_BuildInfo_ProductName), want: "Winch"},
		"SoftwareVersion":                      {value: "7.3.1", probe: published(id.Server_ServerStatus_BuildInfo_SoftwareVersion), want: "7.3.1"},
		"RedundancySettings/RedundancySupport": {value: "Warm", probe: published(id.Server_ServerRedundancy_RedundancySupport), want: "2", without: "0"},
		"RedundancySettings/ServerUri": {value: "urn:b", given: func(n *configtest.Node) {
			n.Set("UaServerConfig/RedundancySettings/RedundancySupport", "Hot")
		}, probe: published(id.Server_ServerRedundancy_ServerURIArray), want: "[urn:gw-7:plant urn:b]", without: "[urn:gw-7:plant]"},
		"BuildNumber": {value: "2051", probe: published(id.Server_ServerStatus_BuildInfo_BuildNumber), want: "2051"},
	}
	for name, e := range map[string]influence{
		"ApplicationUri":      {value: "urn:c", probe: second(func(d *uabinary.ApplicationDescription) any { return d.ApplicationURI }), want: "urn:c"},
		"ProductUri":          {value: "urn:p", probe: second(func(d *uabinary.ApplicationDescription) any { return d.ProductURI }), want: "urn:p"},
		"ApplicationName":     {value: "Crane B", probe: second(func(d *uabinary.ApplicationDescription) any { return d.ApplicationName.Text }), want: "Crane B"},
		"ApplicationType":     {value: "ClientAndServer", probe: second(func(d *uabinary.ApplicationDescription) any { return d.ApplicationType }), want: "ApplicationTypeClientAndServer"},
		"GatewayServerUri":    {value: "urn:g", probe: second(func(d *uabinary.ApplicationDescription) any { return d.GatewayServerURI }), want: "urn:g"},
		"DiscoveryProfileUri": {value: "urn:d", probe: second(func(d *uabinary.ApplicationDescription) any { return d.DiscoveryProfileURI }), want: "urn:d"},
		"DiscoveryUrl":        {value: "opc.tcp://b:4840", probe: second(func(d *uabinary.ApplicationDescription) any { return d.DiscoveryURLs }), want: "[opc.tcp://b:4840]"},
	} {
		e.given = func(n *configtest.Node) {
			n.Set("UaServerConfig/AdditionalServerEntries/ApplicationDescription/ApplicationUri", "urn:b")
		}
		all["AdditionalServerEntries/ApplicationDescription/"+name] = e
	}
	return all
}

// own and second give something about the first or second server that FindServers names.
func own(field func(*uabinary.ApplicationDescription) any) func(*stage) string {
	return func(s *stage) string { return fmt.Sprint(field(&s.servers()[0])) }
}

func second(field func(*uabinary.ApplicationDescription) any) func(*stage) string {
	return func(s *stage) string { return fmt.Sprint(field(&s.servers()[1])) }
}

// endpointEffects are those of what stands directly in a UaEndpoint.
func endpointEffects(t *testing.T) map[string]influence {
	const listening = "<EdgeUa/>"
	a, b := freeAddress(t), freeAddress(t)
	call := newPhone(t)
	return map[string]influence{
		"SerializerType": {value: "Xml", refused: true, want: `"Xml" is not supported; only Binary is`},
		"Url":            {value: "opc.tcp://" + a, plain: "opc.tcp://" + b, edge: listening, probe: dialled(a), want: "opc.tcp://" + a},
		"StackUrl": {value: "opc.tcp://" + b, edge: listening, probe: and(dialled(a), dialled(b)), want: "nobody there, opc.tcp://" + a,
			given: func(n *configtest.Node) { n.Set(endpointPath+"Url", "opc.tcp://"+a) }},
		"IsVisible":      {value: "false", probe: func(s *stage) string { return fmt.Sprint(len(s.endpoints(""))) }, want: "0"},
		"IsDiscoveryUrl": {value: "false", probe: own(func(d *uabinary.ApplicationDescription) any { return len(d.DiscoveryURLs) }), want: "0"},
		"AutomaticallyTrustAllClientCertificates": {value: "true", probe: enters(lone), want: good},
		"CreateSignatureWithChain": {value: "true", probe: signedOver, want: "the whole chain",
			files: laid(map[string][]byte{"trusted/a.der": root().Chain[0], "crl/root.crl": crl(root())})},
		"SecuritySetting/SecurityPolicy": {value: policyURI + "Aes256_Sha256_RsaPss", plain: policyURI + "Basic256Sha256", want: good,
			probe: entersBy("Aes256_Sha256_RsaPss", ua.MessageSecurityModeSignAndEncrypt, lone), files: laid(map[string][]byte{"trusted/a.der": lone().Chain[0]})},
		"SecuritySetting/MessageSecurityMode": {value: "Sign", plain: "SignAndEncrypt", want: good,
			probe: entersBy("Basic256Sha256", ua.MessageSecurityModeSign, lone), files: laid(map[string][]byte{"trusted/a.der": lone().Chain[0]})},
		"ReverseConnect/Url": {value: call.url(), plain: "opc.tcp://127.0.0.1:1", probe: called(call), want: stageURI + " calls for " + stageURL},
		"AlternativeEndpointUrls/Url": {value: "opc.tcp://proxy:14840/x", want: "opc.tcp://proxy:14840/x",
			probe: func(s *stage) string { return s.endpoints("opc.tcp://proxy:14840/x")[0].EndpointURL }},
	}
}

// dialled is the address of the endpoint that answers at a port.
func dialled(address string) func(*stage) string {
	return func(s *stage) string {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			return "nobody there"
		}
		all, err := uaclient.Endpoints(s.ctx, nc, stageURL)
		if err != nil {
			return err.Error()
		}
		return all[0].EndpointURL
	}
}

// signedOver tells which certificates of the client the server signs when a session is created.
func signedOver(s *stage) string {
	p, err := s.channel(0, "Basic256Sha256", ua.MessageSecurityModeSignAndEncrypt, ours())
	if err != nil {
		return outcome(err)
	}
	defer p.Close()
	req := p.createRequest()
	resp, code := p.created(req)
	p.ok(code)
	policy, _ := securechannel.PolicyByURI(p.PolicyURI)
	key := s.shownCertificate().PublicKey.(*rsa.PublicKey)
	switch {
	case policy.Verify(key, resp.ServerSignature.Signature, req.ClientCertificate, req.ClientNonce) == nil:
		return "the whole chain"
	case policy.Verify(key, resp.ServerSignature.Signature, ours().Chain[0], req.ClientNonce) == nil:
		return "the certificate"
	}
	return "something else"
}

// called waits until the gateway has called, or has found nobody where it calls.
func called(by *phone) func(*stage) string {
	return func(s *stage) string {
		if s.g.cfg.Endpoints[0].ReverseClients[0].URL != by.url() {
			s.log.wait(s.t, "connection refused")
			return fmt.Sprintf("%d calls", len(by.calls))
		}
		r := by.answer()
		return r.hello.ServerURI + " calls for " + r.hello.EndpointURL
	}
}

// registrationEffects are those of the discovery servers. Each has one of its own.
func registrationEffects(t *testing.T) map[string]influence {
	const at = "UaServerConfig/DiscoveryRegistration/"
	lds := newRegistry(t)
	given := func(n *configtest.Node) { n.Set(at+"Url", lds.url()) }
	files := laid(map[string][]byte{"trusted/lds.der": registryIdentity().Chain[0]})
	return map[string]influence{
		"DiscoveryRegistration/Url": {value: lds.url(), files: files, probe: lds.registered, want: stageURI},
		"DiscoveryRegistration/RegistrationInterval": {value: "1000", given: given, files: files, want: "again within two seconds",
			probe: lds.again},
		"DiscoveryRegistration/DiscoveryServerTrustListLocation": {value: "lds/trusted", given: given, files: files, probe: rejected("lds/trusted"), want: "1"},
		"ServerCapabilities/ServerCapability":                    {value: "DA", given: given, files: files, probe: lds.capabilities, want: "[DA]"},
	}
}

var registryIdentity = sync.OnceValue(func() *securechannel.Identity { return securechanneltest.NewIdentity("client3072", "urn:test:lds") })

// registry is a discovery server.
type registry struct {
	t    *testing.T
	l    net.Listener
	told chan registered
}

// registered is one registration.
type registered struct {
	server       uabinary.RegisteredServer
	capabilities []string
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &registry{t: t, l: l, told: make(chan registered, 100)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for n := 0; ; n++ { // connections come in pairs: one to ask for the endpoints, one to register
			nc, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { r.serve(nc, n%2 == 1) })
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return r
}

func (r *registry) url() string { return "opc.tcp://" + r.l.Addr().String() }

func (r *registry) serve(nc net.Conn, secured bool) {
	defer nc.Close()
	policy, mode, client := ua.SecurityPolicyURINone, ua.MessageSecurityModeNone, []byte(nil)
	if secured {
		policy, mode, client = ua.SecurityPolicyURIBasic256Sha256, ua.MessageSecurityModeSignAndEncrypt, stageIdentity().Chain[0]
	}
	p, err := securechanneltest.NewServer(nc, uatcp.Config{}, policy, mode, registryIdentity(), client)
	if err == nil {
		err = p.Open()
	}
	for err == nil {
		var body []byte
		if body, err = p.Receive(); err == nil {
			err = reply(p, r.answer(body))
		}
	}
}

func (r *registry) answer(body []byte) uabinary.Structure {
	in := uabinary.NewReader(body, nil)
	if in.MessageType() == id.GetEndpointsRequest_Encoding_DefaultBinary {
		return &uabinary.GetEndpointsResponse{Endpoints: []uabinary.EndpointDescription{{
			EndpointURL: r.url(), SecurityMode: ua.MessageSecurityModeSignAndEncrypt, SecurityPolicyURI: ua.SecurityPolicyURIBasic256Sha256,
			ServerCertificate: registryIdentity().Chain[0],
		}}}
	}
	var req uabinary.RegisterServer2Request
	req.Parse(in)
	var mdns uabinary.MdnsDiscoveryConfiguration
	if in.Err() != nil || req.DiscoveryConfiguration[0].Decode(&mdns, nil) != nil {
		r.t.Error("not a registration")
	}
	if req.Server.IsOnline {
		r.told <- registered{req.Server, mdns.ServerCapabilities}
	}
	return &uabinary.RegisterServer2Response{}
}

// next waits for a registration; false if the gateway has none to make.
func (r *registry) next(s *stage, patience time.Duration) (registered, bool) {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	select {
	case told := <-r.told:
		return told, true
	case <-ctx.Done():
		return registered{}, false
	}
}

func (r *registry) registered(s *stage) string {
	if len(s.g.cfg.Registration.URLs) == 0 {
		return "nobody was told"
	}
	told, _ := r.next(s, 20*time.Second)
	return told.server.ServerURI
}

func (r *registry) capabilities(s *stage) string {
	told, _ := r.next(s, 20*time.Second)
	return fmt.Sprint(told.capabilities)
}

// again tells whether a second registration follows the first one.
func (r *registry) again(s *stage) string {
	if _, ok := r.next(s, 20*time.Second); !ok {
		return "never"
	}
	if _, ok := r.next(s, 2*time.Second); !ok {
		return "not within two seconds"
	}
	return "again within two seconds"
}
