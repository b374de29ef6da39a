package server

import (
	"slices"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// Discovery Service Set: Part 4 (1.05), 5.5. Both services work on any channel
// without a Session and ignore an AuthenticationToken.

// handleFindServers: 5.5.2. There is one Server here, this one; others are only
// told about.
func (s *Server) handleFindServers(c *call, r *uabinary.Reader) {
	var req uabinary.FindServersRequest
	if !c.parse(r, &req) || !s.checkDiscovery(c, req.LocaleIDs, req.ServerURIs) {
		return
	}
	resp := uabinary.FindServersResponse{ResponseHeader: c.responseHeader()}
	if len(req.ServerURIs) == 0 || slices.Contains(req.ServerURIs, s.config().ApplicationURI) {
		resp.Servers = []uabinary.ApplicationDescription{s.applicationFor(c, req.EndpointURL)}
	}
	for _, other := range s.config().OtherServers {
		if len(req.ServerURIs) == 0 || slices.Contains(req.ServerURIs, other.ApplicationURI) {
			resp.Servers = append(resp.Servers, other)
		}
	}
	c.respond(&resp)
}

// handleGetEndpoints: 5.5.4.
func (s *Server) handleGetEndpoints(c *call, r *uabinary.Reader) {
	var req uabinary.GetEndpointsRequest
	if !c.parse(r, &req) || !s.checkDiscovery(c, req.LocaleIDs, req.ProfileURIs) {
		return
	}
	resp := uabinary.GetEndpointsResponse{ResponseHeader: c.responseHeader()}
	if len(req.ProfileURIs) == 0 || slices.Contains(req.ProfileURIs, transportProfile) {
		resp.Endpoints = s.visibleEndpoints(c, req.EndpointURL)
	}
	c.respond(&resp)
}

// checkDiscovery bounds the lists of anybody's request.
func (s *Server) checkDiscovery(c *call, locales, filter []string) bool {
	if len(locales) > s.limits().MaxLocales || len(filter) > s.limits().MaxNodesPerBrowse {
		c.fault(ua.StatusBadTooManyOperations)
		return false
	}
	return true
}

// visibleEndpoints lists the endpoint the client is on first.
func (s *Server) visibleEndpoints(c *call, requested string) []uabinary.EndpointDescription {
	var list []uabinary.EndpointDescription
	if c.conn.ep.cfg.Visible {
		list = c.conn.ep.descriptions(c.conn.urlFor(requested))
	}
	for _, e := range s.settings().endpoints {
		if e != c.conn.ep && e.cfg.Visible {
			list = append(list, e.descriptions(e.cfg.URL)...)
		}
	}
	return list
}

// application describes this Server with one DiscoveryUrl.
func (s *Server) application(discoveryURL string) uabinary.ApplicationDescription {
	return uabinary.ApplicationDescription{
		ApplicationURI:  s.config().ApplicationURI,
		ProductURI:      s.config().ProductURI,
		ApplicationName: uabinary.LocalizedText{Text: s.config().ApplicationName},
		ApplicationType: ua.ApplicationTypeServer,
		DiscoveryURLs:   []string{discoveryURL},
	}
}

// applicationFor lists every endpoint's DiscoveryUrl, the client's first.
func (s *Server) applicationFor(c *call, requested string) uabinary.ApplicationDescription {
	app := s.application("")
	app.DiscoveryURLs = nil
	if c.conn.ep.cfg.Discovery {
		app.DiscoveryURLs = []string{c.conn.urlFor(requested)}
	}
	for _, e := range s.settings().endpoints {
		if e != c.conn.ep && e.cfg.Discovery {
			app.DiscoveryURLs = append(app.DiscoveryURLs, e.cfg.URL)
		}
	}
	return app
}
