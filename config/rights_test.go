package config

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const nested = `<Groups>
<Group Name="Guests" Access="0x0"><DefaultAccess Namespace="urn:server" Access="0xB"/></Group>
<Group Name="Users" MemberOf="Guests" Access="0x0"><DefaultAccess Namespace="urn:plc" Access="0x0000010F"/></Group>
<Group Name="Admins" MemberOf="Users; Guests"><DefaultAccess Namespace="*" Access="0x3FF"/><DefaultAccess Namespace="urn:safety" Access="0x9"/></Group>
<Group Name="Loose" Access="0x100"/>
</Groups><Users>
<User Name="op" Auth="Server" Password="$2a$04$PmW.2EW5h4RNNpmnZsaSnu8uOmHH9t2Ay5FaQDBW1IxUJqbxHRVJe" MemberOf="Users"><DefaultAccess Namespace="urn:own" Access="0x2"/></User>
<User Name="admin" Auth="OS" MemberOf="Admins;Nowhere"/>
<User Name="root" Auth="OS" IsRoot="true"/>
<User Name="loose" Auth="OS" MemberOf="Loose"/>
<User Name="Anonymous" Auth="None"/>
</Users>`

func TestRights(t *testing.T) {
	cfg, _ := setup{users: usersFile(nested)}.load(t)
	for _, tc := range []struct {
		user, namespace string
		want            Rights
	}{
		{"op", "urn:server", 0xB}, {"op", "urn:plc", 0x10F}, {"op", "urn:own", 2}, {"op", "urn:other", 0}, {"op", "URN:plc", 0}, {"op", "*", 0},
		{"admin", "urn:server", 0x3FF}, {"admin", "urn:plc", 0x3FF}, {"admin", "urn:safety", 9},
		{"root", "urn:any", 0x3FF}, {"loose", "urn:any", 0x100}, {"Anonymous", "urn:server", 0}, {"nobody", "urn:server", 0}, {"Guests", "urn:server", 0},
	} {
		if got := cfg.Rights(tc.user, tc.namespace); got != tc.want {
			t.Errorf("%s in %s: 0x%X, want 0x%X: %v", tc.user, tc.namespace, uint32(got), uint32(tc.want), cfg.Grants(tc.user, tc.namespace))
		}
	}
	grants := cfg.Grants("op", "urn:server")
	if want := "line 3: op > Users > Guests: DefaultAccess urn:server grants 0xB (read attributes, read values, browse)"; len(grants) != 1 || grants[0].String() != want {
		t.Errorf("got %v, want %s", grants, want)
	}
	if AllRights.String() != "everything" || Rights(0).String() != "nothing" {
		t.Error("names of everything and nothing")
	}
}

// TestRights_CirclesAreRefused wants groups that contain themselves to grant nothing, and evaluation to end even if
// somebody builds a Config with such groups.
func TestRights_CirclesAreRefused(t *testing.T) {
	cfg, problems := setup{users: usersFile(`<Groups>
<Group Name="a" MemberOf="b"><DefaultAccess Namespace="*" Access="0x1"/></Group>
<Group Name="b" MemberOf="c"><DefaultAccess Namespace="*" Access="0x2"/></Group>
<Group Name="c" MemberOf="b"><DefaultAccess Namespace="*" Access="0x4"/></Group>
</Groups><Users><User Name="u" Auth="OS" MemberOf="a;b;c"/></Users>`)}.load(t)
	if got := cfg.Rights("u", "urn:x"); got != 1 {
		t.Errorf("got 0x%X, want only what group a grants", uint32(got))
	}
	if n := strings.Count(strings.Join(problems, "\n"), "contains itself through MemberOf; it is left out"); n != 2 {
		t.Errorf("%d groups refused, want b and c: %v", n, problems)
	}
}

// TestRights_MoreGroupsNeverGrantLess holds for any tangle of groups.
func TestRights_MoreGroupsNeverGrantLess(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Users: []User{{Name: "u"}}}
		for _, name := range names {
			cfg.Groups = append(cfg.Groups, Group{
				Name: name, MemberOf: rapid.SliceOfN(rapid.SampledFrom(names), 0, 3).Draw(t, "members"),
				Access: []Access{{Namespace: "urn:x", Mask: rapid.Uint32().Draw(t, "mask")}},
			})
		}
		cfg.Users[0].MemberOf = rapid.SliceOfN(rapid.SampledFrom(names), 0, 3).Draw(t, "groups")
		before := cfg.Rights("u", "urn:x")
		cfg.Users[0].MemberOf = append(slices.Clone(cfg.Users[0].MemberOf), rapid.SampledFrom(names).Draw(t, "more"))
		if after := cfg.Rights("u", "urn:x"); !after.Has(before) || after&^AllRights != 0 {
			t.Fatalf("0x%X became 0x%X", uint32(before), uint32(after))
		}
	})
}
