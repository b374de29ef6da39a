package config

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// AnonymousUser is the user that must exist in the users file, with Auth="None", for sessions without a user.
const AnonymousUser = "Anonymous"

// identities reads which tokens are offered and who the users are. Without a users file nobody gets in: the original
// waits for its initialisation then, and must not be closed where this server is open.
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
	l.anonymousUser(s, file)
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

// NoAnonymous says which of the two switches is missing when anonymous sessions are refused. It is empty when they are not.
func (c *Config) NoAnonymous() string {
	switch {
	case c.Tokens.Anonymous:
		return ""
	case c.anonymous() != nil:
		return "EnableAnonymous is not true in " + MainName
	case c.Users == nil:
		return fmt.Sprintf("there is no %s with a user %s with Auth=\"None\"", UsersName, AnonymousUser)
	}
	return fmt.Sprintf("%s has no user %s with Auth=\"None\"", UsersName, AnonymousUser)
}

// anonymous is the second switch; nil if it is not there.
func (c *Config) anonymous() *User {
	i := slices.IndexFunc(c.Users, func(u User) bool { return u.Name == AnonymousUser && u.Auth == AuthNone })
	if i < 0 {
		return nil
	}
	return &c.Users[i]
}

// anonymousUser applies that anonymous sessions need both switches, and says which one is missing.
func (l *loader) anonymousUser(s section, file string) {
	enabled, user := l.cfg.Tokens.Anonymous, l.cfg.anonymous()
	l.cfg.Tokens.Anonymous = enabled && user != nil
	switch {
	case l.cfg.Tokens.Anonymous:
		l.report.Warn(s.at("EnableAnonymous"), "anyone can do what the user %s may without a user name, on every endpoint that the client may use", AnonymousUser)
	case enabled && l.cfg.Users == nil:
		l.report.Warn(s.at("EnableAnonymous"), "has no effect: there is no %s, which must have the user %s with Auth=\"None\": %s, or write false", file, AnonymousUser, usersRemedy)
	case enabled:
		l.report.Warn(s.at("EnableAnonymous"), "has no effect: %s has no user %s with Auth=\"None\"; add it, or write false", file, AnonymousUser)
	case user != nil:
		l.report.Add(xmltree.Problem{File: file, Line: user.Line, Path: UsersPath(user.Name),
			Message: "has no effect: EnableAnonymous is not true in " + l.opts.Main})
	}
}

// usersRemedy says where a missing users file comes from.
const usersRemedy = "copy it from the TwinCAT machine, or write one (edgeua users --help shows it)"

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
		l.report.Warn(at, "nobody can open a session: there is no %s; %s", file, usersRemedy)
	default:
		l.report.Warn(at, "nobody can open a session: %s has no user who can log in; add one with Auth=\"Server\" and the hash that edgeua users hash prints", file)
	}
}
