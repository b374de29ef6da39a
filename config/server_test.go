package config

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// TestServerFile_Tolerance has one case for each rule by which the original reads its file.
func TestServerFile_Tolerance(t *testing.T) {
	for name, tc := range map[string]struct {
		in    setup
		want  []string
		check func(c *Config) bool
	}{
		"first of a value twice counts": {
			in:    setup{server: "<MaxSessionCount>7</MaxSessionCount><MaxSessionCount>9</MaxSessionCount>"},
			want:  []string{"4: warning: MaxSessionCount[2]: stands more than once; the first one, in line 4, counts"},
			check: func(c *Config) bool { return c.Limits.MaxSessions == 7 },
		},
		"integer that does not parse": {
			in:    setup{server: "<MaxSessionCount>7 sessions</MaxSessionCount>"},
			want:  []string{`4: warning: MaxSessionCount: "7 sessions" is not a whole number from 0 to 2147483647; the default 20 counts`},
			check: func(c *Config) bool { return c.Limits.MaxSessions == 20 },
		},
		"integer that is empty": {
			in:    setup{server: "<MaxSessionCount/>"},
			want:  []string{`4: warning: MaxSessionCount: "" is not a whole number from 0 to 2147483647; the default 20 counts`},
			check: func(c *Config) bool { return c.Limits.MaxSessions == 20 },
		},
		"integer beyond 32 bits": {
			in:    setup{server: "<MaxSessionTimeout>2147483648</MaxSessionTimeout>"},
			want:  []string{`4: warning: MaxSessionTimeout: "2147483648" is not a whole number from 0 to 2147483647; the default 3600000 counts`},
			check: func(c *Config) bool { return c.Limits.MaxSessionTimeout == time.Hour },
		},
		"integer with blanks": {
			in:    setup{server: "<MaxSessionCount>\n 7 </MaxSessionCount>"},
			check: func(c *Config) bool { return c.Limits.MaxSessions == 7 },
		},
		"negative integer": {
			in:    setup{server: "<MaxSessionCount>-1</MaxSessionCount>"},
			want:  []string{`4: error: MaxSessionCount: "-1" is negative; a number from 0 to 2147483647 is needed`},
			check: func(c *Config) bool { return c == nil },
		},
		"zero is no limit": {
			in: setup{server: "<MaxSessionCount>0</MaxSessionCount><MaxPublishingInterval>0</MaxPublishingInterval><MaxBrowseResults>0</MaxBrowseResults>"},
			check: func(c *Config) bool {
				return c.Limits.MaxSessions == NoLimit && c.Limits.MaxPublishingInterval == NoLimitTime && c.Limits.MaxBrowseResults == 1000
			},
		},
		"boolean in capitals is false": {
			in:    setup{endpoint: "<AutomaticallyTrustAllClientCertificates>True</AutomaticallyTrustAllClientCertificates>"},
			want:  []string{`6: warning: UaEndpoint/AutomaticallyTrustAllClientCertificates: "True" is not exactly true or false and counts as false; write true or false`},
			check: func(c *Config) bool { return !c.Endpoints[0].Trust.All },
		},
		"boolean as a number is false": {
			in:    setup{endpoint: "<AutomaticallyTrustAllClientCertificates>1</AutomaticallyTrustAllClientCertificates>"},
			want:  []string{`6: warning: UaEndpoint/AutomaticallyTrustAllClientCertificates: "1" is not exactly true or false and counts as false; write true or false`},
			check: func(c *Config) bool { return !c.Endpoints[0].Trust.All },
		},
		"boolean with blanks counts and is reported": {
			in: setup{server: "<UserIdentityTokens><EnableUserPw> true </EnableUserPw></UserIdentityTokens>"},
			want: []string{
				`4: warning: UserIdentityTokens/EnableUserPw: " true " is not exactly true or false and counts as true; write true or false`,
			},
			check: func(c *Config) bool { return c.Tokens.UserName },
		},
		"only exact false hides": {
			in: setup{endpoint: "<IsVisible>FALSE</IsVisible><IsDiscoveryUrl>false</IsDiscoveryUrl>"},
			want: []string{
				`6: warning: UaEndpoint/IsVisible: "FALSE" is not exactly true or false and counts as true; write true or false`,
			},
			check: func(c *Config) bool { return c.Endpoints[0].Visible && !c.Endpoints[0].Discovery },
		},
		"placeholders are expanded everywhere in a text": {
			in: setup{server: "<ServerName>a[NodeName]b[NodeName]</ServerName><ProductName>[ServerName]!</ProductName>"},
			check: func(c *Config) bool {
				return c.Application.Name == "agw-7bgw-7" && c.Application.ProductName == "agw-7bgw-7!"
			},
		},
		"unknown placeholder": {
			in: setup{server: "<RejectedCertificatesDirectory>[BootDir]/rejected</RejectedCertificatesDirectory><ProductName>[nodename]</ProductName>"},
			want: []string{
				"4: warning: RejectedCertificatesDirectory: placeholder [BootDir] is unknown and stays as it is",
				"4: warning: ProductName: placeholder [nodename] is unknown and stays as it is; did you mean [NodeName]?",
			},
			check: func(c *Config) bool { return strings.HasSuffix(c.Endpoints[0].Trust.Rejected, "/[BootDir]/rejected") },
		},
		"separators of Windows": {
			in: setup{server: `<RejectedCertificatesDirectory>[ApplicationPath]\PKI\CA\rejected\</RejectedCertificatesDirectory>`},
			check: func(c *Config) bool {
				return c.Endpoints[0].Trust.Rejected == filepath.Join(filepath.Dir(c.Sources[0].Path), "PKI/CA/rejected")
			},
		},
		"path of Windows": {
			in:    setup{server: `<RejectedCertificatesDirectory>C:\TwinCAT\rejected</RejectedCertificatesDirectory>`},
			want:  []string{`4: warning: RejectedCertificatesDirectory: "C:\\TwinCAT\\rejected" is a path of Windows and means a place below DIR here; start it with [ApplicationPath]`},
			check: func(c *Config) bool { return strings.HasSuffix(c.Endpoints[0].Trust.Rejected, "/C:/TwinCAT/rejected") },
		},
		"misspelt queue size": {
			in:    setup{server: "<MaxRetransmitionQueueSize>18</MaxRetransmitionQueueSize>"},
			check: func(c *Config) bool { return c.Limits.MaxRetransmissionQueue == 18 },
		},
		"both queue sizes, equal": {
			in:    setup{server: "<MaxRetransmissionQueueSize>18</MaxRetransmissionQueueSize><MaxRetransmitionQueueSize>18</MaxRetransmitionQueueSize>"},
			check: func(c *Config) bool { return c.Limits.MaxRetransmissionQueue == 18 },
		},
		"both queue sizes, different": {
			in:    setup{server: "<MaxRetransmitionQueueSize>12</MaxRetransmitionQueueSize><MaxRetransmissionQueueSize>18</MaxRetransmissionQueueSize>"},
			want:  []string{"4: warning: MaxRetransmitionQueueSize: differs from MaxRetransmissionQueueSize in line 4, which counts"},
			check: func(c *Config) bool { return c.Limits.MaxRetransmissionQueue == 18 },
		},
		"unknown element": {
			in: setup{server: "<MaxSesionCount>7</MaxSesionCount><Brandnew><Url/></Brandnew>"},
			want: []string{
				"4: warning: MaxSesionCount: unknown element inside <UaServerConfig>; it has no effect; did you mean MaxSessionCount?",
				"4: warning: Brandnew: unknown element inside <UaServerConfig>; it has no effect",
			},
		},
		"element inside a value": {
			in:   setup{server: "<MaxSessionCount>7<b/></MaxSessionCount>"},
			want: []string{"4: warning: MaxSessionCount/b: unknown element inside <MaxSessionCount>; it has no effect"},
		},
		"misplaced ReverseConnect": {
			in:    setup{server: "<ReverseConnect><Url>opc.tcp://127.0.0.1:48060</Url></ReverseConnect>"},
			want:  []string{"4: warning: ReverseConnect: is misplaced and has no effect; it belongs directly inside <UaServerConfig/UaEndpoint>"},
			check: func(c *Config) bool { return len(c.reverseClients()) == 0 },
		},
		"attribute": {
			in:   setup{server: `<MaxSessionCount enabled="1">7</MaxSessionCount>`},
			want: []string{`4: warning: MaxSessionCount: attribute "enabled" has no effect; settings of this file are elements`},
		},
		"stray text and a namespace": {
			in:    setup{main: strings.NewReplacer("<OpcServerConfig>", `<OpcServerConfig xmlns="urn:x" xmlns:xsi="urn:y" xsi:schemaLocation="a b">`, "%SECURITY%", "-"+encrypted+"-").Replace(plain())},
			check: func(c *Config) bool { return c != nil },
		},
		"no effect in this version": {
			in: setup{server: "<MaxRequestAge>60000</MaxRequestAge><IsAuditActivated>true</IsAuditActivated><RedundancySettings><RedundancySupport>Transparent</RedundancySupport></RedundancySettings>"},
			want: []string{
				`4: warning: IsAuditActivated: "true" has no effect: this version has no events`,
				`4: warning: RedundancySettings/RedundancySupport: "Transparent" has no effect: the servers of such a set pass sessions on to each other, which this one cannot; None counts`,
			},
		},
		"values as shipped are silent": {
			in: setup{server: "<MaxRequestAge>0</MaxRequestAge><IsAuditActivated>false</IsAuditActivated><MaxEventQueueSize>10000</MaxEventQueueSize><Trace><TraceEvents>Disabled</TraceEvents></Trace>"},
		},
		"word that is not one": {
			in:    setup{server: "<Trace><UaAppTraceLevel>errors</UaAppTraceLevel></Trace>"},
			want:  []string{`4: warning: Trace/UaAppTraceLevel: "errors" is not one of NoTrace, Errors, Warning, Info, InterfaceCall, CtorDtor, ProgramFlow, Data; did you mean Errors?; Info counts`},
			check: func(c *Config) bool { return c.LogLevel == slog.LevelInfo },
		},
		"old names of the product": {
			in:    setup{server: "<ApplicationUri>urn:p</ApplicationUri><ApplicationName>P</ApplicationName>"},
			check: func(c *Config) bool { return c.Application.ProductURI == "urn:p" && c.Application.ProductName == "P" },
		},
		"lower bound above the upper": {
			in:    setup{server: "<MinSessionTimeout>5000</MinSessionTimeout><MaxSessionTimeout>1000</MaxSessionTimeout>"},
			want:  []string{"4: warning: MaxSessionTimeout: 1000 ms is less than MinSessionTimeout, 5000 ms, which counts for both"},
			check: func(c *Config) bool { return c.Limits.MaxSessionTimeout == 5*time.Second },
		},
		"sampling intervals": {
			in:   setup{server: "<MinSupportedSampleRate>12.5</MinSupportedSampleRate><AvailableSamplingRates><SamplingRate>300</SamplingRate><SamplingRate>30</SamplingRate><SamplingRate>x</SamplingRate></AvailableSamplingRates>"},
			want: []string{`4: warning: AvailableSamplingRates/SamplingRate[3]: "x" is not a whole number from 0 to 2147483647 and is ignored`},
			check: func(c *Config) bool {
				return c.Limits.MinSamplingInterval == 12500*time.Microsecond && len(c.Limits.SamplingIntervals) == 2 && c.Limits.SamplingIntervals[0] == 30*time.Millisecond
			},
		},
		"message size": {
			in:    setup{server: "<Serializer><MaxMessageSize>4194304</MaxMessageSize><MaxStringLength>100</MaxStringLength></Serializer>"},
			check: func(c *Config) bool { return c.Limits.MaxChunkCount == 256 && c.Limits.MaxStringLength == 100 },
		},
		"message size too small": {
			in:    setup{server: "<Serializer><MaxMessageSize>100</MaxMessageSize></Serializer>"},
			want:  []string{"4: warning: Serializer/MaxMessageSize: 100 bytes is too small for any client; 8192 counts"},
			check: func(c *Config) bool { return c.Limits.MaxMessageSize == 8192 },
		},
		"trace levels": {
			in:    setup{server: "<Trace><UaAppTraceEnabled>false</UaAppTraceEnabled><UaStackTraceEnabled>true</UaStackTraceEnabled><UaStackTraceLevel>WARNING</UaStackTraceLevel></Trace>"},
			check: func(c *Config) bool { return c.LogLevel == slog.LevelWarn },
		},
		"ServerUri without a scheme": {
			in:   setup{server: "", main: strings.Replace(plain(), "urn:gw-7:plant", "gw-7", 1)},
			want: []string{`3: warning: ServerUri: "gw-7" has no scheme; clients expect a URI such as urn:[NodeName]:plant:gateway`},
		},
		"ServerUri that no certificate can carry": {
			in:    setup{main: strings.Replace(plain(), "urn:gw-7:plant", "urn:gw 7:plänt", 1)},
			want:  []string{`3: error: ServerUri: "urn:gw 7:plänt" is not a URI of ASCII characters such as urn:[NodeName]:plant:gateway; a certificate cannot carry it`},
			check: func(c *Config) bool { return c == nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, got := tc.in.load(t)
			for i := range got {
				got[i] = hideDir(got[i])
			}
			if strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tc.want, "\n  "))
			}
			if tc.check != nil && !tc.check(cfg) {
				t.Errorf("wrong result: %+v", cfg)
			}
		})
	}
}

// plain is the minimal file as it is.
func plain() string {
	return strings.NewReplacer("%SERVER%", "", "%ENDPOINT%", "", "%SETTINGS%", "", "%SECURITY%", encrypted).Replace(minimal)
}

// hideDir replaces a temporary directory in a message.
func hideDir(text string) string {
	if before, rest, ok := strings.Cut(text, "a place below /"); ok {
		_, after, _ := strings.Cut(rest, " here")
		return before + "a place below DIR here" + after
	}
	return text
}

// TestServerFile_Refused has the files that nothing can be started with.
func TestServerFile_Refused(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"truncated":      {plain()[:len(plain())/2], "11: error: the file ends inside <ServerPrivateKey>, which starts in line 11; it is incomplete"},
		"wrong root":     {"<TcUaSecurityConfig/>", "1: error: TcUaSecurityConfig: the root element of this file must be <OpcServerConfig>; this is another file"},
		"no server":      {"<OpcServerConfig><General/></OpcServerConfig>", "1: error: OpcServerConfig: there is no <UaServerConfig> inside; nothing is configured"},
		"no endpoint":    {"<OpcServerConfig><UaServerConfig/></OpcServerConfig>", "1: error: OpcServerConfig/UaServerConfig: there is no <UaEndpoint>; at least one is needed"},
		"two roots":      {plain() + "<a/>", "20: error: a second root element <a> follows <OpcServerConfig>; a document has one"},
		"entity bomb":    {`<!DOCTYPE a [<!ENTITY b "cc"><!ENTITY c "&b;&b;">]>` + plain(), "1: error: document types and entity declarations are refused; remove <!DOCTYPE"},
		"UTF-16":         {"\xFF\xFE<\x00", "1: error: the file is UTF-16; save it as UTF-8"},
		"other encoding": {"<?xml version='1.0' encoding='EBCDIC'?><a/>", `1: error: opening charset "EBCDIC": encoding "EBCDIC" is not supported`},
	} {
		cfg, got := setup{main: tc.in}.load(t)
		if cfg != nil || len(got) == 0 || !strings.HasPrefix(got[0], tc.want) {
			t.Errorf("%s: got %v, want %q", name, got, tc.want)
		}
	}
}

func TestServerFile_ByteOrderMark(t *testing.T) {
	if cfg := (setup{main: "\xEF\xBB\xBF" + plain()}).expect(t); cfg == nil {
		t.Error("refused")
	}
}

// TestServerFile_TooLarge must not read what it refuses.
func TestServerFile_TooLarge(t *testing.T) {
	file := filepath.Join(t.TempDir(), "huge.xml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 100<<20); err != nil {
		t.Fatal(err)
	}
	cfg, report := Load(options(file))
	if cfg != nil || !strings.Contains(report.Problems[0].Message, "has 104857600 bytes, more than the 4194304") {
		t.Error(report.Problems)
	}
}

func TestServerFile_MissingAndDirectory(t *testing.T) {
	dir := t.TempDir()
	strange := filepath.Join(dir, "sub", MainName)
	if err := os.MkdirAll(strange, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tc := range [][2]string{{strange, "is a directory"}, {filepath.Join(dir, "none.xml"), "is not there; name another place with --config, or have edgeua init"}} {
		cfg, report := Load(options(tc[0]))
		if cfg != nil || !strings.Contains(report.Problems[0].String(), tc[0]+": error: "+tc[1]) {
			t.Error(report.Problems)
		}
	}
}

// TestServerFile_TruncatedAnywhere cuts the file behind every byte: nothing may panic or be accepted.
func TestServerFile_TruncatedAnywhere(t *testing.T) {
	text := strings.TrimSpace(plain())
	for n := range len(text) {
		if cfg, _ := load(options("TcUaServerConfig.xml"), memory(map[string]string{"TcUaServerConfig.xml": text[:n]})); cfg != nil {
			t.Fatalf("the first %d bytes were accepted", n)
		}
	}
}

// memory reads files that are not on a disk.
func memory(files map[string]string) func(string) (*xmltree.Element, error) {
	return func(file string) (*xmltree.Element, error) {
		text, ok := files[filepath.Base(file)]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return xmltree.Parse(file, []byte(text), xmltree.Limits{})
	}
}

func TestSiblings_AreNamed(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"TcUaServerConfig.xml": plain(), EdgeName: "<EdgeUa/>", UsersName: oneUser, "TcUaDaConfig.xml": "<x/>"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, report := Load(options(filepath.Join(dir, "TcUaServerConfig.xml")))
	want := "TcUaDaConfig.xml: warning: is not used: devices are configured in edgeua.xml"
	if got := short(report, dir); cfg == nil || len(got) != 1 || got[0] != want {
		t.Errorf("got %v", got)
	}
}

// TestElements_Table checks the table itself: no path twice, every parent a block, words and notes where they are needed.
func TestElements_Table(t *testing.T) {
	rows := map[string]Element{}
	for _, e := range Elements() {
		if _, twice := rows[e.Path]; twice {
			t.Errorf("%s stands twice", e.Path)
		}
		rows[e.Path] = e
	}
	for path, e := range rows {
		if parent, ok := rows[e.parent()]; e.parent() != "" && (!ok || parent.Kind != Block) {
			t.Errorf("%s has no block around it", path)
		}
		if e.Meaning == "" || (e.Kind == Word) != (len(e.Words) > 0) {
			t.Errorf("%s lacks its meaning or its words", path)
		}
		if e.Handling == Map && e.Kind != Block && e.Note == "" {
			t.Errorf("%s does not say what it is mapped to", path)
		}
		if _, ok := parseInteger(e.Absent); e.Kind == Integer && e.Absent != "" && !ok {
			t.Errorf("%s: default %q is no number", path, e.Absent)
		}
	}
	if len(rows) < 150 {
		t.Errorf("only %d rows", len(rows))
	}
}
