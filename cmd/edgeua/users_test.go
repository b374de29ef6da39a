package main

import (
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/edgeua/edgeua/config"
)

func TestUsers_ListAndCan(t *testing.T) {
	dir := plant(t)
	edit(t, dir+"/TcUaSecurityConfig.xml", "</Groups>", `<Group Name="View"><DefaultAccess Namespace="urn:plant:press:devices" Access="0xB"/></Group></Groups>`)
	edit(t, dir+"/TcUaSecurityConfig.xml", "</Users>", `<User Name="guest" Auth="OS" MemberOf="View"/></Users>`)
	edgeua(t, "users", "list", "--config", dir).want(t, exitOK, `"op"     password, hashed  All     everything`, `"guest"  no: Auth=OS       View    read attributes, read values, browse`)
	edgeua(t, "users", "can", "guest", "ns=2;s=Boiler.SupplyTemp", "--config", dir).want(t, exitOK,
		"namespace urn:plant:press:devices", "may: read attributes, read values, browse\n", "may not: write values and call",
		"guest > View: DefaultAccess urn:plant:press:devices grants 0xB")
	edgeua(t, "users", "can", "guest", "i=2258", "--config", dir).want(t, exitOK, "may: nothing", `group "View" grants nothing here`)
	edgeua(t, "users", "can", "guest", "urn:plant:press:devices", "--config", dir).want(t, exitOK, "may: read attributes")
	edgeua(t, "users", "can", "eve", "i=1", "--config", dir).want(t, exitOK, "has no such user")
	edgeua(t, "users", "can", "op", "ns=7;i=1", "--config", dir).want(t, exitConfig, "write its URI")
	edgeua(t, "users", "can", "op", "Boiler", "--config", dir).want(t, exitConfig, "neither a NodeId")
}

func TestUsers_Hash(t *testing.T) {
	for in, want := range map[string]string{"secret\n": "secret", "with blanks \r\nsecond line": "with blanks ", "no newline": "no newline"} {
		var out, prompt strings.Builder
		cmd := newUsersHash()
		cmd.SetIn(strings.NewReader(in))
		cmd.SetOut(&out)
		cmd.SetErr(&prompt)
		cmd.SetArgs(nil)
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
		hash := strings.TrimSpace(out.String())
		u := config.User{Auth: config.AuthServer, Password: hash}
		if bcrypt.CompareHashAndPassword([]byte(hash), []byte(want)) != nil || !u.Hashed() || prompt.Len() > 0 {
			t.Errorf("%q became %s", in, hash)
		}
	}
	for _, bad := range []string{"", "\n", strings.Repeat("x", 73)} {
		if _, err := newPassword(strings.NewReader(bad), nil); err != nil {
			t.Fatal(err)
		}
		password, _ := newPassword(strings.NewReader(bad), nil)
		if _, err := hashPassword(password); err == nil {
			t.Errorf("%q was taken for a password", bad)
		}
	}
}
