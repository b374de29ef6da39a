package server

import (
	"crypto/sha256"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// Rights is what a user may do with the nodes of one namespace, in the bits of
// the access masks of TcUaSecurityConfig.xml.
type Rights uint32

// The bits of Rights. There is neither history nor are there events yet, so
// their bits only show in UserAccessLevel.
const (
	RightReadAttributes  Rights = 0x001 // all but the Value
	RightReadValue       Rights = 0x002 // by Read and by MonitoredItems
	RightWriteValue      Rights = 0x004 // and call Methods
	RightBrowse          Rights = 0x008 // see the node and follow its References
	RightHistoryRead     Rights = 0x010
	RightHistoryInsert   Rights = 0x020
	RightHistoryModify   Rights = 0x040
	RightHistoryDelete   Rights = 0x080
	RightReceiveEvents   Rights = 0x100
	RightWriteAttributes Rights = 0x200 // all but the Value
	AllRights            Rights = 0x3FF
)

const rightsOverHistory = RightHistoryInsert | RightHistoryModify | RightHistoryDelete

// user is who a Session acts for. It is never changed, only replaced.
type user struct {
	name        string
	anonymous   bool
	certificate [sha256.Size]byte // digest of the X509IdentityToken's; zero without one
	rights      []Rights          // by namespace index
	of          *settings         // the rights are of these
}

func (u *user) byCertificate() bool { return u.certificate != [sha256.Size]byte{} }

// is reports whether both are the same user, who proved it in the same way.
func (u *user) is(other *user) bool {
	return u == other || u != nil && other != nil &&
		u.name == other.name && u.anonymous == other.anonymous && u.certificate == other.certificate
}

// withRights looks up what u may do, once for all requests under these settings.
func (s *Server) withRights(st *settings, u user) *user {
	u.of = st
	for _, uri := range s.space.Namespaces() {
		u.rights = append(u.rights, st.rightsIn(u.name, uri))
	}
	return &u
}

func (st *settings) rightsIn(name, namespaceURI string) Rights {
	if st.cfg.Rights == nil {
		return AllRights
	}
	return st.cfg.Rights(name, namespaceURI)
}

// may reports whether u has all of the wanted rights over n. Nodes that are for
// users only are kept from anonymous Sessions whatever their rights are.
func (s *Server) may(u *user, n *addressspace.Node, want Rights) bool {
	if n.UsersOnly && u.anonymous && want&(RightReadValue|RightWriteValue) != 0 {
		return false
	}
	return s.rightsOver(u, n)&want == want
}

func (s *Server) rightsOver(u *user, n *addressspace.Node) Rights {
	index := int(n.ID.Namespace)
	if index < len(u.rights) {
		return u.rights[index]
	}
	if all := s.space.Namespaces(); index < len(all) { // one that is younger than the login
		return u.of.rightsIn(u.name, all[index])
	}
	return 0
}

// may reports whether the user of c has the wanted rights over n.
func (c *call) may(n *addressspace.Node, want Rights) bool { return c.server.may(c.as, n, want) }

// mayStill is asked when c has waited: the user that the Session has by now
// must have the rights as well.
func (c *call) mayStill(n *addressspace.Node, want Rights) bool {
	c.session.mu.Lock()
	now := c.session.user
	c.session.mu.Unlock()
	return c.server.may(now, n, want)
}

// rightToRead is what reading an attribute takes.
func rightToRead(a ua.AttributeID) Rights {
	if a == ua.AttributeIDValue {
		return RightReadValue
	}
	return RightReadAttributes
}

// attribute reads an attribute other than Value as u sees it (Part 3 (1.05),
// 5.2.7, 5.6.2 and 5.7).
func (s *Server) attribute(u *user, n *addressspace.Node, a ua.AttributeID) (uabinary.Variant, ua.StatusCode) {
	value, code := s.space.Attribute(n, a)
	if code != ua.StatusOK {
		return value, code
	}
	switch a {
	case ua.AttributeIDUserAccessLevel:
		value = uabinary.Uint8Variant(n.Variable.AccessLevel & s.userAccess(u, n))
	case ua.AttributeIDUserExecutable:
		if !s.may(u, n, RightWriteValue) {
			value = uabinary.BoolVariant(false)
		}
	case ua.AttributeIDUserWriteMask:
		if !s.may(u, n, RightWriteAttributes) {
			value = uabinary.Uint32Variant(0)
		}
	}
	return value, code
}

// dependsOnUser lists the attributes that attribute changes.
func dependsOnUser(a ua.AttributeID) bool {
	return a == ua.AttributeIDUserAccessLevel || a == ua.AttributeIDUserExecutable || a == ua.AttributeIDUserWriteMask
}

// userAccess masks an AccessLevel with the rights of u.
func (s *Server) userAccess(u *user, n *addressspace.Node) (mask uint8) {
	rights := s.rightsOver(u, n)
	if s.may(u, n, RightReadValue) {
		mask |= accessRead
	}
	if s.may(u, n, RightWriteValue) {
		mask |= accessWrite | accessStatusWrite | accessTimestampWrite
	}
	if rights&RightHistoryRead != 0 {
		mask |= accessHistoryRead
	}
	if rights&rightsOverHistory != 0 {
		mask |= accessHistoryWrite
	}
	return mask
}
