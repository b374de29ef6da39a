package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uatcp"
)

// TestCheck_Examples checks whole files of the three kinds that administrators bring: like the shipped one but hardened,
// with every element there is, and old with every trap. Wanted is what each of them is about; unwanted would be a
// mistake of ours.
func TestCheck_Examples(t *testing.T) {
	for name, c := range map[string]struct {
		code           int
		want, unwanted []string
	}{
		"plant": {exitOK, []string{
			"TcUaSecurityConfig/Users/User[Anonymous]: has no effect: EnableAnonymous is not true", // the two switches
			`TcUaSecurityConfig/Users/User[foreman]: cannot log in: accounts of the operating system (Auth="OS") are not used`,
			"  security Basic256Sha256: SignAndEncrypt\n",
			"  connects to opc.tcp://127.0.0.61:48060 and announces ServerUri urn:", "  connects to opc.tcp://archive.localhost:48063 and announces",
			"(created if missing)", "log file ",
		}, []string{"State", "unknown", "placeholder", "MaxRetransmi"}}, // a blank State, the tokens and the misspelt element are no findings
		"full": {exitConfig, []string{ // for its first certificate is not to be created
			"YearsValidFor: 30 years are too long; the certificate is made for 20",
			"  security Basic256: SignAndEncrypt\n", "Basic256 is deprecated and can be broken; it is offered because AllowDeprecatedSecurityPolicies is true",
			"  security Aes256_Sha256_RsaPss: Sign, SignAndEncrypt\n",
			"  connects to opc.tcp://127.0.0.95:48062 and announces", "  connects to opc.tcp://[::1]:48063 and announces",
			"/pkiserver/own/certs/debarker.der, key ", // the second endpoint has no store of its own
			"the own certificate and its key do not exist and GenerateCertificate is not true",
		}, []string{"unknown element", "MaxRetransmi", "spare", "misplaced"}},
		"legacy": {exitConfig, []string{
			`MaxSessionCount: "plenty" is not a whole number from 0 to 2147483647; the default 20 counts`,
			"MaxSubscriptionCount[2]: stands more than once; the first one, in line 5, counts",
			"OpcServerConfig/UaServerConfig/ShinyOption: unknown element",
			"OpcServerConfig/UaServerConfig/ReverseConnect: is misplaced and has no effect; it belongs directly inside <UaServerConfig/UaEndpoint>",
			`"4860" is read as opc.tcp://localhost:4860`,
			`IsVisible: "False" is not exactly true or false and counts as true`,
			`AutomaticallyTrustAllClientCertificates: " True " is not exactly true or false and counts as false`,
			"placeholder [Nodename] is unknown and stays as it is; did you mean [NodeName]?",
			"there is no certificate store of Windows here; use <OpenSSLStore>",
			"Basic128Rsa15 is deprecated and left out because AllowDeprecatedSecurityPolicies is not true",
			`SerializerType: "binary" is not supported; only Binary is`, "scheme https is not supported; only opc.tcp is",
			`"signandencrypt" is not one of None, Sign, SignAndEncrypt; did you mean SignAndEncrypt?`,
			"no usable <UaEndpoint> is left; the errors inside each of them say why",
		}, []string{"namespace", "General", `"-"`, "Redundancy"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(filepath.Join("../../config/testdata", name))); err != nil {
				t.Fatal(err)
			}
			r := edgeua(t, "check", "--config", dir)
			r.want(t, c.code, c.want...)
			for _, text := range c.unwanted {
				if strings.Contains(strings.ReplaceAll(r.stdout, dir, ""), text) {
					t.Errorf("%q is in\n%s", text, r.stdout)
				}
			}
		})
	}
}

// TestServe_MistakesOfAdministrators are those of the usual mistakes that only show when the gateway runs, by the same
// numbers as in TestCheck_MistakesOfAdministrators. Timeout and refusal (17) are told apart in reverseconnect.
func TestServe_MistakesOfAdministrators(t *testing.T) {
	call := newPhone(t)
	main := stageFile()
	main.Set(endpointPath+"ReverseConnect/Url", call.url())
	main.Set(endpointPath+"AutomaticallyTrustAllClientCertificates", "true")
	dir := t.TempDir()
	ownFiles(t, dir)
	s, err := openStage(t, dir, main.String(), deaf)
	if err != nil {
		t.Fatal(err)
	}
	r := call.answer()
	refusal := uatcp.Error{Code: ua.StatusBadTCPEndpointURLInvalid, Reason: "nobody of that name"}
	if _, err := r.Write(refusal.Append(nil)); err != nil {
		t.Fatal(err)
	}
	s.log.wait(t, "nobody of that name")
	for mistake, want := range map[string]string{
		"3 another EndpointUrl expected": `server_uri=` + stageURI + ` endpoint_url=` + stageURL,
		"4 the client's answer":          `BadTCPEndpointURLInvalid`,
		"10 nothing in rejected":         `none is kept among the rejected ones`,
		"18 everybody trusted":           `the certificate of any client is accepted`,
	} {
		if !strings.Contains(s.log.String()+s.said, want) {
			t.Errorf("%s: the log lacks %q:\n%s", mistake, want, s.log)
		}
	}
}
