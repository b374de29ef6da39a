package config

import (
	"path/filepath"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// AnonymousUser is the user that must exist in the users file, with Auth="None", for sessions without a user.
const AnonymousUser = "Anonymous"

// identities reads which tokens are offered and who the users are. Without a users file nobody but, if enabled,
// Anonymous gets in; a re-implementation must not be open where the original is closed.
func (l *loader) identities(main section) {
	s := main.block("UserIdentityTokens")
	l.cfg.Tokens = Tokens{
		Anonymous: s.flag("EnableAnonymous"), UserName: s.flag("EnableUserPw"), Certificate: s.flag("EnableCertificate"),
	}
	l.userTrust(s)
	l.tokenPolicy(s)
	file := l.opts.Users
	if file == "" {
		file = filepath.Join(filepath.Dir(l.opts.Main), UsersName)
	}
	l.users(file)
	if l.cfg.Tokens.Certificate && l.cfg.UserTrust.Certificates == "" {
		l.report.Warn(s.at("EnableCertificate"), "has no effect: DefaultUserCertificateStore does not say where trusted user certificates lie")
		l.cfg.Tokens.Certificate = false
	}
	if l.refused {
		return // what the users file says is not known
	}
	if l.cfg.Users != nil {
		l.anonymousUser(s, file)
	}
	if l.cfg.Tokens.Anonymous {
		may := "read and write everything"
		if l.cfg.Users != nil {
			may = "do what the user " + AnonymousUser + " may"
		}
		l.report.Warn(s.at("EnableAnonymous"), "anyone can %s without a user name, on every endpoint that the client may use", may)
	}
	l.nobody(main, s, file)
}

// userTrust reads where trusted and refused user certificates lie.
func (l *loader) userTrust(s section) {
	store := s.block("DefaultUserCertificateStore")
	l.cfg.UserTrust = Trust{
		Certificates:       store.file("CertificateTrustListLocation"),
		CRLs:               store.file("CertificateRevocationListLocation"),
		IssuerCertificates: store.file("IssuersCertificatesLocation"),
		IssuerCRLs:         store.file("IssuersRevocationListLocation"),
		Rejected:           s.file("RejectedUserCertificatesDirectory"),
		MaxRejected:        s.orDefault("RejectedUserCertificatesCount"),
	}
}

// tokenPolicy reads what protects a password where the channel does not. A password never goes in clear text.
func (l *loader) tokenPolicy(s section) {
	uri := s.text("SecurityPolicy")
	l.cfg.Tokens.PolicyURI = uri
	switch {
	case contains(deprecatedPolicies(), uri):
		l.report.Warn(s.at("SecurityPolicy"), "%s is deprecated; Basic256Sha256 protects passwords instead", policyName(uri))
	case uri == ua.SecurityPolicyURINone:
		l.report.Warn(s.at("SecurityPolicy"), "None would send passwords in clear text; Basic256Sha256 protects them instead")
	case !contains(policies(), uri):
		l.report.Error(s.at("SecurityPolicy"), "%s is not a known security policy; Basic256Sha256 is used%s", xmltree.Quote(uri), suggestPolicy(uri))
	default:
		return
	}
	l.cfg.Tokens.PolicyURI = basic256Sha256
}

// anonymousUser applies that anonymous sessions need both switches, and says which one is missing.
func (l *loader) anonymousUser(s section, file string) {
	var user *User
	for i := range l.cfg.Users {
		if l.cfg.Users[i].Name == AnonymousUser && l.cfg.Users[i].Auth == AuthNone {
			user = &l.cfg.Users[i]
		}
	}
	switch {
	case l.cfg.Tokens.Anonymous && user == nil:
		l.report.Warn(s.at("EnableAnonymous"), "has no effect: %s has no user %s with Auth=\"None\"; add it, or write false", file, AnonymousUser)
		l.cfg.Tokens.Anonymous = false
	case !l.cfg.Tokens.Anonymous && user != nil:
		l.report.Add(xmltree.Problem{File: file, Line: user.Line, Path: UsersPath(user.Name),
			Message: "has no effect: EnableAnonymous is not true in " + l.opts.Main})
	}
}

// nobody warns when no session can be opened at all.
func (l *loader) nobody(main, s section, file string) {
	if l.cfg.Tokens.Anonymous {
		return
	}
	for _, u := range l.cfg.Users {
		if l.cfg.Tokens.UserName && u.CanLogIn() || l.cfg.Tokens.Certificate && u.Auth == AuthCertificate {
			return
		}
	}
	at := s.element
	if at == nil {
		at = main.element
	}
	switch {
	case !l.cfg.Tokens.UserName && !l.cfg.Tokens.Certificate:
		l.report.Warn(at, "nobody can open a session: neither EnableAnonymous nor EnableUserPw nor EnableCertificate is in effect")
	case l.cfg.Users == nil:
		l.report.Warn(at, "nobody can open a session: there is no %s with users", file)
	default:
		l.report.Warn(at, "nobody can open a session: %s has no user who can log in", file)
	}
}
