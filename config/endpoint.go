package config

import (
	"net"
	"net/url"
	"strings"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// endpointReader builds one Endpoint and notes whether it is broken, so that all its faults are reported.
type endpointReader struct {
	section
	endpoint Endpoint
	own      address
	broken   bool
}

// endpoints reads every UaEndpoint, leaves out the broken ones, and refuses the start if none remains.
func (l *loader) endpoints(main section) {
	var listeners []endpointReader
	for _, s := range main.blocks("UaEndpoint") {
		r := endpointReader{section: s, endpoint: Endpoint{Line: s.element.Line}}
		r.fill(main)
		r.clash(listeners)
		if !r.broken {
			listeners = append(listeners, r)
			l.cfg.Endpoints = append(l.cfg.Endpoints, r.endpoint)
		}
	}
	switch {
	case len(main.all("UaEndpoint")) == 0:
		l.refuse(main.element, "there is no <UaEndpoint>; at least one is needed")
	case len(listeners) == 0:
		l.refuse(main.element, "no usable <UaEndpoint> is left; the errors inside each of them say why")
	}
	for i := range listeners {
		l.ownTargets(&l.cfg.Endpoints[i], listeners)
	}
}

func (r *endpointReader) fill(main section) {
	r.address()
	r.endpoint.Visible = r.flag("IsVisible")
	r.endpoint.Discovery = r.flag("IsDiscoveryUrl")
	if s := r.text("SerializerType"); s != "Binary" {
		r.fail(r.at("SerializerType"), "%s is not supported; only Binary is", xmltree.Quote(s))
	}
	r.security(main)
	r.certificates(main)
	r.endpoint.SignatureWithChain = r.flag("CreateSignatureWithChain")
	r.overwrites()
	r.alternatives()
	r.reverseClients()
}

// fail reports an error that leaves the endpoint out.
func (r *endpointReader) fail(e *xmltree.Element, format string, args ...any) {
	r.report.Error(e, format, args...)
	r.broken = true
}

// address reads Url and StackUrl. The listener never uses the resolved host name: a gateway often resolves its own
// name to a loopback address.
func (r *endpointReader) address() {
	text := r.text("Url")
	if text == "" {
		r.fail(r.at("Url"), "the <Url> of the endpoint is missing; write opc.tcp://[NodeName]:4840")
		return
	}
	if barePort(text) {
		r.report.Warn(r.at("Url"), "%s is read as opc.tcp://localhost:%s; clients on other machines need a host name", xmltree.Quote(text), text)
		text = "opc.tcp://localhost:" + text
	}
	own, ok := r.url(r.at("Url"), text)
	if !ok {
		return
	}
	r.own, r.endpoint.URL = own, text
	if !own.given {
		r.report.Warn(r.at("Url"), "has no port; %s is used", DefaultPort)
	}
	r.endpoint.ListenAddress = net.JoinHostPort("", own.port)
	if stack := r.text("StackUrl"); stack != "" {
		if bind, ok := r.url(r.at("StackUrl"), stack); ok {
			r.endpoint.ListenAddress = bind.dial()
		}
	}
}

// url checks an address of the endpoint; a bad one breaks it.
func (r *endpointReader) url(e *xmltree.Element, text string) (address, bool) {
	a, err := parseText(text)
	if err != nil {
		r.fail(e, "%s %v", xmltree.Quote(text), err)
	}
	return a, err == nil
}

// clash refuses a second listener on the same port, and a second endpoint of the same name.
func (r *endpointReader) clash(others []endpointReader) {
	host, port, _ := net.SplitHostPort(r.endpoint.ListenAddress)
	for _, o := range others {
		h, p, _ := net.SplitHostPort(o.endpoint.ListenAddress)
		if !r.broken && p == port && (h == "" || host == "" || strings.EqualFold(h, host)) {
			r.fail(r.at("Url"), "port %s is taken by the endpoint in line %d; put all SecuritySettings into one endpoint or use another port", port, o.endpoint.Line)
		}
		if !r.broken && r.endpoint.URL == o.endpoint.URL {
			r.fail(r.at("Url"), "is also the <Url> of the endpoint in line %d; clients could not tell them apart: use another name or port", o.endpoint.Line)
		}
	}
}

// security reads the SecuritySettings and merges those of one policy.
func (r *endpointReader) security(main section) {
	settings := r.blocks("SecuritySetting")
	for _, s := range settings {
		r.setting(main, s)
	}
	switch {
	case r.broken && len(r.endpoint.Security) == 0: // the reason has been reported
	case len(settings) == 0:
		r.fail(r.element, "there is no <SecuritySetting>; add one with the SecurityPolicy %s", basic256Sha256)
	case len(r.endpoint.Security) == 0:
		r.fail(r.element, "no usable <SecuritySetting> is left; add one with the SecurityPolicy %s", basic256Sha256)
	}
}

func (r *endpointReader) setting(main, s section) {
	policy := s.text("SecurityPolicy")
	modes, ok := r.modes(s)
	if !ok || !r.policy(main, s, policy) {
		return
	}
	none := policy == ua.SecurityPolicyURINone
	for _, m := range modes {
		if none != (m == ua.MessageSecurityModeNone) {
			r.report.Error(s.element, "SecurityPolicy %s does not go with MessageSecurityMode %s; this setting is left out", policyName(policy), modeName(m))
			return
		}
	}
	if none {
		r.report.Warn(s.element, "allows sessions without any security; remove this setting when every client can do Basic256Sha256")
	}
	for i := range r.endpoint.Security {
		if o := &r.endpoint.Security[i]; o.PolicyURI == policy {
			o.Modes = union(o.Modes, modes)
			return
		}
	}
	r.endpoint.Security = append(r.endpoint.Security, SecuritySetting{PolicyURI: policy, Modes: modes})
}

// policy tells whether a policy can be used and reports why not.
func (r *endpointReader) policy(main, s section, uri string) bool {
	switch {
	case uri == "":
		r.report.Error(s.at("SecurityPolicy"), "the <SecurityPolicy> is missing; this setting is left out")
		return false
	case contains(deprecatedPolicies(), uri) && main.flag("AllowDeprecatedSecurityPolicies"):
		r.report.Warn(s.at("SecurityPolicy"), "%s is deprecated and can be broken; it is offered because AllowDeprecatedSecurityPolicies is true", policyName(uri))
	case contains(deprecatedPolicies(), uri):
		r.report.Warn(s.at("SecurityPolicy"), "%s is deprecated and left out because AllowDeprecatedSecurityPolicies is not true", policyName(uri))
		return false
	case !contains(policies(), uri):
		r.report.Error(s.at("SecurityPolicy"), "%s is not a known security policy; this setting is left out%s", xmltree.Quote(uri), suggestPolicy(uri))
		return false
	}
	return true
}

// modes reads the list of modes; a wrong word breaks the endpoint, as it does in the original.
func (r *endpointReader) modes(s section) ([]ua.MessageSecurityMode, bool) {
	var modes []ua.MessageSecurityMode
	ok := true
	for _, e := range s.all("MessageSecurityMode") {
		m, known := modeOf(strings.TrimSpace(e.Text))
		if !known {
			r.fail(e, "%s is not one of None, Sign, SignAndEncrypt%s", xmltree.Quote(e.Text),
				xmltree.Suggest(strings.TrimSpace(e.Text), []string{"None", "Sign", "SignAndEncrypt"}))
			ok = false
			continue
		}
		modes = union(modes, []ua.MessageSecurityMode{m})
	}
	if ok && len(modes) == 0 {
		r.fail(s.element, "there is no <MessageSecurityMode>; write SignAndEncrypt")
		ok = false
	}
	return modes, ok
}

// overwrites reads which checks are off; each one that is off weakens the server and is said at every start.
func (r *endpointReader) overwrites() {
	s, o := r.block("SecurityCheckOverwrites"), &r.endpoint.Overwrites
	for _, f := range []struct {
		name string
		off  *bool
		risk string
	}{
		{"DisableErrorCertificateTimeInvalid", &o.IgnoreTime, "expired client certificates are accepted"},
		{"DisableErrorCertificateIssuerTimeInvalid", &o.IgnoreIssuerTime, "expired CA certificates are accepted"},
		{"DisableErrorCertificateRevocationUnknown", &o.IgnoreRevocationUnknown, "client certificates without a revocation list are accepted"},
		{"DisableErrorCertificateIssuerRevocationUnknown", &o.IgnoreIssuerRevocationUnknown, "CA certificates without a revocation list are accepted"},
		{"DisableErrorCertificateKeyTooLong", &o.IgnoreKeyTooLong, ""},
		{"DisableApplicationUriCheck", &o.IgnoreApplicationURI, "a client may use the certificate of another application"},
		{"DisableNonceLengthCheck", &o.IgnoreNonceLength, "short client nonces are accepted"},
		{"DisableUserTokenPolicyIdCheck", &o.IgnoreTokenPolicyID, ""},
		{"DisableCertificateUsageCheck", &o.IgnoreUsage, "certificates made for another purpose are accepted"},
	} {
		*f.off = s.flag(f.name)
		if *f.off && f.risk != "" {
			r.report.Warn(s.at(f.name), "weakens the server: %s", f.risk)
		}
	}
}

func (r *endpointReader) alternatives() {
	s := r.block("AlternativeEndpointUrls")
	for _, e := range s.all("Url") {
		text := r.expand.Replace(strings.TrimSpace(e.Text))
		if _, err := parseText(text); err != nil {
			r.report.Error(e, "%s %v; it is left out", xmltree.Quote(text), err)
			continue
		}
		r.endpoint.AlternativeURLs = append(r.endpoint.AlternativeURLs, text)
	}
}

// checkServerURI makes sure that the certificate and the ReverseHello can carry the URI.
func (l *loader) checkServerURI(main section) {
	uri := l.cfg.Application.URI
	parsed, err := url.Parse(uri)
	switch {
	case len(uri) > maxURL:
		l.refuse(main.at("ServerUri"), "is longer than the %d bytes that fit into a ReverseHello", maxURL)
	case err != nil || strings.ContainsFunc(uri, func(c rune) bool { return c <= ' ' || c > '~' }):
		l.refuse(main.at("ServerUri"), "%s is not a URI of ASCII characters such as urn:[NodeName]:plant:gateway; a certificate cannot carry it", xmltree.Quote(uri))
	case parsed.Scheme == "":
		l.report.Warn(main.at("ServerUri"), "%s has no scheme; clients expect a URI such as urn:[NodeName]:plant:gateway", xmltree.Quote(uri))
	}
}
