package config

import (
	"strings"
	"time"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// Registration says at which discovery servers the server registers (Part 12 (1.05), 4.2).
type Registration struct {
	URLs         []string      // opc.tcp, at least a host; empty: none
	Interval     time.Duration // between two registrations at one of them
	Capabilities []string      // of Part 12 (1.05), Annex D, as discovery servers tell them
	TrustList    string        // directory of the discovery server for the own certificate; empty: none
}

// Redundancy is the redundant set the server belongs to, as clients are told (Part 4 (1.05), 6.6).
type Redundancy struct {
	Support    string   // None, Cold, Warm or Hot
	ServerURIs []string // of all servers of the set
}

// OtherServer is another server that FindServers returns as well.
type OtherServer struct {
	ApplicationURI, ProductURI, Name      string
	Type                                  string // Server or ClientAndServer
	GatewayServerURI, DiscoveryProfileURI string
	DiscoveryURLs                         []string
}

// discovery reads everything about finding this server and others.
func (l *loader) discovery(main section) {
	r := main.block("RedundancySettings")
	l.cfg.Redundancy = Redundancy{Support: r.word("RedundancySupport"), ServerURIs: r.list("ServerUri")}
	if l.cfg.Redundancy.Support == "Transparent" {
		l.report.Warn(r.at("RedundancySupport"), "%s has no effect: the servers of such a set pass sessions on to each other, which this one cannot; None counts",
			xmltree.Quote("Transparent"))
		l.cfg.Redundancy.Support = "None"
	}
	for _, s := range main.block("AdditionalServerEntries").blocks("ApplicationDescription") {
		l.cfg.OtherServers = append(l.cfg.OtherServers, OtherServer{
			ApplicationURI: s.text("ApplicationUri"), ProductURI: s.text("ProductUri"), Name: s.text("ApplicationName"),
			Type: s.word("ApplicationType"), GatewayServerURI: s.text("GatewayServerUri"),
			DiscoveryProfileURI: s.text("DiscoveryProfileUri"), DiscoveryURLs: s.list("DiscoveryUrl"),
		})
	}
	l.registration(main.block("DiscoveryRegistration"))
	l.cfg.Registration.Capabilities = main.block("ServerCapabilities").list("ServerCapability")
}

// registration leaves out what cannot be dialled. The interval has a floor: a discovery server forgets after minutes.
func (l *loader) registration(s section) {
	const shortest, longest = time.Second, 10 * time.Minute // Part 4 (1.05), 5.5.5: at most ten minutes
	r := &l.cfg.Registration
	r.TrustList = s.file("DiscoveryServerTrustListLocation")
	for _, e := range s.all("Url") {
		text := l.expand.Replace(strings.TrimSpace(e.Text))
		if _, err := parseText(text); err != nil {
			l.report.Error(e, "%s %v; this discovery server is left out", xmltree.Quote(text), err)
			continue
		}
		r.URLs = append(r.URLs, text)
	}
	r.Interval = s.millis("RegistrationInterval")
	if bounded := min(max(r.Interval, shortest), longest); bounded != r.Interval && len(r.URLs) > 0 {
		l.report.Warn(s.at("RegistrationInterval"), "%d ms is not from %d to %d; %d counts", r.Interval.Milliseconds(),
			shortest.Milliseconds(), longest.Milliseconds(), bounded.Milliseconds())
		r.Interval = bounded
	}
}
