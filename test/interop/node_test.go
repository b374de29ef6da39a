//go:build interop

package interop

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"
)

// visitReport is what client.js prints.
type visitReport struct {
	Endpoints []struct{ URL, Policy, Mode string }
	Read      struct {
		Value  float64
		Status string
	}
	ServerArray []string
	Browsed     []string
	Nodes       int
	Changes     []struct {
		Value  float64
		Status string
	}
}

// node-opcua's client on the listener: discovery, sessions, the whole tree, and a subscription.
func TestNodeOPCUA_Direct(t *testing.T) {
	if _, err := os.Stat("node_modules/node-opcua-client"); err != nil {
		t.Fatalf("%v: run npm ci in test/interop", err)
	}
	port := freePort(t)
	startTCPSlave(t, port)
	g := newGateway(t, setup{channel: tcpChannel(port), listen: true})
	g.serve()
	for _, c := range []struct{ policy, mode, user string }{
		{"None", "None", ""},
		{"Basic256Sha256", "SignAndEncrypt", ""},
		{"Basic256Sha256", "SignAndEncrypt", "operator"},
		{"Aes128_Sha256_RsaOaep", "SignAndEncrypt", ""},
		{"Aes256_Sha256_RsaPss", "Sign", "operator"},
	} {
		t.Run(c.policy+"_"+c.mode+"_"+c.user, func(t *testing.T) {
			job, err := json.Marshal(map[string]any{
				"url": g.url(), "policy": c.policy, "mode": c.mode, "applicationUri": clientURI,
				"certificate": g.clientPEM(), "key": g.files.key, "pki": t.TempDir(),
				"user": c.user, "password": "secret", "node": counter, "changes": 5,
			})
			if err != nil {
				t.Fatal(err)
			}
			out := run(t, 60*time.Second, "node", "client.js", string(job))
			var report visitReport
			if err := json.Unmarshal([]byte(lastLine(out)), &report); err != nil {
				t.Fatalf("%v in %q", err, out)
			}
			report.check(t, g)
		})
	}
}

func (r *visitReport) check(t *testing.T, g *gateway) {
	t.Helper()
	if len(r.Endpoints) != 5 || r.Endpoints[0].URL != g.url() {
		t.Errorf("endpoints %+v", r.Endpoints)
	}
	if r.Read.Status != "Good" || r.Read.Value < 500 {
		t.Errorf("read %+v", r.Read)
	}
	if !slices.Equal(r.ServerArray, []string{serverURI}) {
		t.Errorf("ServerArray %v", r.ServerArray)
	}
	if !slices.Contains(r.Browsed, "Boiler") || !slices.Contains(r.Browsed, "Server") {
		t.Errorf("below Objects: %v", r.Browsed)
	}
	if r.Nodes < 500 {
		t.Errorf("the whole tree has %d nodes", r.Nodes)
	}
	if len(r.Changes) < 5 {
		t.Fatalf("changes %+v", r.Changes)
	}
	for i, change := range r.Changes {
		if change.Status != "Good" || i > 0 && change.Value == r.Changes[i-1].Value {
			t.Errorf("change %d: %+v", i, r.Changes)
		}
	}
}
