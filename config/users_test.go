package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func usersFile(inside string) string {
	return "<TcUaSecurityConfig>\n" + inside + "\n</TcUaSecurityConfig>"
}

func hash(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func TestUsers_Passwords(t *testing.T) {
	cfg := setup{users: usersFile(`<Users>
<User Name="op" Auth="Server" Password="` + hash(t, "s3cret") + `" IsRoot="true"/>
<User Name="old" Auth="Server" Password=" clear " IsRoot="true"/>
</Users>`)}.expect(t,
		"TcUaSecurityConfig.xml:4: warning: TcUaSecurityConfig/Users/User[old]: the Password is in clear text; put the hash that edgeua users hash prints in its place")
	for _, tc := range []struct {
		user     int
		password string
		want     bool
	}{{0, "s3cret", true}, {0, "S3cret", false}, {0, cfg.Users[0].Password, false}, {0, "", false}, {1, " clear ", true}, {1, "clear", false}, {1, "", false}} {
		if cfg.Users[tc.user].CheckPassword([]byte(tc.password)) != tc.want {
			t.Errorf("%+v", tc)
		}
	}
	if !cfg.Users[0].Root || !cfg.Users[0].Hashed() || cfg.Users[1].Hashed() {
		t.Errorf("%+v", cfg.Users)
	}
	for _, u := range []User{{Auth: AuthOS, Password: "x"}, {Auth: AuthNone}, {Auth: AuthServer}} {
		if u.CheckPassword(nil) || u.CheckPassword([]byte(u.Password)) {
			t.Errorf("%+v must not log in", u)
		}
	}
}

func TestUsers_Findings(t *testing.T) {
	op := `<User Name="op" Auth="Server" Password="` + hash(t, "x") + `"/>`
	for name, tc := range map[string]struct{ in, want string }{
		"os":               {`<Users>` + op + `<User Name="a" Auth="OS"/></Users>`, `User[a]: cannot log in: accounts of the operating system (Auth="OS") are not used; write Auth="Server" with the hash that edgeua users hash prints as Password`},
		"none":             {`<Users>` + op + `<User Name="a" Auth="None"/></Users>`, `User[a]: cannot log in: Auth="None" is for the user Anonymous only; write Auth="Server" with the hash that edgeua users hash prints as Password`},
		"auth":             {`<Users>` + op + `<User Name="a" Auth="server"/></Users>`, `error: TcUaSecurityConfig/Users/User[a]: Auth "server" is not one of OS, Server, None, Certificate; did you mean Server?; this user is left out`},
		"no auth":          {`<Users>` + op + `<User Name="a"/></Users>`, `error: TcUaSecurityConfig/Users/User[a]: Auth "" is not one of OS, Server, None, Certificate; this user is left out`},
		"no name":          {`<Users>` + op + `<User Auth="OS"/></Users>`, `error: TcUaSecurityConfig/Users/User[2]: has no Name; this entry is left out`},
		"no password":      {`<Users>` + op + `<User Name="a" Auth="Server"/></Users>`, `error: TcUaSecurityConfig/Users/User[a]: has no Password; this user is left out`},
		"broken hash":      {`<Users>` + op + `<User Name="a" Auth="Server" Password="$2a$10$abc"/></Users>`, `error: TcUaSecurityConfig/Users/User[a]: the Password looks like a bcrypt hash but is not a complete one; this user is left out`},
		"twice":            {`<Users>` + op + op + `</Users>`, `User[op]: "op" stands more than once; the first one counts`},
		"root":             {`<Users>` + strings.Replace(op, "/>", ` IsRoot="True"/>`, 1) + `</Users>`, `IsRoot "True" is not exactly true or false and counts as false`},
		"attribute":        {`<Users>` + strings.Replace(op, "/>", ` Pasword="x"/>`, 1) + `</Users>`, `unknown attribute "Pasword"; it has no effect; did you mean Password?`},
		"attribute twice":  {`<Users>` + strings.Replace(op, "/>", ` Auth="OS"/>`, 1) + `</Users>`, `Auth stands twice; the first one counts`},
		"element":          {`<Users>` + op + `<Usr/></Users>`, `TcUaSecurityConfig/Users/Usr: unknown element; it has no effect`},
		"list":             {`<Users>` + op + `</Users><Userss/>`, `TcUaSecurityConfig/Userss: unknown element; it has no effect; did you mean Users?`},
		"unknown group":    {`<Users>` + strings.Replace(op, "/>", ` MemberOf="a; b"/>`, 1) + `</Users><Groups><Group Name="a"/></Groups>`, `MemberOf names the group "b", which does not exist`},
		"circle":           {`<Users>` + op + `</Users><Groups><Group Name="a" MemberOf="b"/><Group Name="b" MemberOf="c"/><Group Name="c" MemberOf="b"/></Groups>`, `error: TcUaSecurityConfig/Groups/Group[b]: contains itself through MemberOf; it is left out`},
		"mask":             {`<Users>` + op + `</Users><Groups><Group Name="a" Access="15"/></Groups>`, `error: TcUaSecurityConfig/Groups/Group[a]: Access "15" is not a hexadecimal number such as 0x10F; it grants nothing`},
		"no namespace":     {`<Users>` + op + `</Users><Groups><Group Name="a"><DefaultAccess Access="0xB"/></Group></Groups>`, `error: TcUaSecurityConfig/Groups/Group[a]/DefaultAccess: has no Namespace; it is left out`},
		"node rules":       {`<Users>` + op + `</Users><AccessInfos><AccessInfo/></AccessInfos>`, `TcUaSecurityConfig/AccessInfos: rules for single nodes have no effect in this version`},
		"no rights":        {`<Users>` + op + `</Users>`, `TcUaSecurityConfig.xml:2: warning: TcUaSecurityConfig/Users/User[op]: has no rights and sees nothing: write MemberOf="..."`},
		"certificate":      {`<Users><User Name="eve" Auth="Certificate" IsRoot="true"/></Users>`, `User[eve]: cannot log in: Auth="Certificate" needs EnableCertificate and a DefaultUserCertificateStore`},
		"devices":          {`<Users>` + op + `</Users><Groups><Group Name="a"><DefaultAccess Namespace="urn:gw-7:plant" Access="0xB"/></Group></Groups>`, `no rights are granted in the namespace of the devices, "urn:gw-7:plant:devices": only users with IsRoot see their tags`},
		"stale namespace":  {`<Users>` + op + `</Users><Groups><Group Name="a"><DefaultAccess Namespace="urn:old" Access="0xB"/></Group></Groups>`, `no rights are granted in the namespace of this server, "urn:gw-7:plant"; was its ServerUri changed?`},
		"anonymous locked": {`<Users>` + op + `<User Name="Anonymous" Auth="Server" Password="` + hash(t, "y") + `"/></Users>`, `User[Anonymous]: is a user with a password; sessions without a user need Auth="None"`},
	} {
		cfg, got := setup{users: usersFile(tc.in)}.load(t)
		if cfg == nil || !slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, tc.want) }) {
			t.Errorf("%s: got %v, want %q", name, got, tc.want)
		}
	}
}

func TestUsers_GroupsAreKept(t *testing.T) {
	cfg, _ := setup{users: usersFile(`<Groups><Group Name="w" Access="0x0"><DefaultAccess Namespace="urn:[NodeName]:plant" Access="0x0000000B"/></Group></Groups>
<Users><User Name="a" Auth="OS" MemberOf="w; w2"><DefaultAccess Namespace="*" Access="0x3FF"/></User></Users>`)}.load(t)
	if g := cfg.Groups[0]; g.Name != "w" || len(g.Access) != 1 || g.Access[0] != (Access{2, "urn:gw-7:plant", 0xB}) {
		t.Errorf("%+v", g)
	}
	if u := cfg.Users[0]; !slices.Equal(u.MemberOf, []string{"w", "w2"}) || u.Access[0] != (Access{3, "*", 0x3FF}) {
		t.Errorf("%+v", u)
	}
}

// TestUsers_AnonymousNeedsBoth explains which of the two switches is missing.
func TestUsers_AnonymousNeedsBoth(t *testing.T) {
	const enabled = "<UserIdentityTokens><EnableAnonymous>true</EnableAnonymous></UserIdentityTokens>"
	with := strings.Replace(oneUser, "</Users>", `<User Name="Anonymous" Auth="None" IsRoot="true"/></Users>`, 1)
	const open = "4: warning: UserIdentityTokens/EnableAnonymous: anyone can do what the user Anonymous may without a user name, on every endpoint that the client may use"
	const ignored = "4: warning: UserIdentityTokens/EnableAnonymous: has no effect: "
	const nobody = "4: warning: UserIdentityTokens: nobody can open a session: "
	for name, tc := range map[string]struct {
		server, users string
		want          []string
		anonymous     bool
	}{
		"both":        {enabled, with, []string{open}, true},
		"file empty":  {enabled, "<TcUaSecurityConfig/>", []string{ignored + `TcUaSecurityConfig.xml has no user Anonymous with Auth="None"; add it, or write false`, nobody + "TcUaSecurityConfig.xml has no user who can log in" + addUser}, false},
		"no file":     {enabled, "-", []string{ignored + `there is no TcUaSecurityConfig.xml, which must have the user Anonymous with Auth="None": ` + usersRemedy + `, or write false`, nobody + "there is no TcUaSecurityConfig.xml; " + usersRemedy}, false},
		"user only":   {"", with, []string{`TcUaSecurityConfig.xml:1: warning: TcUaSecurityConfig/Users/User[Anonymous]: has no effect: EnableAnonymous is not true in TcUaServerConfig.xml`}, false},
		"switch only": {enabled, oneUser, []string{ignored + `TcUaSecurityConfig.xml has no user Anonymous with Auth="None"; add it, or write false`}, false},
		"neither":     {"", "-", []string{"2: warning: OpcServerConfig/UaServerConfig: nobody can open a session: there is no TcUaSecurityConfig.xml; " + usersRemedy}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if cfg := (setup{server: tc.server, users: tc.users}).expect(t, tc.want...); cfg.Tokens.Anonymous != tc.anonymous || tc.anonymous != (cfg.NoAnonymous() == "") {
				t.Errorf("%+v", cfg.Tokens)
			}
		})
	}
}

func TestUsers_NobodyCanLogIn(t *testing.T) {
	setup{server: "<UserIdentityTokens><EnableUserPw>false</EnableUserPw></UserIdentityTokens>"}.expect(t,
		"4: warning: UserIdentityTokens: nobody can open a session: neither EnableAnonymous nor EnableUserPw nor EnableCertificate is in effect")
	setup{users: "<TcUaSecurityConfig/>"}.expect(t,
		`2: warning: OpcServerConfig/UaServerConfig: nobody can open a session: TcUaSecurityConfig.xml has no user who can log in`+addUser)
}

func TestUsers_TokenPolicy(t *testing.T) {
	for text, want := range map[string]string{
		policyPrefix + "None":     "None would send passwords in clear text; Basic256Sha256 protects them instead",
		policyPrefix + "Basic256": "Basic256 is deprecated; Basic256Sha256 protects passwords instead",
		policyPrefix + "Basic512": `"http://opcfoundation.org/UA/SecurityPolicy#Basic512" is not a known security policy; Basic256Sha256 is used`,
		ua256Pss:                  "",
	} {
		cfg, got := setup{server: "<UserIdentityTokens><SecurityPolicy>" + text + "</SecurityPolicy></UserIdentityTokens>"}.load(t)
		if want == "" {
			if len(got) > 0 || cfg.Tokens.PolicyURI != text {
				t.Error(got)
			}
		} else if len(got) != 1 || !strings.Contains(got[0], want) || cfg.Tokens.PolicyURI != basic256Sha256 {
			t.Errorf("got %v, want %q", got, want)
		}
	}
}

const ua256Pss = policyPrefix + "Aes256_Sha256_RsaPss"

// TestUsers_UnreadableFileRefuses must not fall back to a server without users, or without passwords.
func TestUsers_UnreadableFileRefuses(t *testing.T) {
	for _, text := range []string{"<TcUaSecurityConfig>", "<Users/>", ""} {
		if cfg, got := (setup{users: text + "\n", server: "<UserIdentityTokens><EnableAnonymous>true</EnableAnonymous></UserIdentityTokens>"}).load(t); cfg != nil {
			t.Errorf("%q accepted: %v", text, got)
		}
	}
}

func TestUsers_WorldReadable(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"TcUaServerConfig.xml": plain(), EdgeName: "<EdgeUa/>", UsersName: oneUser} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, UsersName), 0o644); err != nil {
		t.Fatal(err)
	}
	_, report := Load(options(filepath.Join(dir, "TcUaServerConfig.xml")))
	want := "TcUaSecurityConfig.xml: warning: holds passwords and can be read by everybody; run chmod o-rwx on it"
	if got := short(report, dir); len(got) != 1 || got[0] != want {
		t.Errorf("got %v", got)
	}
}

const addUser = `; add one with Auth="Server" and the hash that edgeua users hash prints`
