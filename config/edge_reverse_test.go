package config

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// reverseEdge is an edgeua.xml with these elements in ReverseConnect.
func reverseEdge(elements string) string {
	return "<EdgeUa><ReverseConnect>\n" + elements + "</ReverseConnect></EdgeUa>"
}

const oneAlternative = "<AlternativeEndpointUrls><Url>opc.tcp://nat.test:5000/x</Url></AlternativeEndpointUrls>"

func TestEdge_ClientSettings(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "proxy")
	if err := os.WriteFile(secret, []byte("joe:secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := setup{endpoint: twoClients + oneAlternative, edge: reverseEdge(`<Defaults SourceAddress="127.0.0.1" Proxy="socks5://127.0.0.1:1080" ProxyCredentialsFile="` + secret + `" UserTimeout="9000"/>
<Client Url="opc.tcp://127.0.0.1:48060" ApplicationUri="urn:client" EndpointUrl="opc.tcp://nat.test:5000/x" Enabled="0"/>
<Client Url="rcp+opc.tcp://[::1]:48061" ApplicationUri="urn:other" AllowUnverified="1" SourceAddress="::1" Proxy="" ProxyCredentialsFile="" UserTimeout="0"/>`)}.
		expect(t, `edgeua.xml:4: warning: EdgeUa/ReverseConnect/Client[2]/AllowUnverified: weakens the server: a session without security does not prove that it is "urn:other" who answers`)
	first, second := cfg.Endpoints[0].ReverseClients[0], cfg.Endpoints[0].ReverseClients[1]
	if want := (ReversePath{SourceAddress: "127.0.0.1", Proxy: "socks5://127.0.0.1:1080", ProxyCredentials: secret, UserTimeout: 9 * time.Second}); first.Tuning.Path != want {
		t.Errorf("%+v", first.Tuning.Path)
	}
	if first.ApplicationURI != "urn:client" || first.AllowUnverified || !first.Disabled || first.EndpointURL != "opc.tcp://nat.test:5000/x" || first.Address != "127.0.0.1:48060" {
		t.Errorf("%+v", first)
	}
	if second.Tuning.Path != (ReversePath{SourceAddress: "::1"}) || second.Disabled || !second.AllowUnverified || second.EndpointURL != "opc.tcp://gw-7:4840" {
		t.Errorf("%+v", second)
	}
	var b strings.Builder
	if err := cfg.Summary(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"does not connect to opc.tcp://127.0.0.1:48060", "EndpointUrl opc.tcp://gw-7:4840\n    serves nobody there but urn:other\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the summary lacks %q:\n%s", want, b.String())
		}
	}
}

func TestEdge_ClientSettingsRefused(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(open, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	const at = "edgeua.xml:2: error: EdgeUa/ReverseConnect/Client/"
	for attributes, want := range map[string]string{
		`ApplicationUri=""`: at + "ApplicationUri: is empty; write the URI in the client's certificate, or remove it",
		`ApplicationUri="` + strings.Repeat("u", 257) + `"`:            at + "ApplicationUri: is longer than 256 bytes",
		`AllowUnverified="1"`:                                          at + "AllowUnverified: has no meaning without ApplicationUri: every trusted client is served",
		`AllowUnverified="maybe"`:                                      at + `AllowUnverified: "maybe" is neither 0, 1, true nor false`,
		`Enabled="2"`:                                                  at + `Enabled: "2" is neither 0, 1, true nor false`,
		`EndpointUrl="opc.tcp://nat.test:5000"`:                        at + `EndpointUrl: "opc.tcp://nat.test:5000" is not an address of the endpoint: its <Url> is opc.tcp://gw-7:4840; put the other one into its <AlternativeEndpointUrls> in TcUaServerConfig.xml; did you mean opc.tcp://nat.test:5000/x?`,
		`EndpointUrl="opc.tcp://GW-7:4840"`:                            at + `EndpointUrl: "opc.tcp://GW-7:4840" is not an address of the endpoint: its <Url> is opc.tcp://gw-7:4840; put the other one into its <AlternativeEndpointUrls> in TcUaServerConfig.xml`,
		`EndpointUrl="opc.tcp://` + strings.Repeat("a", 4100) + `"`:    at + `EndpointUrl: "opc.tcp://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…" is not an address of the endpoint: its <Url> is opc.tcp://gw-7:4840; put the other one into its <AlternativeEndpointUrls> in TcUaServerConfig.xml`,
		`SourceAddress="localhost"`:                                    at + `SourceAddress: "localhost" is not an IP address`,
		`Interface="a name with many letters"`:                         at + `Interface: "a name with many letters" is not the name of a network interface, such as eth0`,
		`Proxy="127.0.0.1:1080"`:                                       at + `Proxy: "127.0.0.1:1080" is not socks5://host:port or http://host:port`,
		`Proxy="https://127.0.0.1:1080"`:                               at + `Proxy: "https://127.0.0.1:1080" is not socks5://host:port or http://host:port`,
		`Proxy="socks5://me:pw@127.0.0.1:1"`:                           at + `Proxy: "…@127.0.0.1:1" has a user name in it; write ProxyCredentialsFile and put user:password into that file`,
		`Proxy="socks5://127.0.0.1:0"`:                                 at + `Proxy: "socks5://127.0.0.1:0" port 0 is not a number from 1 to 65535`,
		`Proxy="socks5://127.0.0.1:65536"`:                             at + `Proxy: "socks5://127.0.0.1:65536" port 65536 is not a number from 1 to 65535`,
		`Proxy="http://127.0.0.1/path"`:                                at + `Proxy: "http://127.0.0.1/path" is not socks5://host:port or http://host:port`,
		`Proxy="http://127.0.0.1" ProxyCredentialsFile="` + dir + `"`:  at + `ProxyCredentialsFile: "` + dir + `" is not a file`,
		`Proxy="http://127.0.0.1" ProxyCredentialsFile="` + open + `"`: at + `ProxyCredentialsFile: "` + open + `" may be read by others than its owner (mode 0644); chmod 600 it`,
		`UserTimeout="-1"`:                                             at + `UserTimeout: "-1" is not a whole number of milliseconds from 0 to 7200000`,
		`ApplicatonUri="urn:x"`:                                        "edgeua.xml:2: error: EdgeUa/ReverseConnect/Client: unknown attribute ApplicatonUri; did you mean ApplicationUri?",
	} {
		if runtime.GOOS == "windows" && strings.Contains(want, "chmod") {
			continue
		}
		cfg, got := setup{endpoint: twoClients + oneAlternative, edge: reverseEdge(`<Client Url="opc.tcp://127.0.0.1:48060" ` + attributes + "/>")}.load(t)
		if cfg != nil || !slices.Equal(got, []string{want}) {
			t.Errorf("%s: got\n  %s\nwant\n  %s", attributes, strings.Join(got, "\n  "), want)
		}
	}
	_, got := setup{endpoint: twoClients, edge: reverseEdge(`<Client Url="opc.tcp://127.0.0.1:48060" Proxy="http://127.0.0.1" ProxyCredentialsFile="none"/>`)}.load(t)
	if len(got) != 1 || !strings.Contains(got[0], "ProxyCredentialsFile: cannot be read") {
		t.Error(got)
	}
	_, got = setup{endpoint: twoClients, edge: reverseEdge(`<Client Url="opc.tcp://127.0.0.1:48060" ProxyCredentialsFile="` + open + `"/>`)}.load(t)
	if len(got) == 0 || !strings.Contains(strings.Join(got, "\n"), "has no meaning without a Proxy") {
		t.Error(got)
	}
}

// A name that nobody resolves yet is no fault of the file: it is looked up at every call.
func TestEdge_UnresolvableNameIsNoFault(t *testing.T) {
	if cfg := (setup{endpoint: "<ReverseConnect><Url>opc.tcp://client.invalid:48060</Url></ReverseConnect>"}).expect(t); cfg == nil {
		t.Error("refused")
	}
}

func TestEdge_IdentityWithoutSecurity(t *testing.T) {
	_, got := setup{endpoint: twoClients, security: policySetting("None", "None"), edge: reverseEdge(`<Client Url="opc.tcp://127.0.0.1:48060" ApplicationUri="urn:client"/>`)}.load(t)
	want := "edgeua.xml:2: warning: EdgeUa/ReverseConnect/Client/ApplicationUri: keeps every session out: endpoint opc.tcp://gw-7:4840 offers no security, and without it nobody proves who he is"
	if !slices.Contains(got, want) {
		t.Errorf("%q", got)
	}
}

func TestEdge_Gds(t *testing.T) {
	cfg := setup{endpoint: oneAlternative, edge: reverseEdge(`<Defaults RejectDelay="5000"/>
<Gds Url="opc.tcp://127.0.0.1:4842" ApplicationUri="urn:one"/>
<Gds Url="opc.tcp://127.0.0.1:4842" ApplicationUri="urn:two" Endpoint="opc.tcp://gw-7:4840" EndpointUrl="opc.tcp://nat.test:5000/x" BackoffMin="50"/>`)}.expect(t)
	clients := cfg.Endpoints[0].DirectoryClients
	if len(clients) != 2 || clients[0].ApplicationURI != "urn:one" || clients[0].Directory != "opc.tcp://127.0.0.1:4842" || clients[0].Tuning.RejectDelay != 5*time.Second ||
		clients[0].EndpointURL != "opc.tcp://gw-7:4840" || clients[1].EndpointURL != "opc.tcp://nat.test:5000/x" || clients[1].Tuning.BackoffMin != 50*time.Millisecond || clients[1].Line != 4 {
		t.Errorf("%+v", clients)
	}
	if !strings.HasSuffix(cfg.StateDir, StateName) || !filepath.IsAbs(cfg.StateDir) {
		t.Errorf("state in %q", cfg.StateDir)
	}
	var b strings.Builder
	if err := cfg.Summary(&b); err != nil || !strings.Contains(b.String(), "connects to where opc.tcp://127.0.0.1:4842 says and announces") {
		t.Errorf("%v\n%s", err, b.String())
	}
	// It is a way to reach the server.
	if cfg := (setup{edge: `<EdgeUa><ReverseConnect><Gds Url="opc.tcp://127.0.0.1:4842" ApplicationUri="urn:one"/></ReverseConnect><Listeners Enabled="0"/></EdgeUa>`}).expect(t); cfg == nil {
		t.Error("refused")
	}
}

func TestEdge_GdsRefused(t *testing.T) {
	const at = "edgeua.xml:2: error: EdgeUa/ReverseConnect/Gds"
	for attributes, want := range map[string]string{
		`ApplicationUri="urn:x"`:                                                    at + ": Url is missing; it is required",
		`Url="opc.tcp://gds"`:                                                       at + ": ApplicationUri is missing; it is required",
		`Url="opc.tcp://gds:0" ApplicationUri="urn:x"`:                              at + `/Url: "opc.tcp://gds:0" port 0 is not a number from 1 to 65535`,
		`Url="https://gds" ApplicationUri="urn:x"`:                                  at + `/Url: "https://gds" scheme https is not supported; only opc.tcp is`,
		`Url="opc.tcp://gds" ApplicationUri="urn:x" Endpoint="opc.tcp://gw-8:4840"`: at + `/Endpoint: "opc.tcp://gw-8:4840" is not the <Url> of an endpoint; there are opc.tcp://gw-7:4840; did you mean opc.tcp://gw-7:4840?`,
	} {
		cfg, got := setup{edge: reverseEdge("<Gds " + attributes + "/>")}.load(t)
		if cfg != nil || !slices.Equal(got, []string{want}) {
			t.Errorf("%s: got\n  %s\nwant\n  %s", attributes, strings.Join(got, "\n  "), want)
		}
	}
	const one = `<Gds Url="opc.tcp://gds" ApplicationUri="urn:x"/>`
	setup{edge: reverseEdge(one + "\n" + one)}.expect(t, `edgeua.xml:3: error: EdgeUa/ReverseConnect/Gds[2]/ApplicationUri: "urn:x" stands twice; the other one is in line 2`)
}

// What a ReverseHello cannot carry is refused with its line. Part 6 (1.05), 7.1.2.6
func TestLoad_TooLongForAReverseHello(t *testing.T) {
	longest := "urn:" + strings.Repeat("u", 4087)
	text := plain()
	i := strings.Index(text, "<ServerUri>")
	j := strings.Index(text, "</ServerUri>")
	with := func(value string) setup { return setup{main: text[:i] + "<ServerUri>" + value + text[j:]} }
	if cfg, got := with(longest).load(t); cfg == nil {
		t.Errorf("4091 bytes are refused: %.200q", got)
	}
	if cfg, got := with(longest + "u").load(t); cfg != nil || len(got) != 1 || !strings.Contains(got[0], "error: ServerUri: is longer than the 4091 bytes that fit into a ReverseHello") {
		t.Errorf("4092 bytes of ServerUri: %.200q", got)
	}
	long := strings.Replace(text, "opc.tcp://gw-7:4840", "opc.tcp://gw-7:4840/"+strings.Repeat("u", 4072), 1)
	if cfg, got := (setup{main: long}).load(t); cfg != nil || !strings.Contains(strings.Join(got, "\n"), "is longer than the 4091 bytes that fit into a ReverseHello") {
		t.Errorf("4092 bytes of EndpointUrl: %.300q", got)
	}
}
