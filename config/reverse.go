package config

import (
	"net"
	"strings"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// ReverseClient is one client to which an endpoint connects (Part 6 1.05, 7.1.3).
type ReverseClient struct {
	URL     string // where the client listens, without the prefix rcp+; empty: Directory knows
	Address string // the same as host:port
	Line    int    // of its Url element, or of its Gds element
	Tuning  ReverseTuning

	Directory       string // URL of the GDS that is asked for the client's URLs by its ApplicationURI (Part 12 1.05, 6.6.4)
	Disabled        bool   // not called
	ApplicationURI  string // whom the client must prove to be; empty: anyone who is trusted
	AllowUnverified bool   // sessions without security, which prove nothing, are admitted
	EndpointURL     string // announced to the client, and returned to it by GetEndpoints
}

// ReverseTuning is the timing towards one client, and the way to it.
type ReverseTuning struct {
	ConnectTimeout   time.Duration // name, TCP connect and proxy together
	HelloTimeout     time.Duration // ReverseHello to Hello; 0: the client may park the socket
	BackoffMin       time.Duration // delay after the first failure
	BackoffMax       time.Duration // longest delay
	RejectDelay      time.Duration // delay after the client answered with an Error
	KeepAlive        time.Duration // idle time after which TCP probes the peer
	SocketsPerClient int           // sockets kept towards the client
	Path             ReversePath
}

// ReversePath is how connections to a client leave this machine.
type ReversePath struct {
	SourceAddress    string        // IP address to call from; empty: the system chooses
	Interface        string        // network interface to call from
	Proxy            string        // socks5://host:port or http://host:port; empty: none
	ProxyCredentials string        // absolute path of a file with user:password
	UserTimeout      time.Duration // sent data may stay unacknowledged so long; 0: as KeepAlive
}

// DefaultTuning is what holds without edgeua.xml.
func DefaultTuning() ReverseTuning {
	return ReverseTuning{
		ConnectTimeout:   5 * time.Second,
		BackoffMin:       time.Second,
		BackoffMax:       time.Minute,
		RejectDelay:      time.Minute,
		KeepAlive:        15 * time.Second,
		SocketsPerClient: 1,
	}
}

// parseText checks a URL whose placeholders were expanded.
func parseText(text string) (address, error) {
	if unknown := unknownPlaceholders(text); len(unknown) > 0 {
		return address{}, unknownPlaceholderError(unknown[0])
	}
	return parseAddress(text)
}

type unknownPlaceholderError string

func (e unknownPlaceholderError) Error() string {
	return "holds the unknown placeholder " + string(e)
}

// reverseClients reads the first ReverseConnect; a Url that cannot be dialled is left out.
func (r *endpointReader) reverseClients() {
	s := r.block("ReverseConnect")
	var known []address
	for _, e := range s.all("Url") {
		if a, ok := r.reverseClient(e, known); ok {
			known = append(known, a)
		}
	}
	if len(known) > 0 && len(r.endpoint.Security) > 0 && !r.secured() {
		r.report.Warn(s.element, "every session of these clients runs without security; nothing proves that it is really the client who answers")
	}
}

func (r *endpointReader) reverseClient(e *xmltree.Element, known []address) (address, bool) {
	text := r.expand.Replace(strings.TrimSpace(e.Text))
	r.urls = append(r.urls, text)
	bare := strings.TrimPrefix(text, "rcp+")
	a, err := parseText(bare)
	switch {
	case text == "":
		r.report.Error(e, "is empty; write the address at which the client listens, such as opc.tcp://client:48060, or remove it")
		return a, false
	case err != nil:
		r.report.Error(e, "%s %v; this client is left out", xmltree.Quote(redact(text)), err)
		return a, false
	case a.same(r.own):
		r.report.Error(e, "%s is the <Url> of this endpoint, so the server would call itself; write the address at which the client listens; this client is left out", xmltree.Quote(text))
		return a, false
	}
	for _, o := range known {
		if a.same(o) {
			r.report.Warn(e, "%s stands more than once; one connection is made", xmltree.Quote(text))
			return a, false
		}
	}
	if !a.given {
		r.report.Warn(e, "%s has no port; %s is used, but clients usually listen on 48060 or 48061", xmltree.Quote(text), DefaultPort)
	}
	r.endpoint.ReverseClients = append(r.endpoint.ReverseClients,
		ReverseClient{URL: bare, Address: a.dial(), Line: e.Line, Tuning: DefaultTuning(), EndpointURL: r.endpoint.URL})
	return a, true
}

// ownTargets warns of clients that seem to be one of this server's own listeners.
func (l *loader) ownTargets(ep *Endpoint, listeners []endpointReader) {
	for _, c := range ep.ReverseClients {
		a, _ := parseAddress(c.URL)
		for _, r := range listeners {
			_, port, _ := net.SplitHostPort(r.endpoint.ListenAddress)
			here := a.loopback() || strings.EqualFold(a.host, l.opts.Hostname) || strings.EqualFold(a.host, r.own.host)
			if here && a.port == port {
				l.report.Add(xmltree.Problem{File: r.element.File(), Line: c.Line, Path: r.element.Path() + "/ReverseConnect/Url",
					Message: xmltree.Quote(c.URL) + " seems to be this server's own listener; write the address at which the client listens"})
				break
			}
		}
	}
}

// describeModes joins the modes of a setting for people.
func describeModes(modes []ua.MessageSecurityMode) string {
	var names []string
	for _, m := range modes {
		names = append(names, modeName(m))
	}
	return strings.Join(names, ", ")
}
