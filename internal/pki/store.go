package pki

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"
)

// Checks switches single steps of the validation off, as SecurityCheckOverwrites of the configuration does.
// The zero value checks everything.
type Checks struct {
	AutoTrust                     bool // any certificate is trusted and unknown issuers are accepted; the rest is still checked
	AllowLongKeys                 bool // RSA keys up to 8192 bits
	IgnoreTime                    bool // BadCertificateTimeInvalid
	IgnoreIssuerTime              bool // BadCertificateIssuerTimeInvalid
	IgnoreURI                     bool // BadCertificateUriInvalid
	IgnoreUsage                   bool // BadCertificateUseNotAllowed, BadCertificateIssuerUseNotAllowed
	IgnoreRevocationUnknown       bool // BadCertificateRevocationUnknown
	IgnoreIssuerRevocationUnknown bool // BadCertificateIssuerRevocationUnknown
	Users                         bool // the certificates are those of users; applications are refused
}

// Store is a trust list with the certificates it refused. It follows its directories: a file moved from
// the rejected to the trusted ones counts at the next validation. It is safe for concurrent use, and does
// nothing between validations.
type Store struct {
	checks   Checks
	ownKey   []byte // SubjectPublicKeyInfo of the own certificate
	floor    time.Time
	log      *slog.Logger
	clock    func() time.Time
	rejected *rejectedStore

	mu                       sync.Mutex // guards what follows
	trusted, issuers         directory[*x509.Certificate]
	trustedCRLs, issuersCRLs directory[*x509.RevocationList]
	list                     *trustList
	waived                   map[waiver]bool // failures that were let pass and reported already
	reports                  bucket          // of waivers: a stranger may come with many certificates
}

type waiver struct {
	certificate fingerprint
	code        ua.StatusCode
}

// Open reads the trust list at loc, creating missing directories. own is the certificate of this
// application (DER, nil if it has none): it is never accepted from a peer. A nil log discards.
func Open(loc Locations, checks Checks, own []byte, log *slog.Logger) (*Store, error) {
	return open(loc, checks, own, log, time.Now)
}

func open(loc Locations, checks Checks, own []byte, log *slog.Logger, clock func() time.Time) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		checks: checks, log: log, clock: clock, floor: ClockFloor(),
		rejected: newRejectedStore(localPath(loc.Rejected), loc.MaxRejected, log, clock),
		waived:   map[waiver]bool{},
		reports:  bucket{burst: 10, pause: time.Second},
	}
	if own != nil {
		cert, err := x509.ParseCertificate(own)
		if err != nil {
			return nil, fmt.Errorf("own certificate: %w", err)
		}
		s.ownKey = cert.RawSubjectPublicKeyInfo
		if cert.NotBefore.After(s.floor) {
			s.floor = cert.NotBefore
		}
	}
	for _, path := range []string{loc.TrustedCerts, loc.IssuerCerts, loc.TrustedCRLs, loc.IssuerCRLs} {
		if err := prepareDirectory(localPath(path)); err != nil {
			return nil, err
		}
	}
	s.trusted = directory[*x509.Certificate]{path: localPath(loc.TrustedCerts), parse: parseCertificates, log: log}
	s.issuers = directory[*x509.Certificate]{path: localPath(loc.IssuerCerts), parse: parseCertificates, log: log}
	s.trustedCRLs = directory[*x509.RevocationList]{path: localPath(loc.TrustedCRLs), parse: parseCRLs, log: log}
	s.issuersCRLs = directory[*x509.RevocationList]{path: localPath(loc.IssuerCRLs), parse: parseCRLs, log: log}
	s.current()
	return s, nil
}

// prepareDirectory creates a directory of the trust list so that an administrator finds it. Old configurations
// name a file for the CRLs: what has an extension is one, and is not created.
func prepareDirectory(path string) error {
	if path == "" {
		return nil
	}
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if filepath.Ext(path) != "" {
			return nil
		}
		err = os.MkdirAll(path, 0o755)
	}
	if err != nil {
		return fmt.Errorf("directory %s of the trust list cannot be used: %w (create it, readable for this process)", path, err)
	}
	return nil
}

// trustList is one state of the four directories. It is never changed, only replaced.
type trustList struct {
	trusted   map[fingerprint]bool
	bySubject map[string][]*x509.Certificate // trusted ones first
	crls      map[string][]*x509.RevocationList
}

// current is the trust list as it is on the disk now.
func (s *Store) current() *trustList {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	changed := s.trusted.refresh(now)
	changed = s.issuers.refresh(now) || changed
	changed = s.trustedCRLs.refresh(now) || changed
	changed = s.issuersCRLs.refresh(now) || changed
	if changed || s.list == nil {
		s.list = s.compile()
	}
	return s.list
}

func (s *Store) compile() *trustList {
	l := &trustList{
		trusted:   map[fingerprint]bool{},
		bySubject: map[string][]*x509.Certificate{},
		crls:      map[string][]*x509.RevocationList{},
	}
	for _, file := range s.trusted.files {
		for _, c := range file.items {
			l.trusted[sha256.Sum256(c.Raw)] = true
			l.bySubject[string(c.RawSubject)] = append(l.bySubject[string(c.RawSubject)], c)
		}
	}
	for _, file := range s.issuers.files {
		for _, c := range file.items {
			l.bySubject[string(c.RawSubject)] = append(l.bySubject[string(c.RawSubject)], c)
		}
	}
	for _, files := range [][]parsedFile[*x509.RevocationList]{s.trustedCRLs.files, s.issuersCRLs.files} {
		for _, file := range files {
			for _, crl := range file.items {
				l.crls[string(crl.RawIssuer)] = append(l.crls[string(crl.RawIssuer)], crl)
			}
		}
	}
	return l
}

// isTrusted tells whether exactly this certificate is in the list of trusted ones.
func (l *trustList) isTrusted(c *x509.Certificate) bool { return l.trusted[sha256.Sum256(c.Raw)] }

// Validate decides whether a peer may use the certificate at time now: der is a certificate, its issuers
// may follow. The error is a *CertificateError. A certificate that is merely not trusted is kept in the
// rejected directory, where an administrator can find and approve it.
func (s *Store) Validate(der []byte, now time.Time) error {
	sent, err := parseChain(der, s.checks.AllowLongKeys)
	if err != nil {
		return err
	}
	v := validation{store: s, list: s.current(), sent: sent, chain: sent[:1:1], now: now}
	err = v.run()
	var failure *CertificateError
	if errors.As(err, &failure) && !s.isOwn(sent[0]) &&
		(failure.Code == ua.StatusBadCertificateUntrusted || failure.Code == ua.StatusBadCertificateChainIncomplete) {
		s.rejected.keep(sent[0])
	}
	return err
}

// parseChain takes a peer's bytes apart: sizes and keys are checked before anything is computed.
func parseChain(der []byte, allowLongKeys bool) ([]*x509.Certificate, error) {
	pieces, err := splitDER(der)
	if err != nil {
		return nil, fail(ua.StatusBadCertificateInvalid, "%w", err)
	}
	var certs []*x509.Certificate
	for _, piece := range pieces {
		c, err := x509.ParseCertificate(piece)
		if err != nil {
			return nil, fail(ua.StatusBadCertificateInvalid, "%w", err)
		}
		if err := checkKey(c, allowLongKeys); err != nil {
			return nil, fail(ua.StatusBadCertificatePolicyCheckFailed, "%w", err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}

// isOwn tells whether a peer shows our own certificate, or another one for our own key: somebody reflects
// our messages, or our key is in foreign hands.
func (s *Store) isOwn(c *x509.Certificate) bool {
	return s.ownKey != nil && bytes.Equal(c.RawSubjectPublicKeyInfo, s.ownKey)
}

// waive lets a failure pass that the configuration overrides. Part 4 (1.05), 6.1.3 wants such a thing
// reported: it is, once per certificate.
func (s *Store) waive(leaf *x509.Certificate, err error) {
	var failure *CertificateError
	if !errors.As(err, &failure) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := waiver{sha256.Sum256(leaf.Raw), failure.Code}
	if s.waived[w] || !s.reports.take(s.clock()) {
		return
	}
	if len(s.waived) >= maxFiles {
		clear(s.waived)
	}
	s.waived[w] = true
	s.log.Warn("certificate accepted although a check failed", "err", err)
}
