package main

import (
	"crypto/x509"
	"net"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/internal/registration"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// register lets the gateway keep itself registered at the configured discovery
// servers, with the identity of the first endpoint that has one.
func (g *gateway) register(ids []identity) {
	r := &g.cfg.Registration
	if len(r.URLs) == 0 {
		return
	}
	c := registration.Config{
		URLs: r.URLs, Interval: r.Interval, Capabilities: r.Capabilities,
		Dial: (&net.Dialer{}).DialContext, Log: g.log,
		Server: uabinary.RegisteredServer{
			ServerURI: g.cfg.Application.URI, ProductURI: or(g.cfg.Application.ProductURI, defaultProductURI),
			ServerNames: []uabinary.LocalizedText{{Text: g.cfg.Application.Name}},
			ServerType:  ua.ApplicationTypeServer,
		},
	}
	for i := range g.cfg.Endpoints {
		e := &g.cfg.Endpoints[i]
		if e.Discovery {
			c.Server.DiscoveryURLs = append(c.Server.DiscoveryURLs, e.URL)
		}
		if c.Identity == nil && ids[i].own != nil {
			c.Identity, c.Trust = ids[i].own, ids[i].trust
			g.introduce(ids[i].own.Chain[0])
		}
	}
	if len(c.Server.DiscoveryURLs) == 0 {
		g.log.Warn("not registered at any discovery server: no endpoint has a discovery URL")
		return
	}
	g.tasks = append(g.tasks, registration.New(c).Run)
}

// introduce copies the own certificate to the trust list of the discovery
// server, if the configuration names it.
func (g *gateway) introduce(own []byte) {
	dir := g.cfg.Registration.TrustList
	if dir == "" {
		return
	}
	cert, err := x509.ParseCertificate(own)
	if err == nil {
		err = pki.Introduce(cert, dir)
	}
	if err != nil {
		g.log.Warn("own certificate not copied to the trust list of the discovery server", "directory", dir, "err", err)
	}
}
