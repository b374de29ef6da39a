package config

import (
	"fmt"
	"slices"
	"strings"
)

// Rights is what a user may do with the nodes of one namespace: the access mask of TcUaSecurityConfig.xml.
type Rights uint32

// The bits of an access mask, as the original numbers them.
const (
	RightReadAttributes  Rights = 0x001 // read every attribute but the value
	RightReadValue       Rights = 0x002 // read and subscribe to values
	RightWriteValue      Rights = 0x004 // write values, call methods
	RightBrowse          Rights = 0x008 // see the node and its references
	RightHistoryRead     Rights = 0x010
	RightHistoryInsert   Rights = 0x020
	RightHistoryModify   Rights = 0x040
	RightHistoryDelete   Rights = 0x080
	RightReceiveEvents   Rights = 0x100
	RightWriteAttributes Rights = 0x200 // write every attribute but the value
	AllRights            Rights = 0x3FF
)

// rightNames are in the order of the bits.
func rightNames() []string {
	return []string{
		"read attributes", "read values", "write values and call", "browse", "read history", "insert history",
		"modify history", "delete history", "receive events", "write attributes",
	}
}

// Has tells whether all of the wanted rights are there.
func (r Rights) Has(wanted Rights) bool { return r&wanted == wanted }

// String lists the rights in words.
func (r Rights) String() string {
	switch {
	case r.Has(AllRights):
		return "everything"
	case r&AllRights == 0:
		return "nothing"
	}
	var names []string
	for i, name := range rightNames() {
		if r.Has(1 << i) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Grant is one reason why a user has rights in a namespace.
type Grant struct {
	Line   int      // in the users file
	Holder []string // from the user to the group that says so: the user's name, its group, the group of that ...
	Entry  string   // what says so: IsRoot, Access, or the Namespace of a DefaultAccess
	Rights Rights
}

// String says who grants what.
func (g Grant) String() string {
	return fmt.Sprintf("line %d: %s: %s grants 0x%X (%s)", g.Line, strings.Join(g.Holder, " > "), g.Entry, uint32(g.Rights), g.Rights)
}

// Rights is what the user of that name may do in a namespace: the union of what its groups, their groups, and it itself
// are granted. A user with IsRoot may do everything; one who does not exist, nothing. The name of sessions without a
// user is [AnonymousUser].
func (c *Config) Rights(user, namespaceURI string) Rights {
	var all Rights
	for _, g := range c.Grants(user, namespaceURI) {
		all |= g.Rights
	}
	return all & AllRights
}

// Grants explains [Config.Rights], the user's own grants first. Each group counts once, however often it is reached, so
// that groups that contain each other do no harm.
//
// Of one holder the DefaultAccess that names the namespace counts, and otherwise the one for "*": the more exact entry
// is there to differ. Its Access without a namespace comes on top. Namespaces are compared byte for byte, as NodeIds do.
func (c *Config) Grants(user, namespaceURI string) []Grant {
	i := slices.IndexFunc(c.Users, func(u User) bool { return u.Name == user })
	if i < 0 {
		return nil
	}
	u := &c.Users[i]
	var grants []Grant
	if u.Root {
		grants = append(grants, Grant{Line: u.Line, Holder: []string{u.Name}, Entry: "IsRoot", Rights: AllRights})
	}
	grants = append(grants, granted(u.Line, []string{u.Name}, 0, u.Access, namespaceURI)...)
	type step struct {
		group string
		via   []string
	}
	var queue []step
	for _, m := range u.MemberOf {
		queue = append(queue, step{m, []string{u.Name}})
	}
	seen := map[string]bool{}
	for ; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		g := c.group(at.group)
		if g == nil || seen[g.Name] {
			continue
		}
		seen[g.Name] = true
		via := append(slices.Clip(at.via), g.Name)
		grants = append(grants, granted(g.Line, via, g.Mask, g.Access, namespaceURI)...)
		for _, m := range g.MemberOf {
			queue = append(queue, step{m, via})
		}
	}
	return grants
}

func (c *Config) group(name string) *Group {
	for i := range c.Groups {
		if c.Groups[i].Name == name {
			return &c.Groups[i]
		}
	}
	return nil
}

// granted is what one user or group says about a namespace itself.
func granted(line int, holder []string, everywhere uint32, access []Access, namespaceURI string) []Grant {
	var grants []Grant
	if everywhere != 0 {
		grants = append(grants, Grant{Line: line, Holder: holder, Entry: "Access", Rights: Rights(everywhere)})
	}
	for _, namespace := range []string{namespaceURI, "*"} {
		i := slices.IndexFunc(access, func(a Access) bool { return a.Namespace == namespace })
		if i >= 0 {
			return append(grants, Grant{Line: access[i].Line, Holder: holder, Entry: "DefaultAccess " + namespace, Rights: Rights(access[i].Mask)})
		}
	}
	return grants
}

// DevicesURI is the namespace of the devices and their tags.
func (a *Application) DevicesURI() string { return a.URI + ":devices" }
