package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"time"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/internal/securechannel"
)

// identity is what an endpoint proves itself with and whom it trusts.
type identity struct {
	own   *securechannel.Identity
	trust func(certificate []byte) error
	pair  *pki.Own // nil: none
	of    *config.Endpoint
}

// identities loads the certificates of all endpoints, creating those that are
// missing and may be created. Endpoints usually share one store. What is the
// same as before is that of before.
func identities(cfg *config.Config, before []identity, log *slog.Logger) ([]identity, error) {
	all := make([]identity, len(cfg.Endpoints))
	for i := range cfg.Endpoints {
		e := &cfg.Endpoints[i]
		if e.Certificate.File == "" {
			continue // only None, without a store
		}
		id, err := openIdentity(e, cfg.Application.URI, before, log)
		if err != nil {
			return nil, fmt.Errorf("endpoint %s: %w", e.URL, err)
		}
		all[i] = id
	}
	return all, nil
}

// userTrust opens the store of user certificates, nil if none is accepted.
func userTrust(cfg *config.Config, ids []identity, log *slog.Logger) (func(certificate []byte) error, error) {
	if !cfg.Tokens.Certificate {
		return nil, nil
	}
	var own []byte
	for _, id := range ids {
		if id.own != nil {
			own = id.own.Chain[0]
			break
		}
	}
	t := &cfg.UserTrust
	at := pki.Locations{
		TrustedCerts: t.Certificates, TrustedCRLs: t.CRLs, IssuerCerts: t.IssuerCertificates, IssuerCRLs: t.IssuerCRLs,
		Rejected: t.Rejected, MaxRejected: t.MaxRejected,
	}
	store, err := pki.Open(at, pki.Checks{Users: true}, own, log.With("store", "users"))
	if err != nil {
		return nil, fmt.Errorf("user certificates: %w", err)
	}
	return func(certificate []byte) error { return store.Validate(certificate, time.Now()) }, nil
}

func openIdentity(e *config.Endpoint, applicationURI string, before []identity, log *slog.Logger) (identity, error) {
	at := locations(e)
	own, created, err := pki.LoadOrCreate(at, certificateRequest(&e.Certificate.Settings, applicationURI), e.Certificate.Generate)
	if err != nil {
		return identity{}, err
	}
	id := identity{pair: own, of: e}
	for i := range before {
		old := &before[i]
		if old.pair == nil || old.of.URL != e.URL {
			continue
		}
		if id.same(old) {
			id.own, id.trust = old.own, old.trust
			return id, nil
		}
		if !bytes.Equal(old.pair.DER, own.DER) {
			log.Info("own certificate taken over: new connections are shown it", "file", e.Certificate.File,
				"thumbprint", pki.Thumbprint(own.Cert), "valid_until", own.Cert.NotAfter)
		}
	}
	if created {
		log.Info("certificate created", "file", e.Certificate.File, "application_uri", applicationURI,
			"valid_until", own.Cert.NotAfter)
	}
	id.warn(applicationURI, log)
	store, err := pki.Open(at, checks(e), own.DER, log)
	if err != nil {
		return identity{}, err
	}
	chain := own.Chain
	if !e.Certificate.SendChain {
		chain = chain[:1]
	}
	id.own = &securechannel.Identity{Chain: chain, Key: own.Key}
	id.trust = func(certificate []byte) error { return store.Validate(certificate, time.Now()) }
	return id, nil
}

// same reports whether id would be what old is: the same certificate and key,
// and the same checks.
func (id *identity) same(old *identity) bool {
	return reflect.DeepEqual(id.pair.Chain, old.pair.Chain) && id.pair.Key.Equal(old.pair.Key) &&
		id.of.Certificate.SendChain == old.of.Certificate.SendChain && id.of.Trust == old.of.Trust && id.of.Overwrites == old.of.Overwrites
}

// warn says what clients may refuse about the own certificate.
func (id *identity) warn(applicationURI string, log *slog.Logger) {
	for _, warning := range id.pair.Warnings(applicationURI, time.Now()) {
		log.Warn("own certificate", "file", id.of.Certificate.File, "problem", warning)
	}
}

// remindInterval is how often an administrator is told of an own certificate
// that is about to expire.
const remindInterval = 24 * time.Hour

// remind looks at the own certificates once a day, until ctx ends.
func (g *gateway) remind(ctx context.Context) error {
	daily := time.NewTicker(remindInterval)
	defer daily.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-daily.C:
		}
		cfg, ids := g.holds()
		for i := range ids {
			if ids[i].pair != nil {
				ids[i].warn(cfg.Application.URI, g.log)
			}
		}
	}
}

// locations says in pki's words where the files of an endpoint lie.
func locations(e *config.Endpoint) pki.Locations {
	at := trustLocations(&e.Trust)
	at.Certificate, at.PrivateKey = e.Certificate.File, e.Certificate.KeyFile
	return at
}

// userLocations is the same for user certificates.
func userLocations(cfg *config.Config) pki.Locations { return trustLocations(&cfg.UserTrust) }

func trustLocations(t *config.Trust) pki.Locations {
	return pki.Locations{
		TrustedCerts: t.Certificates, TrustedCRLs: t.CRLs,
		IssuerCerts: t.IssuerCertificates, IssuerCRLs: t.IssuerCRLs,
		Rejected: t.Rejected, MaxRejected: t.MaxRejected,
	}
}

func certificateRequest(s *config.CertificateSettings, applicationURI string) pki.Request {
	req := pki.Request{
		ApplicationURI: applicationURI,
		CommonName:     s.CommonName, DomainComponent: s.DomainComponent,
		Organization: s.Organization, OrganizationUnit: s.OrganizationUnit,
		Locality: s.Locality, State: s.State, Country: s.Country,
		DNSNames: s.DNSNames, KeyBits: s.KeyBits, Validity: s.Validity,
	}
	for _, literal := range s.IPAddresses {
		if ip := net.ParseIP(literal); ip != nil {
			req.IPs = append(req.IPs, ip)
		}
	}
	return req
}

func checks(e *config.Endpoint) pki.Checks {
	return pki.Checks{
		AutoTrust:                     e.Trust.All,
		AllowLongKeys:                 e.Overwrites.IgnoreKeyTooLong,
		IgnoreTime:                    e.Overwrites.IgnoreTime,
		IgnoreIssuerTime:              e.Overwrites.IgnoreIssuerTime,
		IgnoreURI:                     e.Overwrites.IgnoreApplicationURI,
		IgnoreUsage:                   e.Overwrites.IgnoreUsage,
		IgnoreRevocationUnknown:       e.Overwrites.IgnoreRevocationUnknown,
		IgnoreIssuerRevocationUnknown: e.Overwrites.IgnoreIssuerRevocationUnknown,
	}
}
