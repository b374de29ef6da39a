package config

import (
	"crypto/subtle"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// Auth is how a user proves who he is.
type Auth string

// The words of Auth.
const (
	AuthOS     Auth = "OS"     // account of the operating system
	AuthServer Auth = "Server" // password in the file
	AuthNone   Auth = "None"   // the name is enough
	// AuthCertificate is ours: a trusted user certificate whose CommonName is the name.
	AuthCertificate Auth = "Certificate"
)

// User is one User of TcUaSecurityConfig.xml.
type User struct {
	Line     int
	Name     string
	Auth     Auth
	Password string // clear text or a bcrypt hash; never print it
	Root     bool
	MemberOf []string
	Access   []Access
}

// Group is one Group of TcUaSecurityConfig.xml.
type Group struct {
	Line     int
	Name     string
	MemberOf []string // groups nest
	Mask     uint32   // rights without regard to a namespace
	Access   []Access
}

// Access grants rights in one namespace.
type Access struct {
	Line      int
	Namespace string // URI, or * for all
	Mask      uint32 // of Rights
}

// Hashed tells whether the password is a bcrypt hash.
func (u *User) Hashed() bool {
	_, err := bcrypt.Cost([]byte(u.Password))
	return err == nil
}

// CanLogIn tells whether the user has a password to log in with.
func (u *User) CanLogIn() bool { return u.Auth == AuthServer && u.Password != "" }

// CheckPassword compares a password, in a time that does not tell how much of it is right.
func (u *User) CheckPassword(password []byte) bool {
	switch {
	case !u.CanLogIn():
		return false
	case u.Hashed():
		return bcrypt.CompareHashAndPassword([]byte(u.Password), password) == nil
	}
	return subtle.ConstantTimeCompare([]byte(u.Password), password) == 1
}

// UsersPath is the path of a user in messages.
func UsersPath(name string) string { return "TcUaSecurityConfig/Users/User[" + name + "]" }

// userReader reads the users file, whose values are attributes, with the tolerance of the main file.
type userReader struct {
	*loader
	file  string
	taken map[string]bool // Group/name and User/name
}

// users reads the users file. One that is there but cannot be read refuses the start: nobody knows who would be let in.
func (l *loader) users(file string) {
	root, _ := l.read(file, "TcUaSecurityConfig", false)
	if root == nil {
		return
	}
	l.cfg.Users = []User{} // not nil: with a file, even an empty one, nobody is let in who is not in it
	r := userReader{loader: l, file: file, taken: map[string]bool{}}
	r.known(root, nil, "Groups", "Users", "AccessInfos")
	for _, e := range r.children(root, "Groups", "Group") {
		r.group(e)
	}
	for _, e := range r.children(root, "Users", "User") {
		r.user(e)
	}
	r.members(root)
	r.rights(root)
	r.mode()
}

// children returns the entries of a list and reports what else is in it.
func (r *userReader) children(root *xmltree.Element, list, entry string) []*xmltree.Element {
	e := root.Child(list)
	if e == nil {
		return nil
	}
	r.known(e, nil, entry)
	return e.All(entry)
}

// known warns of attributes and elements that nobody looks at.
func (r *userReader) known(e *xmltree.Element, attrs []string, elements ...string) {
	seen := map[string]bool{}
	for _, a := range e.Attrs {
		switch {
		case !contains(attrs, a.Name):
			r.report.Warn(e, "unknown attribute %s; it has no effect%s", xmltree.Quote(a.Name), xmltree.Suggest(a.Name, attrs))
		case seen[a.Name]:
			r.report.Warn(e, "%s stands twice; the first one counts", a.Name)
		}
		seen[a.Name] = true
	}
	for _, c := range e.Children {
		if !contains(elements, c.Name) {
			r.report.Warn(c, "unknown element; it has no effect%s", xmltree.Suggest(c.Name, elements))
		}
	}
}

func (r *userReader) attr(e *xmltree.Element, name string) string {
	v, _ := e.Attr(name)
	return strings.TrimSpace(v)
}

func (r *userReader) group(e *xmltree.Element) {
	r.known(e, []string{"Name", "MemberOf", "Access"}, "DefaultAccess")
	g := Group{Line: e.Line, Name: r.attr(e, "Name"), MemberOf: splitMembers(r.attr(e, "MemberOf")), Access: r.access(e)}
	g.Mask = r.mask(e)
	if r.named(e, g.Name) {
		r.cfg.Groups = append(r.cfg.Groups, g)
	}
}

func (r *userReader) user(e *xmltree.Element) {
	r.known(e, []string{"Name", "Auth", "Password", "IsRoot", "MemberOf"}, "DefaultAccess")
	password, _ := e.Attr("Password") // blanks may belong to it
	u := User{
		Line: e.Line, Name: r.attr(e, "Name"), Auth: Auth(r.attr(e, "Auth")), Password: password,
		Root: r.attr(e, "IsRoot") == "true", MemberOf: splitMembers(r.attr(e, "MemberOf")), Access: r.access(e),
	}
	if root, ok := e.Attr("IsRoot"); ok && root != "true" && root != "false" {
		r.report.Warn(e, "IsRoot %s is not exactly true or false and counts as false", xmltree.Quote(root))
	}
	if r.named(e, u.Name) && r.auth(e, &u) {
		r.cfg.Users = append(r.cfg.Users, u)
	}
}

// named refuses an entry without a name or with one that is taken.
func (r *userReader) named(e *xmltree.Element, name string) bool {
	key := e.Name + "/" + name
	switch {
	case name == "":
		r.report.Error(e, "has no Name; this entry is left out")
		return false
	case r.taken[key]:
		r.report.Warn(e, "%s stands more than once; the first one counts", xmltree.Quote(name))
		return false
	}
	r.taken[key] = true
	return true
}

// auth checks how the user logs in. Passwords are never quoted.
func (r *userReader) auth(e *xmltree.Element, u *User) bool {
	switch u.Auth {
	case AuthServer:
		return r.password(e, u)
	case AuthOS:
		r.report.Warn(e, "cannot log in: accounts of the operating system (Auth=\"OS\") are not used; write Auth=\"Server\" with the hash that edgeua users hash prints as Password")
	case AuthCertificate:
		if !r.cfg.Tokens.Certificate || r.cfg.UserTrust.Certificates == "" {
			r.report.Warn(e, "cannot log in: Auth=\"Certificate\" needs EnableCertificate and a DefaultUserCertificateStore in %s", r.opts.Main)
		}
	case AuthNone:
		if u.Name != AnonymousUser {
			r.report.Warn(e, "cannot log in: Auth=\"None\" is for the user %s only; write Auth=\"Server\" with the hash that edgeua users hash prints as Password", AnonymousUser)
		}
	default:
		r.report.Error(e, "Auth %s is not one of OS, Server, None, Certificate%s; this user is left out", xmltree.Quote(string(u.Auth)),
			xmltree.Suggest(string(u.Auth), []string{"OS", "Server", "None", "Certificate"}))
		return false
	}
	return true
}

func (r *userReader) password(e *xmltree.Element, u *User) bool {
	switch {
	case u.Password == "":
		r.report.Error(e, "has no Password; this user is left out")
		return false
	case u.Name == AnonymousUser:
		r.report.Warn(e, "is a user with a password; sessions without a user need Auth=\"None\"")
	case !u.Hashed() && strings.HasPrefix(u.Password, "$2"):
		r.report.Error(e, "the Password looks like a bcrypt hash but is not a complete one; this user is left out")
		return false
	case !u.Hashed():
		r.report.Warn(e, "the Password is in clear text; put the hash that edgeua users hash prints in its place")
	}
	return true
}

func (r *userReader) access(e *xmltree.Element) []Access {
	var all []Access
	for _, d := range e.All("DefaultAccess") {
		r.known(d, []string{"Namespace", "Access"})
		a := Access{Line: d.Line, Namespace: r.expand.Replace(r.attr(d, "Namespace")), Mask: r.mask(d)}
		if a.Namespace == "" {
			r.report.Error(d, "has no Namespace; it is left out")
			continue
		}
		all = append(all, a)
	}
	return all
}

// mask reads rights, which are hexadecimal. What cannot be read grants nothing.
func (r *userReader) mask(e *xmltree.Element) uint32 {
	text := r.attr(e, "Access")
	if text == "" {
		return 0
	}
	digits, hex := strings.CutPrefix(strings.ToLower(text), "0x")
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || !hex {
		r.report.Error(e, "Access %s is not a hexadecimal number such as 0x10F; it grants nothing", xmltree.Quote(text))
		return 0
	}
	return uint32(n)
}

// members reports groups that do not exist, and leaves out those that contain themselves.
func (r *userReader) members(root *xmltree.Element) {
	circular := map[string]bool{}
	for list, entry := range map[string]string{"Groups": "Group", "Users": "User"} {
		if root.Child(list) == nil {
			continue
		}
		for _, e := range root.Child(list).All(entry) {
			for _, name := range splitMembers(r.attr(e, "MemberOf")) {
				if !r.taken["Group/"+name] {
					r.report.Warn(e, "MemberOf names the group %s, which does not exist", xmltree.Quote(name))
				}
			}
			if name := r.attr(e, "Name"); entry == "Group" && r.circular(name) {
				r.report.Error(e, "contains itself through MemberOf; it is left out")
				circular[name] = true
			}
		}
	}
	r.cfg.Groups = slices.DeleteFunc(r.cfg.Groups, func(g Group) bool { return circular[g.Name] })
}

// circular follows MemberOf from a group and tells whether it comes back.
func (r *userReader) circular(start string) bool {
	parents := map[string][]string{}
	for _, g := range r.cfg.Groups {
		parents[g.Name] = g.MemberOf
	}
	seen := map[string]bool{}
	for queue := parents[start]; len(queue) > 0; queue = queue[1:] {
		name := queue[0]
		if name == start {
			return true
		}
		if !seen[name] {
			seen[name] = true
			queue = append(queue, parents[name]...)
		}
	}
	return false
}

// rights finds namespaces that went stale with ServerUri, and users who log in to see nothing.
func (r *userReader) rights(root *xmltree.Element) {
	if infos := root.Child("AccessInfos"); infos != nil && len(infos.Children) > 0 {
		r.report.Warn(infos, "rules for single nodes have no effect in this version")
	}
	r.withoutRights()
	var granted []Access
	for _, g := range r.cfg.Groups {
		granted = append(granted, g.Access...)
	}
	for _, u := range r.cfg.Users {
		granted = append(granted, u.Access...)
	}
	in := func(namespace string) bool {
		return slices.ContainsFunc(granted, func(a Access) bool { return a.Namespace == "*" || a.Namespace == namespace })
	}
	app := &r.cfg.Application
	switch {
	case len(granted) == 0: // each user has been named
	case !in(app.URI):
		r.report.Warn(root, "no rights are granted in the namespace of this server, %s; was its ServerUri changed?", xmltree.Quote(app.URI))
	case !in(app.DevicesURI()):
		r.report.Warn(root, "no rights are granted in the namespace of the devices, %s: only users with IsRoot see their tags", xmltree.Quote(app.DevicesURI()))
	}
}

// withoutRights warns of users who can log in and then see nothing.
func (r *userReader) withoutRights() {
	app := &r.cfg.Application
	for i := range r.cfg.Users {
		u := &r.cfg.Users[i]
		var rights Rights
		for _, namespace := range []string{"http://opcfoundation.org/UA/", app.URI, app.DevicesURI()} {
			rights |= r.cfg.Rights(u.Name, namespace)
		}
		if loggedIn := u.CanLogIn() || u.Auth == AuthCertificate || u.Name == AnonymousUser; loggedIn && rights == 0 {
			r.report.Add(xmltree.Problem{File: r.file, Line: u.Line, Path: UsersPath(u.Name),
				Message: "has no rights and sees nothing: write MemberOf=\"...\" with a Group whose DefaultAccess grants some"})
		}
	}
}

// mode warns of passwords that everybody on this machine can read.
func (r *userReader) mode() {
	const othersRead = 0o004
	info, err := os.Stat(r.file)
	if err != nil || info.Mode().Perm()&othersRead == 0 {
		return
	}
	for _, u := range r.cfg.Users {
		if u.Password != "" {
			r.report.Add(xmltree.Problem{File: r.file, Message: "holds passwords and can be read by everybody; run chmod o-rwx on it"})
			return
		}
	}
}

// splitMembers splits the list of groups.
func splitMembers(text string) []string {
	var all []string
	for name := range strings.SplitSeq(text, ";") {
		if name = strings.TrimSpace(name); name != "" {
			all = append(all, name)
		}
	}
	return all
}
