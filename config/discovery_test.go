package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDiscovery_IsReadCompletely(t *testing.T) {
	cfg, problems := setup{server: `<RedundancySettings><RedundancySupport>Warm</RedundancySupport><ServerUri>urn:[NodeName]:plant</ServerUri><ServerUri>urn:b</ServerUri></RedundancySettings>
<AdditionalServerEntries><ApplicationDescription><ApplicationUri>urn:b</ApplicationUri><ApplicationName>B</ApplicationName><DiscoveryUrl>opc.tcp://b:4840</DiscoveryUrl></ApplicationDescription></AdditionalServerEntries>
<DiscoveryRegistration><RegistrationInterval>20</RegistrationInterval><DiscoveryServerTrustListLocation>lds</DiscoveryServerTrustListLocation><Url>opc.tcp://[NodeName]:4840</Url><Url>lds</Url></DiscoveryRegistration>`}.load(t)
	if cfg == nil {
		t.Fatal(problems)
	}
	r := cfg.Registration
	if !slices.Equal(r.URLs, []string{"opc.tcp://gw-7:4840"}) || r.Interval != time.Second || !strings.HasSuffix(r.TrustList, "/lds") {
		t.Errorf("%+v", r)
	}
	if d := cfg.Redundancy; d.Support != "Warm" || !slices.Equal(d.ServerURIs, []string{"urn:gw-7:plant", "urn:b"}) {
		t.Errorf("%+v", d)
	}
	if o := cfg.OtherServers; len(o) != 1 || o[0].ApplicationURI != "urn:b" || o[0].Type != "Server" || len(o[0].DiscoveryURLs) != 1 {
		t.Errorf("%+v", o)
	}
	for _, want := range []string{`"lds" does not start with opc.tcp://; this discovery server is left out`, "20 ms is not from 1000 to 600000; 1000 counts"} {
		if !strings.Contains(strings.Join(problems, "\n"), want) {
			t.Errorf("%v lack %s", problems, want)
		}
	}
}

func TestUserTrust(t *testing.T) {
	cfg, problems := setup{server: `<UserIdentityTokens><EnableCertificate>true</EnableCertificate><DefaultUserCertificateStore>
<CertificateTrustListLocation>[ApplicationPath]\pkiuser\trusted\certs\</CertificateTrustListLocation></DefaultUserCertificateStore>
<RejectedUserCertificatesDirectory>[ApplicationPath]/pkiuser/rejected/</RejectedUserCertificatesDirectory></UserIdentityTokens>`}.load(t)
	if cfg == nil || !cfg.Tokens.Certificate || !strings.HasSuffix(cfg.UserTrust.Certificates, "/pkiuser/trusted/certs") ||
		!strings.HasSuffix(cfg.UserTrust.Rejected, "/pkiuser/rejected") || cfg.UserTrust.MaxRejected != 100 {
		t.Errorf("%+v %v", cfg, problems)
	}
}
