package main

import (
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/pki"
	"github.com/edgeua/edgeua/internal/securechannel"
)

// identity is what an endpoint proves itself with and whom it trusts.
type identity struct {
	own   *securechannel.Identity
	trust func(certificate []byte) error
}

// identities loads the certificates of all endpoints, creating those that are
// missing and may be created. Endpoints usually share one store.
func identities(cfg *config.Config, log *slog.Logger) ([]identity, error) {
	all := make([]identity, len(cfg.Endpoints))
	for i := range cfg.Endpoints {
		e := &cfg.Endpoints[i]
		if e.Certificate.File == "" {
			continue // only None, without a store
		}
		id, err := openIdentity(e, cfg.Application.URI, log)
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

func openIdentity(e *config.Endpoint, applicationURI string, log *slog.Logger) (identity, error) {
	at := locations(e)
	own, created, err := pki.LoadOrCreate(at, certificateRequest(&e.Certificate.Settings, applicationURI), e.Certificate.Generate)
	if err != nil {
		return identity{}, err
	}
	if created {
		log.Info("certificate created", "file", e.Certificate.File, "application_uri", applicationURI,
			"valid_until", own.Cert.NotAfter)
	}
	for _, warning := range own.Warnings(applicationURI, time.Now()) {
		log.Warn("own certificate", "file", e.Certificate.File, "problem", warning)
	}
	store, err := pki.Open(at, checks(e), own.DER, log)
	if err != nil {
		return identity{}, err
	}
	chain := own.Chain
	if !e.Certificate.SendChain {
		chain = chain[:1]
	}
	return identity{
		own:   &securechannel.Identity{Chain: chain, Key: own.Key},
		trust: func(certificate []byte) error { return store.Validate(certificate, time.Now()) },
	}, nil
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
