package server

import (
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// barred reports whether n is kept from the user of c.
func (c *call) barred(n *addressspace.Node) bool {
	return n.UsersOnly && c.user().anonymous
}

// user is who the Session of c acts for now.
func (c *call) user() user {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	return c.session.user
}

// attribute reads an attribute other than Value as the user of c sees it
// (Part 3 (1.05), 5.6.2 and 5.7).
func (s *Server) attribute(c *call, n *addressspace.Node, a ua.AttributeID) (uabinary.Variant, ua.StatusCode) {
	value, code := s.space.Attribute(n, a)
	if code == ua.StatusOK && c.barred(n) {
		switch a {
		case ua.AttributeIDUserAccessLevel:
			value = uabinary.Uint8Variant(0)
		case ua.AttributeIDUserExecutable:
			value = uabinary.BoolVariant(false)
		}
	}
	return value, code
}
