package main

import (
	"crypto/x509"
	"log/slog"
	"net"
	"reflect"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/internal/registration"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// registrar keeps the gateway registered at the configured discovery servers,
// with the identity of the first endpoint that has one.
type registrar struct {
	log  *slog.Logger
	crew *crew // nil: not yet
	told registration.Config
	stop func() // nil: nothing runs
}

// apply registers what cfg asks for. What is the same goes on; else the old
// registration is taken back first.
func (r *registrar) apply(cfg *config.Config, ids []identity) {
	next := registrationOf(cfg, ids)
	if sameRegistration(next, r.told) {
		return
	}
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
	r.told = next
	if len(next.URLs) == 0 {
		return
	}
	if len(next.Server.DiscoveryURLs) == 0 {
		r.log.Warn("not registered at any discovery server: no endpoint has a discovery URL")
		return
	}
	if next.Identity != nil {
		r.introduce(next.Identity.Chain[0], cfg.Registration.TrustList)
	}
	r.begin()
}

// run registers, and from now on what comes.
func (r *registrar) run(c *crew) {
	r.crew = c
	r.begin()
}

func (r *registrar) begin() {
	if r.crew == nil || len(r.told.URLs) == 0 || len(r.told.Server.DiscoveryURLs) == 0 {
		return
	}
	c := r.told
	c.Dial, c.Log = (&net.Dialer{}).DialContext, r.log
	r.stop = r.crew.begin(registration.New(c).Run)
}

// registrationOf is what the discovery servers are told; the URLs are empty if
// there are none.
func registrationOf(cfg *config.Config, ids []identity) registration.Config {
	c := registration.Config{
		URLs: cfg.Registration.URLs, Interval: cfg.Registration.Interval, Capabilities: cfg.Registration.Capabilities,
		Server: uabinary.RegisteredServer{
			ServerURI: cfg.Application.URI, ProductURI: or(cfg.Application.ProductURI, defaultProductURI),
			ServerNames: []uabinary.LocalizedText{{Text: cfg.Application.Name}},
			ServerType:  ua.ApplicationTypeServer,
		},
	}
	for i := range cfg.Endpoints {
		e := &cfg.Endpoints[i]
		if e.Discovery {
			c.Server.DiscoveryURLs = append(c.Server.DiscoveryURLs, e.URL)
		}
		if c.Identity == nil && ids[i].own != nil {
			c.Identity, c.Trust = ids[i].own, ids[i].trust
		}
	}
	return c
}

// sameRegistration compares all but functions. An identity that is the same has
// the same trust.
func sameRegistration(a, b registration.Config) bool {
	same := a.Identity == b.Identity
	a.Identity, a.Trust, b.Identity, b.Trust = nil, nil, nil, nil
	return same && reflect.DeepEqual(a, b)
}

// introduce copies the own certificate to the trust list of the discovery
// server, if the configuration names it.
func (r *registrar) introduce(own []byte, dir string) {
	if dir == "" {
		return
	}
	cert, err := x509.ParseCertificate(own)
	if err == nil {
		err = pki.Introduce(cert, dir)
	}
	if err != nil {
		r.log.Warn("own certificate not copied to the trust list of the discovery server", "directory", dir, "err", err)
	}
}
