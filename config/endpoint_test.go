package config

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
)

func policySetting(policy string, modes ...string) string {
	text := "<SecuritySetting><SecurityPolicy>" + policyPrefix + policy + "</SecurityPolicy>"
	for _, m := range modes {
		text += "<MessageSecurityMode>" + m + "</MessageSecurityMode>"
	}
	return text + "</SecuritySetting>"
}

// TestEndpoint_Broken has every reason to leave an endpoint out; it is the only one, so the start is refused too.
func TestEndpoint_Broken(t *testing.T) {
	const left = "2: error: OpcServerConfig/UaServerConfig: no usable <UaEndpoint> is left; the errors inside each of them say why"
	noStore := plain()[:strings.Index(plain(), "<CertificateStore>")] + plain()[strings.Index(plain(), "</CertificateStore>")+len("</CertificateStore>"):]
	for name, tc := range map[string]struct {
		in   setup
		want []string
	}{
		"serializer":       {setup{endpoint: "<SerializerType>Xml</SerializerType>"}, []string{`6: error: UaEndpoint/SerializerType: "Xml" is not supported; only Binary is`}},
		"no url":           {setup{endpoint: "<Url/>"}, []string{"6: error: UaEndpoint/Url[1]: the <Url> of the endpoint is missing; write opc.tcp://[NodeName]:4840", "7: warning: UaEndpoint/Url[2]: stands more than once; the first one, in line 6, counts"}},
		"https":            {setup{endpoint: "<StackUrl>https://gw-7:4840</StackUrl>"}, []string{`6: error: UaEndpoint/StackUrl: "https://gw-7:4840" scheme https is not supported; only opc.tcp is`}},
		"port":             {setup{endpoint: "<StackUrl>opc.tcp://127.0.0.1:70000</StackUrl>"}, []string{`6: error: UaEndpoint/StackUrl: "opc.tcp://127.0.0.1:70000" port 70000 is not a number from 1 to 65535`}},
		"unknown word":     {setup{endpoint: "<StackUrl>opc.tcp://[BootDir]:4840</StackUrl>"}, []string{"6: warning: UaEndpoint/StackUrl: placeholder [BootDir] is unknown and stays as it is", `6: error: UaEndpoint/StackUrl: "opc.tcp://[BootDir]:4840" holds the unknown placeholder [BootDir]`}},
		"no security":      {setup{security: " "}, []string{"5: error: UaEndpoint: there is no <SecuritySetting>; add one with the SecurityPolicy " + basic256Sha256}},
		"mode":             {setup{security: policySetting("Basic256Sha256", "sign")}, []string{`16: error: UaEndpoint/SecuritySetting/MessageSecurityMode: "sign" is not one of None, Sign, SignAndEncrypt; did you mean Sign?`}},
		"no mode":          {setup{security: policySetting("Basic256Sha256")}, []string{"16: error: UaEndpoint/SecuritySetting: there is no <MessageSecurityMode>; write SignAndEncrypt"}},
		"key length":       {setup{settings: "<CertificateSettings><KeyLength>1024</KeyLength></CertificateSettings>"}, []string{"14: error: UaEndpoint/CertificateStore/CertificateSettings/KeyLength: 1024 is not one of 2048, 3072, 4096"}},
		"no store":         {setup{main: noStore}, []string{"5: error: UaEndpoint: there is no <CertificateStore>, and no <DefaultApplicationCertificateStore> to use instead"}},
		"same file":        {setup{main: strings.Replace(plain(), "own/private/gw.pem", "own/certs/gw.der", 1)}, []string{"11: error: UaEndpoint/CertificateStore/OpenSSLStore/ServerPrivateKey: is the same file as ServerCertificate; the key needs its own"}},
		"no trust list":    {setup{main: strings.Replace(plain(), "[ApplicationPath]/PKI/CA/trusted/certs/", "", 1)}, []string{"8: error: UaEndpoint/CertificateStore/OpenSSLStore: there is no <CertificateTrustListLocation>; name a directory for trusted client certificates"}},
		"rejected trusted": {setup{server: "<RejectedCertificatesDirectory>PKI/CA/trusted/certs</RejectedCertificatesDirectory>"}, []string{"4: error: RejectedCertificatesDirectory: is also the directory of trusted certificates: every refused client would be trusted from then on"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, got := tc.in.load(t)
			want := append([]string{left}, tc.want...)
			if cfg != nil || !slices.Equal(got, want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
			}
		})
	}
}

// TestEndpoint_BrokenOneIsDropped keeps what is left running.
func TestEndpoint_BrokenOneIsDropped(t *testing.T) {
	second := `<UaEndpoint><Url>https://gw-7:4841</Url></UaEndpoint>`
	cfg, got := setup{server: second}.load(t)
	if cfg == nil || len(cfg.Endpoints) != 1 || cfg.Endpoints[0].URL != "opc.tcp://gw-7:4840" {
		t.Fatalf("the good endpoint must remain: %v", got)
	}
	if len(got) != 2 || !strings.HasPrefix(got[0], "4: error: UaEndpoint[1]") {
		t.Error(got)
	}
}

func TestEndpoint_SecuritySettings(t *testing.T) {
	sha, pss := policySetting("Basic256Sha256", "Sign"), policySetting("Aes256_Sha256_RsaPss", "SignAndEncrypt", "Sign", "Sign")
	const path = "UaEndpoint/SecuritySetting[2]"
	for name, tc := range map[string]struct {
		security, want string
		settings       int
	}{
		"merged":          {sha + policySetting("Basic256Sha256", "SignAndEncrypt", "Sign"), "", 1},
		"two":             {sha + pss, "", 2},
		"unknown":         {sha + policySetting("Basic256Sha265", "Sign"), `16: error: ` + path + `/SecurityPolicy: "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha265" is not a known security policy; this setting is left out; did you mean http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256?`, 1},
		"without prefix":  {sha + strings.Replace(policySetting("Basic256Sha256", "Sign"), policyPrefix, "", 1), `16: error: ` + path + `/SecurityPolicy: "Basic256Sha256" is not a known security policy; this setting is left out; write the whole URI ` + basic256Sha256, 1},
		"missing":         {sha + "<SecuritySetting><MessageSecurityMode>Sign</MessageSecurityMode></SecuritySetting>", "16: error: " + path + ": the <SecurityPolicy> is missing; this setting is left out", 1},
		"deprecated":      {sha + policySetting("Basic128Rsa15", "Sign"), "16: warning: " + path + "/SecurityPolicy: Basic128Rsa15 is deprecated and left out because AllowDeprecatedSecurityPolicies is not true", 1},
		"none with sign":  {sha + policySetting("None", "Sign"), "16: error: " + path + ": SecurityPolicy None does not go with MessageSecurityMode Sign; this setting is left out", 1},
		"policy and none": {sha + policySetting("Aes128_Sha256_RsaOaep", "None"), "16: error: " + path + ": SecurityPolicy Aes128_Sha256_RsaOaep does not go with MessageSecurityMode None; this setting is left out", 1},
		"none":            {sha + policySetting("None", "None"), "16: warning: " + path + ": allows sessions without any security; remove this setting when every client can do Basic256Sha256", 2},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			if tc.want != "" {
				want = []string{tc.want}
			}
			cfg := setup{security: tc.security}.expect(t, want...)
			if cfg == nil || len(cfg.Endpoints[0].Security) != tc.settings {
				t.Errorf("settings: %+v", cfg)
			}
		})
	}
	cfg := setup{security: sha + policySetting("Basic256Sha256", "SignAndEncrypt", "Sign")}.expect(t)
	if m := cfg.Endpoints[0].Security[0].Modes; !slices.Equal(m, []ua.MessageSecurityMode{ua.MessageSecurityModeSign, ua.MessageSecurityModeSignAndEncrypt}) {
		t.Errorf("modes %v", m)
	}
}

func TestEndpoint_DeprecatedPolicyWithSwitch(t *testing.T) {
	cfg := setup{
		server:   "<AllowDeprecatedSecurityPolicies>true</AllowDeprecatedSecurityPolicies>",
		security: encrypted + policySetting("Basic256", "Sign"),
	}.expect(t,
		"16: warning: UaEndpoint/SecuritySetting[2]/SecurityPolicy: Basic256 is deprecated and can be broken; it is offered because AllowDeprecatedSecurityPolicies is true")
	if !cfg.AllowDeprecated || len(cfg.Endpoints[0].Security) != 2 || cfg.Endpoints[0].Security[1].PolicyURI != ua.SecurityPolicyURIBasic256 {
		t.Errorf("got %+v", cfg.Endpoints[0].Security)
	}
}

func TestEndpoint_Addresses(t *testing.T) {
	for _, tc := range []struct{ url, stack, wantURL, wantListen string }{
		{"opc.tcp://[NodeName]:4841", "", "opc.tcp://gw-7:4841", ":4841"},
		{"opc.tcp://[NodeName]:4841/path", "opc.tcp://127.0.0.1:5000", "opc.tcp://gw-7:4841/path", "127.0.0.1:5000"},
		{"opc.tcp://[::1]:4841", "opc.tcp://[::1]:4841", "opc.tcp://[::1]:4841", "[::1]:4841"},
		{"4841", "", "opc.tcp://localhost:4841", ":4841"},
		{"opc.tcp://gw-7", "", "opc.tcp://gw-7", ":4840"},
		{"\n opc.tcp://GW-7:04841 \n", "", "opc.tcp://GW-7:04841", ":4841"},
	} {
		text := strings.Replace(plain(), "<Url>opc.tcp://gw-7:4840</Url>", "<Url>"+tc.url+"</Url><StackUrl>"+tc.stack+"</StackUrl>", 1)
		cfg, got := setup{main: text}.load(t)
		if cfg == nil || cfg.Endpoints[0].URL != tc.wantURL || cfg.Endpoints[0].ListenAddress != tc.wantListen {
			t.Errorf("%s: %+v, %v", tc.url, cfg, got)
		}
	}
}

func TestEndpoint_SamePort(t *testing.T) {
	text := strings.Replace(plain(), "</UaEndpoint>", "</UaEndpoint>"+plain()[strings.Index(plain(), "<UaEndpoint>"):strings.Index(plain(), "</UaServerConfig>")], 1)
	cfg, got := setup{main: text}.load(t)
	want := "19: error: UaEndpoint[2]/Url: port 4840 is taken by the endpoint in line 5; put all SecuritySettings into one endpoint or use another port"
	if cfg == nil || len(cfg.Endpoints) != 1 || len(got) != 1 || got[0] != want {
		t.Errorf("got %v", got)
	}
}

// TestEndpoint_SameURL: everything that is said of an endpoint is said by its Url.
func TestEndpoint_SameURL(t *testing.T) {
	block := plain()[strings.Index(plain(), "<UaEndpoint>"):strings.Index(plain(), "</UaServerConfig>")]
	one := strings.Replace(plain(), block, strings.Replace(block, "</UaEndpoint>", "<StackUrl>opc.tcp://192.0.2.1:4840</StackUrl></UaEndpoint>", 1), 1)
	two := strings.Replace(block, "</UaEndpoint>", "<StackUrl>opc.tcp://192.0.2.2:4840</StackUrl></UaEndpoint>", 1)
	cfg, got := setup{main: strings.Replace(one, "</UaServerConfig>", two+"</UaServerConfig>", 1)}.load(t)
	if cfg == nil || len(cfg.Endpoints) != 1 || len(got) != 1 || !strings.Contains(got[0], "is also the <Url> of the endpoint in line 5") {
		t.Errorf("got %v", got)
	}
}

// TestEndpoint_Permissive has every setting that weakens the server: it is honoured and said.
func TestEndpoint_Permissive(t *testing.T) {
	cfg := setup{endpoint: `<AutomaticallyTrustAllClientCertificates>true</AutomaticallyTrustAllClientCertificates>
<SecurityCheckOverwrites>
<DisableErrorCertificateTimeInvalid>true</DisableErrorCertificateTimeInvalid>
<DisableErrorCertificateKeyTooShort>true</DisableErrorCertificateKeyTooShort>
<DisableErrorCertificateKeyTooLong>true</DisableErrorCertificateKeyTooLong>
<DisableApplicationUriCheck>true</DisableApplicationUriCheck>
<DisableNonceLengthCheck>true</DisableNonceLengthCheck>
<DisableCertificateUsageCheck>true</DisableCertificateUsageCheck>
</SecurityCheckOverwrites>`}.expect(t,
		"6: warning: UaEndpoint/AutomaticallyTrustAllClientCertificates: weakens the server: the certificate of any client is accepted, and none is kept among the rejected ones; write false and trust clients one by one",
		"8: warning: UaEndpoint/SecurityCheckOverwrites/DisableErrorCertificateTimeInvalid: weakens the server: expired client certificates are accepted",
		`9: warning: UaEndpoint/SecurityCheckOverwrites/DisableErrorCertificateKeyTooShort: "true" has no effect: short keys stay refused`,
		"11: warning: UaEndpoint/SecurityCheckOverwrites/DisableApplicationUriCheck: weakens the server: a client may use the certificate of another application",
		"12: warning: UaEndpoint/SecurityCheckOverwrites/DisableNonceLengthCheck: weakens the server: short client nonces are accepted",
		"13: warning: UaEndpoint/SecurityCheckOverwrites/DisableCertificateUsageCheck: weakens the server: certificates made for another purpose are accepted")
	want := Overwrites{IgnoreTime: true, IgnoreKeyTooLong: true, IgnoreApplicationURI: true, IgnoreNonceLength: true, IgnoreUsage: true}
	if ep := cfg.Endpoints[0]; !ep.Trust.All || ep.Overwrites != want {
		t.Errorf("%+v", ep)
	}
}

func TestEndpoint_CertificateSettings(t *testing.T) {
	cfg := setup{settings: `<CertificateSettings><CommonName>[ServerName] x</CommonName><State>
  </State><Country>Austria</Country><YearsValidFor>21</YearsValidFor><KeyLength>3072</KeyLength><CertificateType>RsaMin</CertificateType>
<DNSName>[NodeName]</DNSName><DNSName>second.localhost</DNSName><IPAddress>::1</IPAddress><IPAddress>second</IPAddress></CertificateSettings>`}.expect(t,
		`15: warning: UaEndpoint/CertificateStore/CertificateSettings/YearsValidFor: 21 years are too long; the certificate is made for 20`,
		`15: warning: UaEndpoint/CertificateStore/CertificateSettings/Country: "Austria" is not a country code of two letters, such as DE`,
		`15: warning: UaEndpoint/CertificateStore/CertificateSettings/CertificateType: RsaMin means a SHA-1 signature, which no current policy accepts; the certificate is signed with SHA-256 as with RsaSha256`,
		`16: warning: UaEndpoint/CertificateStore/CertificateSettings/IPAddress[2]: "second" is not an IP address and is left out of the certificate; names belong into <DNSName>`)
	c := cfg.Endpoints[0].Certificate.Settings
	if c.CommonName != "edgeua@gw-7 x" || c.State != "" || c.Validity != 7300*24*time.Hour || c.KeyBits != 3072 || c.DomainComponent != "gw-7" {
		t.Errorf("%+v", c)
	}
	if !slices.Equal(c.DNSNames, []string{"gw-7", "second.localhost"}) || !slices.Equal(c.IPAddresses, []string{"::1"}) {
		t.Errorf("names %v %v", c.DNSNames, c.IPAddresses)
	}
}

// TestEndpoint_HostNotInCertificate is what makes clients refuse a server (BadCertificateHostNameInvalid).
func TestEndpoint_HostNotInCertificate(t *testing.T) {
	setup{settings: "<CertificateSettings><DNSName>other</DNSName></CertificateSettings>"}.expect(t,
		`14: warning: UaEndpoint/CertificateStore/CertificateSettings: the created certificate does not name "gw-7", the host of the <Url>; clients will refuse it: add <DNSName>gw-7</DNSName>`)
	text := strings.Replace(plain(), "opc.tcp://gw-7:4840", "opc.tcp://127.0.0.1:4840", 1)
	setup{main: text}.expect(t,
		`5: warning: UaEndpoint: the created certificate does not name "127.0.0.1", the host of the <Url>; clients will refuse it: add <IPAddress>127.0.0.1</IPAddress>`)
}

func TestEndpoint_DefaultStore(t *testing.T) {
	store := `<DefaultApplicationCertificateStore><SendCertificateChain>true</SendCertificateChain>
<OpenSSLStore><CertificateTrustListLocation>trusted</CertificateTrustListLocation></OpenSSLStore>
<ServerCertificate><OpenSSLStore><ServerCertificate>a.der</ServerCertificate><ServerPrivateKey>a.pem</ServerPrivateKey></OpenSSLStore></ServerCertificate>
<ServerCertificate/></DefaultApplicationCertificateStore>`
	text := plain()[:strings.Index(plain(), "<CertificateStore>")] + plain()[strings.Index(plain(), "</CertificateStore>")+len("</CertificateStore>"):]
	text = strings.Replace(text, "<UaEndpoint>", store+"<UaEndpoint>", 1)
	cfg := setup{main: text}.expect(t, "8: warning: DefaultApplicationCertificateStore/ServerCertificate[2]: only the first <ServerCertificate> is used, the one in line 7")
	ep := cfg.Endpoints[0]
	if !ep.Certificate.SendChain || !strings.HasSuffix(ep.Certificate.File, "/a.der") || !strings.HasSuffix(ep.Trust.Certificates, "/trusted") || ep.Certificate.Generate {
		t.Errorf("%+v", ep)
	}
}

func TestReverseConnect_Urls(t *testing.T) {
	reverse := func(urls ...string) setup {
		return setup{endpoint: "<ReverseConnect><Url>" + strings.Join(urls, "</Url><Url>") + "</Url></ReverseConnect>"}
	}
	const at = "UaEndpoint/ReverseConnect/Url"
	for name, tc := range map[string]struct {
		in   setup
		want []string
		urls []string
	}{
		"two":           {reverse("opc.tcp://127.0.0.1:48060", "opc.tcp://[::1]:48061"), nil, []string{"127.0.0.1:48060", "[::1]:48061"}},
		"rcp":           {reverse("rcp+opc.tcp://127.0.0.1:48060"), nil, []string{"127.0.0.1:48060"}},
		"placeholder":   {reverse("opc.tcp://[NodeName].localhost:48060"), nil, []string{"gw-7.localhost:48060"}},
		"empty block":   {setup{endpoint: "<ReverseConnect/>"}, nil, nil},
		"empty url":     {reverse(" "), []string{"6: error: " + at + ": is empty; write the address at which the client listens, such as opc.tcp://client:48060, or remove it"}, nil},
		"no port":       {reverse("opc.tcp://127.0.0.1"), []string{`6: warning: ` + at + `: "opc.tcp://127.0.0.1" has no port; 4840 is used, but clients usually listen on 48060 or 48061`, `6: warning: ` + at + `: "opc.tcp://127.0.0.1" seems to be this server's own listener; write the address at which the client listens`}, []string{"127.0.0.1:4840"}},
		"twice":         {reverse("opc.tcp://localhost:48060", "opc.tcp://LOCALHOST:48060/x"), []string{`6: warning: ` + at + `[2]: "opc.tcp://LOCALHOST:48060/x" stands more than once; one connection is made`}, []string{"localhost:48060"}},
		"itself":        {reverse("opc.tcp://gw-7:4840"), []string{`6: error: ` + at + `: "opc.tcp://gw-7:4840" is the <Url> of this endpoint, so the server would call itself; write the address at which the client listens; this client is left out`}, nil},
		"scheme":        {reverse("http://127.0.0.1:48060"), []string{`6: error: ` + at + `: "http://127.0.0.1:48060" scheme http is not supported; only opc.tcp is; this client is left out`}, nil},
		"no scheme":     {reverse("127.0.0.1:48060"), []string{`6: error: ` + at + `: "127.0.0.1:48060" is not a URL such as opc.tcp://host:4840; this client is left out`}, nil},
		"no host":       {reverse("opc.tcp://:48060"), []string{`6: error: ` + at + `: "opc.tcp://:48060" has no valid host name; write opc.tcp://host:4840; this client is left out`}, nil},
		"user":          {reverse("opc.tcp://a:b@127.0.0.1:48060"), []string{`6: error: ` + at + `: "…@127.0.0.1:48060" has a user name in it; users do not belong into a URL; this client is left out`}, nil},
		"port 0":        {reverse("opc.tcp://127.0.0.1:0"), []string{`6: error: ` + at + `: "opc.tcp://127.0.0.1:0" port 0 is not a number from 1 to 65535; this client is left out`}, nil},
		"port 65536":    {reverse("opc.tcp://127.0.0.1:65536"), []string{`6: error: ` + at + `: "opc.tcp://127.0.0.1:65536" port 65536 is not a number from 1 to 65535; this client is left out`}, nil},
		"unknown word":  {reverse("opc.tcp://[hostname]:48060"), []string{"6: warning: " + at + ": placeholder [hostname] is unknown and stays as it is", `6: error: ` + at + `: "opc.tcp://[hostname]:48060" holds the unknown placeholder [hostname]; this client is left out`}, nil},
		"two blocks":    {setup{endpoint: "<ReverseConnect/><ReverseConnect><Url>opc.tcp://127.0.0.1:48060</Url></ReverseConnect>"}, []string{"6: warning: UaEndpoint/ReverseConnect[2]: stands more than once; the first one, in line 6, counts"}, nil},
		"of .NET":       {setup{endpoint: "<ReverseConnect><Clients><ReverseConnectClient><EndpointUrl>opc.tcp://127.0.0.1:48060</EndpointUrl></ReverseConnectClient></Clients></ReverseConnect>"}, []string{"6: error: UaEndpoint/ReverseConnect/Clients: <Clients> is how the OPC Foundation's .NET server is configured; here write <Url>opc.tcp://client:48060</Url> directly inside <ReverseConnect>"}, nil},
		"other setting": {setup{endpoint: "<ReverseConnect><ConnectInterval>5</ConnectInterval></ReverseConnect>"}, []string{"6: warning: UaEndpoint/ReverseConnect/ConnectInterval: unknown element inside <ReverseConnect>; it has no effect, only <Url> has (timing stands in edgeua.xml)"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := tc.in.expect(t, tc.want...)
			if cfg == nil {
				t.Fatal("a bad client must not stop the server")
			}
			var urls []string
			for _, c := range cfg.reverseClients() {
				urls = append(urls, c.Address)
				if _, _, err := net.SplitHostPort(c.Address); err != nil || c.Tuning != DefaultTuning() {
					t.Errorf("%+v", c)
				}
			}
			if !slices.Equal(urls, tc.urls) {
				t.Errorf("got %v, want %v", urls, tc.urls)
			}
		})
	}
}

func TestReverseConnect_WithoutSecurity(t *testing.T) {
	setup{
		endpoint: "<ReverseConnect><Url>opc.tcp://127.0.0.1:48060</Url></ReverseConnect>",
		security: policySetting("None", "None"),
	}.expect(t,
		"6: warning: UaEndpoint/ReverseConnect: every session of these clients runs without security; nothing proves that it is really the client who answers",
		"16: warning: UaEndpoint/SecuritySetting: allows sessions without any security; remove this setting when every client can do Basic256Sha256")
}

func TestAlternativeEndpointUrls(t *testing.T) {
	cfg := setup{endpoint: "<AlternativeEndpointUrls><Url>opc.tcp://gate.localhost:14840/a</Url><Url>gate</Url></AlternativeEndpointUrls>"}.expect(t,
		`6: error: UaEndpoint/AlternativeEndpointUrls/Url[2]: "gate" does not start with opc.tcp://; it is left out`)
	if !slices.Equal(cfg.Endpoints[0].AlternativeURLs, []string{"opc.tcp://gate.localhost:14840/a"}) {
		t.Error(cfg.Endpoints[0].AlternativeURLs)
	}
}
