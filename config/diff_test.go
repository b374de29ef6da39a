package config

import (
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	dir := t.TempDir()
	before, _ := setup{dir: dir, endpoint: "<ReverseConnect><Url>opc.tcp://a:1</Url><Url>opc.tcp://b:1</Url></ReverseConnect>", users: usersFile(`<Users><User Name="op" Auth="Server" Password="secret"/></Users>`)}.load(t)
	after, _ := setup{
		dir: dir, server: "<MaxSessionCount>7</MaxSessionCount>\n", endpoint: "<IsVisible>false</IsVisible><ReverseConnect><Url>opc.tcp://c:1</Url><Url>opc.tcp://a:1</Url></ReverseConnect>",
		users: usersFile(`<Users><User Name="new" Auth="Server" Password="y"/><User Name="op" Auth="Server" Password="hidden" IsRoot="true"/></Users>`),
		edge:  `<EdgeUa><ReverseConnect><Client Url="opc.tcp://a:1" BackoffMin="2000"/></ReverseConnect></EdgeUa>`,
	}.load(t)
	var got []string
	for _, c := range Diff(before, after) {
		got = append(got, c.String())
	}
	want := []string{
		"~ Limits.MaxSecureChannels 21 -> 8",
		"~ Limits.MaxSessions 20 -> 7",
		"~ Endpoints[opc.tcp://gw-7:4840].Visible true -> false",
		"~ Endpoints[opc.tcp://gw-7:4840].ReverseClients[opc.tcp://a:1].Tuning.BackoffMin 1s -> 2s",
		"- Endpoints[opc.tcp://gw-7:4840].ReverseClients[opc.tcp://b:1] (whole entry)",
		"+ Endpoints[opc.tcp://gw-7:4840].ReverseClients[opc.tcp://c:1] (whole entry)",
		"~ Users[op].Password (not shown) -> (not shown)",
		"~ Users[op].Root false -> true",
		"+ Users[new] (whole entry)",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if same := Diff(before, before); len(same) > 0 {
		t.Errorf("a configuration differs from itself: %v", same)
	}
}
