package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// maxApplicationURI bounds an ApplicationUri, in bytes.
const maxApplicationURI = 256

// reverseConnect reads what the main file has no place for.
func (r *edgeReader) reverseConnect(e *xmltree.Element) {
	s := r.report.Settings(e)
	r.cfg.MaxSockets = s.Int("MaxSockets", 0, 0, 10_000)
	tuning := DefaultTuning()
	if d := r.single(s, "Defaults"); d != nil {
		settings := r.report.Settings(d)
		tuning = r.tuning(settings, tuning)
		settings.Done()
	}
	for _, c := range r.cfg.reverseClients() {
		c.Tuning = tuning
	}
	seen := map[string]int{}
	for _, c := range s.Children("Client") {
		r.client(c, tuning, seen)
	}
	for _, g := range s.Children("Gds") {
		r.directoryClient(g, tuning)
	}
	s.Done()
}

// tuning reads the attributes that are there over those that hold otherwise.
func (r *edgeReader) tuning(s *xmltree.Settings, t ReverseTuning) ReverseTuning {
	const shortest, longest, mostSockets = 10 * time.Millisecond, 24 * time.Hour, 100
	t.ConnectTimeout = s.Millis("ConnectTimeout", t.ConnectTimeout, shortest, 10*time.Minute)
	t.HelloTimeout = s.Millis("HelloTimeout", t.HelloTimeout, 0, longest)
	t.BackoffMin = s.Millis("BackoffMin", t.BackoffMin, shortest, longest)
	t.BackoffMax = s.Millis("BackoffMax", t.BackoffMax, shortest, longest)
	t.RejectDelay = s.Millis("RejectDelay", t.RejectDelay, shortest, longest)
	t.KeepAlive = s.Millis("KeepAlive", t.KeepAlive, time.Second, 2*time.Hour)
	t.SocketsPerClient = s.Int("SocketsPerClient", t.SocketsPerClient, 1, mostSockets)
	if t.BackoffMax < t.BackoffMin {
		s.Error("BackoffMax", "%d ms is less than BackoffMin, %d ms", t.BackoffMax.Milliseconds(), t.BackoffMin.Milliseconds())
	}
	r.path(s, &t.Path)
	return t
}

// path reads on which way a client is reached. An empty text takes back what the defaults say.
func (r *edgeReader) path(s *xmltree.Settings, p *ReversePath) {
	const maxInterface = 15 // bytes, on Linux
	p.SourceAddress = s.String("SourceAddress", p.SourceAddress)
	if _, err := netip.ParseAddr(p.SourceAddress); p.SourceAddress != "" && err != nil {
		s.Error("SourceAddress", "%s is not an IP address", xmltree.Quote(p.SourceAddress))
	}
	p.Interface = s.String("Interface", p.Interface)
	switch {
	case p.Interface == "":
	case runtime.GOOS != "linux":
		s.Error("Interface", "choosing an interface works on Linux only; write SourceAddress")
	case len(p.Interface) > maxInterface || strings.ContainsAny(p.Interface, "/ "):
		s.Error("Interface", "%s is not the name of a network interface, such as eth0", xmltree.Quote(p.Interface))
	}
	p.UserTimeout = s.Millis("UserTimeout", p.UserTimeout, 0, 2*time.Hour)
	p.Proxy = s.String("Proxy", p.Proxy)
	if err := checkProxy(p.Proxy); err != nil {
		s.Error("Proxy", "%s %v", xmltree.Quote(redact(p.Proxy)), err)
	}
	p.ProxyCredentials = r.credentials(s, p.ProxyCredentials)
	if p.ProxyCredentials != "" && p.Proxy == "" && s.Has("ProxyCredentialsFile") {
		s.Error("ProxyCredentialsFile", "has no meaning without a Proxy")
	}
}

// checkProxy checks the address of a proxy.
func checkProxy(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "socks5" && u.Scheme != "http":
		return errors.New("is not socks5://host:port or http://host:port")
	case u.User != nil:
		return errors.New("has a user name in it; write ProxyCredentialsFile and put user:password into that file")
	case u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("is not socks5://host:port or http://host:port")
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || n == 0) {
		return fmt.Errorf("port %s is not a number from 1 to 65535", u.Port())
	}
	return nil
}

// redact takes user and password out of a URL that stands in a message.
func redact(text string) string {
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		return "…" + text[i:]
	}
	return text
}

// credentials reads the path of a file that only its owner may read. The file itself is read at every call.
func (r *edgeReader) credentials(s *xmltree.Settings, def string) string {
	if !s.Has("ProxyCredentialsFile") {
		return def
	}
	file := r.expand.Replace(s.String("ProxyCredentialsFile", ""))
	if file == "" {
		return ""
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(r.dir, file)
	}
	info, err := os.Stat(file)
	switch {
	case err != nil:
		s.Error("ProxyCredentialsFile", "cannot be read: %v", err)
	case !info.Mode().IsRegular():
		s.Error("ProxyCredentialsFile", "%s is not a file", xmltree.Quote(file))
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		s.Error("ProxyCredentialsFile", "%s may be read by others than its owner (mode %04o); chmod 600 it", xmltree.Quote(file), info.Mode().Perm())
	}
	return file
}

// client reads what holds for one Url of the main file.
func (r *edgeReader) client(e *xmltree.Element, tuning ReverseTuning, seen map[string]int) {
	s := r.report.Settings(e)
	text := r.expand.Replace(s.Required("Url"))
	if r.known(s, text, seen) {
		seen[text] = e.Line
	}
	c := r.peer(s, tuning)
	announced := r.expand.Replace(s.String("EndpointUrl", ""))
	s.Done()
	for i := range r.cfg.Endpoints {
		ep := &r.cfg.Endpoints[i]
		for j := range ep.ReverseClients {
			client := &ep.ReverseClients[j]
			if client.URL != strings.TrimPrefix(text, "rcp+") {
				continue
			}
			c.URL, c.Address, c.Line, c.EndpointURL = client.URL, client.Address, client.Line, ep.URL
			r.announce(s, ep, &c, announced)
			*client = c
		}
	}
}

// known reports whether text is a client of the main file that was not named before.
func (r *edgeReader) known(s *xmltree.Settings, text string, seen map[string]int) bool {
	switch line := seen[text]; {
	case text == "":
		return false
	case line > 0:
		s.Error("Url", "%s stands twice; the other one is in line %d", xmltree.Quote(text), line)
		return false
	case !contains(r.urls, text) && len(r.urls) == 0:
		s.Error("Url", "%s is not a client: no <ReverseConnect> of %s has a <Url>", xmltree.Quote(text), r.opts.Main)
		return false
	case !contains(r.urls, text):
		s.Error("Url", "%s is not a client; %s has %s%s", xmltree.Quote(text), r.opts.Main, strings.Join(r.urls, ", "), xmltree.Suggest(text, r.urls))
		return false
	}
	return true
}

// peer reads who the client must be and how it is called.
func (r *edgeReader) peer(s *xmltree.Settings, tuning ReverseTuning) ReverseClient {
	c := ReverseClient{
		Tuning:          r.tuning(s, tuning),
		Disabled:        !s.Bool("Enabled", true),
		ApplicationURI:  s.String("ApplicationUri", ""),
		AllowUnverified: s.Bool("AllowUnverified", false),
	}
	switch {
	case len(c.ApplicationURI) > maxApplicationURI:
		s.Error("ApplicationUri", "is longer than %d bytes", maxApplicationURI)
	case c.ApplicationURI == "" && s.Has("ApplicationUri"):
		s.Error("ApplicationUri", "is empty; write the URI in the client's certificate, or remove it")
	case c.ApplicationURI == "" && c.AllowUnverified:
		s.Error("AllowUnverified", "has no meaning without ApplicationUri: every trusted client is served")
	case c.AllowUnverified:
		s.Warn("AllowUnverified", "weakens the server: a session without security does not prove that it is %s who answers", xmltree.Quote(c.ApplicationURI))
	}
	return c
}

// announce checks the URL that is announced instead of that of the endpoint: a client must find it with GetEndpoints.
func (r *edgeReader) announce(s *xmltree.Settings, ep *Endpoint, c *ReverseClient, text string) {
	switch {
	case text == "":
	case text != ep.URL && !contains(ep.AlternativeURLs, text):
		s.Error("EndpointUrl", "%s is not an address of the endpoint: its <Url> is %s; put the other one into its <AlternativeEndpointUrls> in %s%s",
			xmltree.Quote(short40(text)), ep.URL, r.opts.Main, xmltree.Suggest(text, ep.AlternativeURLs))
	default:
		c.EndpointURL = text
	}
	none := !slices.ContainsFunc(ep.Security, func(setting SecuritySetting) bool { return setting.PolicyURI != ua.SecurityPolicyURINone })
	if c.ApplicationURI != "" && !c.AllowUnverified && none {
		s.Warn("ApplicationUri", "keeps every session out: endpoint %s offers no security, and without it nobody proves who he is", ep.URL)
	}
}

// short40 cuts what is only mentioned.
func short40(text string) string {
	const most = 40
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// directoryClient reads a client whose URL a GDS knows. Part 12 (1.05), 4.4
func (r *edgeReader) directoryClient(e *xmltree.Element, tuning ReverseTuning) {
	s := r.report.Settings(e)
	text := r.expand.Replace(s.Required("Url"))
	s.Required("ApplicationUri")
	c := r.peer(s, tuning)
	c.Directory, c.Line = text, e.Line
	endpoint := r.expand.Replace(s.String("Endpoint", ""))
	announced := r.expand.Replace(s.String("EndpointUrl", ""))
	s.Done()
	if _, err := parseText(text); text != "" && err != nil {
		s.Error("Url", "%s %v", xmltree.Quote(text), err)
		return
	}
	ep := r.endpointFor(s, endpoint)
	if ep == nil || c.ApplicationURI == "" {
		return
	}
	for _, other := range ep.DirectoryClients {
		if other.ApplicationURI == c.ApplicationURI {
			s.Error("ApplicationUri", "%s stands twice; the other one is in line %d", xmltree.Quote(c.ApplicationURI), other.Line)
			return
		}
	}
	if ep.Certificate.File == "" {
		s.Error("Url", "endpoint %s has no certificate to show to the GDS", ep.URL)
	}
	c.EndpointURL = ep.URL
	r.announce(s, ep, &c, announced)
	ep.DirectoryClients = append(ep.DirectoryClients, c)
}

// endpointFor finds the endpoint with that Url, or the only one.
func (r *edgeReader) endpointFor(s *xmltree.Settings, text string) *Endpoint {
	var urls []string
	for i := range r.cfg.Endpoints {
		ep := &r.cfg.Endpoints[i]
		if ep.URL == text || text == "" && len(r.cfg.Endpoints) == 1 {
			return ep
		}
		urls = append(urls, ep.URL)
	}
	switch {
	case len(urls) == 0: // which refuses the start
	case text == "":
		s.Error("Endpoint", "is missing; it is one of %s", strings.Join(urls, ", "))
	default:
		s.Error("Endpoint", "%s is not the <Url> of an endpoint; there are %s%s", xmltree.Quote(text), strings.Join(urls, ", "), xmltree.Suggest(text, urls))
	}
	return nil
}

// directoryClients returns all clients that are looked up.
func (c *Config) directoryClients() []*ReverseClient {
	var all []*ReverseClient
	for i := range c.Endpoints {
		for j := range c.Endpoints[i].DirectoryClients {
			all = append(all, &c.Endpoints[i].DirectoryClients[j])
		}
	}
	return all
}
