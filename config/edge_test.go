package config

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const twoClients = "<ReverseConnect><Url>opc.tcp://127.0.0.1:48060</Url><Url>rcp+opc.tcp://[::1]:48061</Url></ReverseConnect>"

func TestEdge_ReverseConnect(t *testing.T) {
	cfg := setup{endpoint: twoClients, edge: `<EdgeUa><ReverseConnect MaxSockets="3">
<Defaults ConnectTimeout="100" HelloTimeout="120000" BackoffMin="20" BackoffMax="400" RejectDelay="500" KeepAlive="2000" SocketsPerClient="2"/>
<Client Url="rcp+opc.tcp://[::1]:48061" RejectDelay="5000" SocketsPerClient="1"/>
</ReverseConnect></EdgeUa>`}.expect(t)
	want := ReverseTuning{100 * time.Millisecond, 2 * time.Minute, 20 * time.Millisecond, 400 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 2, ReversePath{}}
	clients := cfg.reverseClients()
	if cfg.MaxSockets != 3 || clients[0].Tuning != want {
		t.Errorf("%d sockets, %+v", cfg.MaxSockets, clients[0])
	}
	want.RejectDelay, want.SocketsPerClient = 5*time.Second, 1
	if clients[1].Tuning != want || clients[1].URL != "opc.tcp://[::1]:48061" {
		t.Errorf("%+v", clients[1])
	}
}

func TestEdge_NoFile(t *testing.T) {
	cfg := setup{edge: "-"}.expect(t, "edgeua.xml: warning: is not there: the server has no devices")
	if cfg == nil {
		t.Fatal("refused")
	}
	opts := options(cfg.Sources[0].Path)
	opts.EdgeRequired = true
	if cfg, report := Load(opts); cfg != nil || !report.HasErrors() {
		t.Error("a file that was asked for must be there")
	}
	opts.Edge = filepath.Join(t.TempDir(), "other.xml")
	if cfg, report := Load(opts); cfg != nil || !strings.HasPrefix(report.Problems[len(report.Problems)-1].String(), opts.Edge+": error: cannot be read") {
		t.Error(report.Problems)
	}
}

// TestEdge_Refused has every error of the file itself; each one refuses the start, and all are found.
func TestEdge_Refused(t *testing.T) {
	const channel = `<Channel><Name>C</Name><Type>Test</Type></Channel>`
	const device = `<Device><Name>D</Name><Channel>C</Channel><Tag Name="T"/></Device>`
	for name, tc := range map[string]struct {
		in   string
		want []string
	}{
		"wrong root":       {`<Edge/>`, []string{"edgeua.xml:1: error: Edge: the root element of this file must be <EdgeUa>; this is another file"}},
		"malformed":        {`<EdgeUa>`, []string{"edgeua.xml:1: error: the file ends inside <EdgeUa>, which starts in line 1; it is incomplete"}},
		"unknown":          {`<EdgeUa><Chanel/></EdgeUa>`, []string{"edgeua.xml:1: error: EdgeUa/Chanel: unknown element Chanel; did you mean Channel?"}},
		"text":             {`<EdgeUa>x</EdgeUa>`, []string{`edgeua.xml:1: error: EdgeUa: text "x" does not belong here`}},
		"twice":            {"<EdgeUa><Listeners/>\n<Listeners/></EdgeUa>", []string{"edgeua.xml:2: error: EdgeUa/Listeners[2]: Listeners stands twice; the other one is in line 1"}},
		"sockets":          {`<EdgeUa><ReverseConnect MaxSockets="-1"/></EdgeUa>`, []string{`edgeua.xml:1: error: EdgeUa/ReverseConnect/MaxSockets: "-1" is not a whole number from 0 to 10000`}},
		"tuning":           {"<EdgeUa><ReverseConnect>\n<Defaults BackofMin='5' KeepAlive='0' RejectDelay='1s'/></ReverseConnect></EdgeUa>", []string{`edgeua.xml:2: error: EdgeUa/ReverseConnect/Defaults/RejectDelay: "1s" is not a whole number of milliseconds from 10 to 86400000`, `edgeua.xml:2: error: EdgeUa/ReverseConnect/Defaults/KeepAlive: "0" is not a whole number of milliseconds from 1000 to 7200000`, "edgeua.xml:2: error: EdgeUa/ReverseConnect/Defaults: unknown attribute BackofMin; did you mean BackoffMin?"}},
		"crossed":          {`<EdgeUa><ReverseConnect><Defaults BackoffMin="500" BackoffMax="400"/></ReverseConnect></EdgeUa>`, []string{"edgeua.xml:1: error: EdgeUa/ReverseConnect/Defaults/BackoffMax: 400 ms is less than BackoffMin, 500 ms"}},
		"unknown client":   {`<EdgeUa><ReverseConnect><Client Url="opc.tcp://127.0.0.1:48062"/></ReverseConnect></EdgeUa>`, []string{`edgeua.xml:1: error: EdgeUa/ReverseConnect/Client/Url: "opc.tcp://127.0.0.1:48062" is not a client; TcUaServerConfig.xml has opc.tcp://127.0.0.1:48060, rcp+opc.tcp://[::1]:48061; did you mean opc.tcp://127.0.0.1:48060?`}},
		"client twice":     {"<EdgeUa><ReverseConnect><Client Url='opc.tcp://127.0.0.1:48060'/>\n<Client Url='opc.tcp://127.0.0.1:48060'/></ReverseConnect></EdgeUa>", []string{`edgeua.xml:2: error: EdgeUa/ReverseConnect/Client[2]/Url: "opc.tcp://127.0.0.1:48060" stands twice; the other one is in line 1`}},
		"spares":           {`<EdgeUa><ReverseConnect><Client Url="opc.tcp://127.0.0.1:48060" SocketsPerClient="0"/></ReverseConnect></EdgeUa>`, []string{`edgeua.xml:1: error: EdgeUa/ReverseConnect/Client/SocketsPerClient: "0" is not a whole number from 1 to 100`}},
		"no url":           {"<EdgeUa><ReverseConnect><Client/></ReverseConnect></EdgeUa>", []string{"edgeua.xml:1: error: EdgeUa/ReverseConnect/Client: Url is missing; it is required"}},
		"listeners":        {`<EdgeUa><Listeners Enabled="no"/></EdgeUa>`, []string{`edgeua.xml:1: error: EdgeUa/Listeners/Enabled: "no" is neither 0, 1, true nor false`}},
		"metrics":          {`<EdgeUa><Metrics Listen="localhost:9464"/></EdgeUa>`, []string{`edgeua.xml:1: error: EdgeUa/Metrics/Listen: "localhost:9464" is not an IP address and port, such as 127.0.0.1:9464`}},
		"metrics port":     {`<EdgeUa><Metrics Listen="127.0.0.1:0"/></EdgeUa>`, []string{`edgeua.xml:1: error: EdgeUa/Metrics/Listen: "127.0.0.1:0" is not an IP address and port, such as 127.0.0.1:9464`}},
		"metrics word":     {`<EdgeUa><Metrics Port="9464"/></EdgeUa>`, []string{`edgeua.xml:1: error: EdgeUa/Metrics: unknown attribute Port`}},
		"type":             {"<EdgeUa><Channel><Name>C</Name><Type>test</Type></Channel>" + device + "</EdgeUa>", []string{`edgeua.xml:1: error: EdgeUa/Channel[C]/Type: "test" is not one of Test, Other; did you mean Test?`}},
		"no type":          {"<EdgeUa><Channel><Name>C</Name></Channel>" + device + "</EdgeUa>", []string{`edgeua.xml:1: error: EdgeUa/Channel[C]: Type is missing; it is one of Test, Other`}},
		"channel names":    {"<EdgeUa>" + channel + "\n<Channel><Name>c</Name><Type>Test</Type></Channel>" + device + "</EdgeUa>", []string{`edgeua.xml:2: error: EdgeUa/Channel[c]: Name "c" is used by the <Channel> in line 1; names must differ in more than case`, "edgeua.xml:2: warning: EdgeUa/Channel[c]: no <Device> is on this channel"}},
		"device names":     {"<EdgeUa>" + channel + device + "\n" + device + "</EdgeUa>", []string{`edgeua.xml:2: error: EdgeUa/Device[D]: Name "D" is used by the <Device> in line 1; names must differ in more than case`}},
		"unknown channel":  {"<EdgeUa>" + channel + device + "\n<Device><Name>E</Name><Channel>Cx</Channel></Device></EdgeUa>", []string{`edgeua.xml:2: error: EdgeUa/Device[E]/Channel: "Cx" does not exist; there are C`}},
		"no channel":       {"<EdgeUa><Device><Name>E</Name></Device></EdgeUa>", []string{`edgeua.xml:1: error: EdgeUa/Device[E]: Channel is missing; it names the <Channel> the device is on`}},
		"no channel there": {"<EdgeUa><Device><Name>E</Name><Channel>C</Channel></Device></EdgeUa>", []string{`edgeua.xml:1: error: EdgeUa/Device[E]/Channel: "C" does not exist; there is no <Channel> in this file`}},
		"unprintable name": {"<EdgeUa>" + channel + "<Device Name='a&#10;b' Channel='C'><Tag Name='T'/></Device></EdgeUa>", []string{`edgeua.xml:1: error: EdgeUa/Device[a?b]: Name "a\nb" holds characters that cannot be printed`}},
		"inside a driver":  {"<EdgeUa><Channel><Name>C</Name><Type>Test</Type>\n<Prot/></Channel>" + device + "</EdgeUa>", []string{"edgeua.xml:2: error: EdgeUa/Channel[C]/Prot: unknown element Prot"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, got := setup{endpoint: twoClients, edge: tc.in}.load(t)
			if cfg != nil || !slices.Equal(got, tc.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tc.want, "\n  "))
			}
		})
	}
}

func TestEdge_Metrics(t *testing.T) {
	for edge, want := range map[string]string{
		`<EdgeUa/>`:                   "",
		`<EdgeUa><Metrics/></EdgeUa>`: "127.0.0.1:9464",
		`<EdgeUa><Metrics Listen="[::1]:9000"/></EdgeUa>`: "[::1]:9000",
	} {
		cfg := setup{edge: edge}.expect(t)
		var b strings.Builder
		if err := cfg.Summary(&b); err != nil {
			t.Fatal(err)
		}
		if cfg.MetricsAddress != want || strings.Contains(b.String(), "metrics on http://"+want+"/metrics") != (want != "") {
			t.Errorf("%s: %q\n%s", edge, cfg.MetricsAddress, b.String())
		}
	}
	cfg := setup{edge: `<EdgeUa><Metrics Listen="0.0.0.0:9464"/></EdgeUa>`}.expect(t,
		"edgeua.xml:1: warning: EdgeUa/Metrics/Listen: everyone who reaches 0.0.0.0:9464 can read the metrics: there is no password and no encryption")
	if cfg.MetricsAddress != "0.0.0.0:9464" {
		t.Errorf("%q", cfg.MetricsAddress)
	}
}

func TestEdge_Channels(t *testing.T) {
	cfg := setup{edge: `<EdgeUa>
<Device><Name>D1</Name><Channel>C1</Channel><Tag Name="T1"/><Tag Name="T2"/></Device>
<Channel><Name>C1</Name><Type>Test</Type></Channel>
<Channel Name="C2" Type="Other"/>
<Device Name="D2" Channel="C1"/>
</EdgeUa>`}.expect(t,
		"edgeua.xml:4: warning: EdgeUa/Channel[C2]: no <Device> is on this channel",
		"edgeua.xml:5: warning: EdgeUa/Device[D2]: has no tags; nothing is read from it")
	var b strings.Builder
	if err := cfg.Summary(&b); err != nil {
		t.Fatal(err)
	}
	want := "2 channels, 2 devices, 2 tags\n  channel C1: C1 (test)\n    device D1: 2 tags\n    device D2: 0 tags\n  channel C2: C2 (test)\n"
	if !strings.HasSuffix(b.String(), want) {
		t.Errorf("got\n%s", b.String())
	}
}

func TestEdge_ReverseOnly(t *testing.T) {
	cfg := setup{endpoint: twoClients, edge: `<EdgeUa><Listeners Enabled="0"/></EdgeUa>`}.expect(t)
	if cfg.Endpoints[0].ListenAddress != "" {
		t.Error("no port may be opened")
	}
	cfg = setup{edge: `<EdgeUa><Listeners Enabled="0"/></EdgeUa>`}.expect(t,
		"edgeua.xml:1: error: EdgeUa/Listeners/Enabled: 0 leaves no way to reach the server, since no endpoint of TcUaServerConfig.xml has a <ReverseConnect> with a client; write 1")
	if cfg != nil {
		t.Error("a server that nobody can reach must be refused")
	}
}

// TestEdge_ClientThatWasDropped must not turn a fault the main file tolerates into one that refuses the start.
func TestEdge_ClientThatWasDropped(t *testing.T) {
	cfg, got := setup{
		endpoint: "<ReverseConnect><Url>opc.tcp://127.0.0.1:0</Url></ReverseConnect>",
		edge:     `<EdgeUa><ReverseConnect><Client Url="opc.tcp://127.0.0.1:0" RejectDelay="50"/></ReverseConnect></EdgeUa>`,
	}.load(t)
	if cfg == nil || len(got) != 1 {
		t.Errorf("got %v", got)
	}
}
