package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// callingGateways starts so many gateways without ports that call addr, named
// urn:test:gateway1 and so on, and stops them with the test.
func callingGateways(t *testing.T, addr string, n int, security string) {
	t.Helper()
	for i := 1; i <= n; i++ {
		more := "<ReverseConnect><Url>opc.tcp://" + addr + "</Url></ReverseConnect>" + security
		text := strings.Replace(mainFile(fmt.Sprintf("opc.tcp://gateway%d:4840", i), more), "urn:test:gateway", fmt.Sprintf("urn:test:gateway%d", i), 1)
		main := files(t, map[string]string{
			"TcUaServerConfig.xml": text,
			"edgeua.xml":           `<EdgeUa><Listeners Enabled="0"/><ReverseConnect><Defaults BackoffMin="100" BackoffMax="200"/></ReverseConnect></EdgeUa>`,
		})
		ctx, stop := context.WithCancel(context.Background())
		log := &watched{}
		ended := make(chan struct{})
		go func() { defer close(ended); run(ctx, []string{"serve", "--config", main}, io.Discard, log) }()
		t.Cleanup(func() { stop(); <-ended })
		log.wait(t, "server running")
	}
}

func TestListen_AsksSeveralGatewaysAtOnce(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	addr := freeAddress(t)
	callingGateways(t, addr, 3, "")
	edgeua(t, "listen", "--addr", "opc.tcp://"+addr, "--security", "None,None", "--servers", "3", "--duration", "20s",
		"--read", "i=2254").want(t, exitOK, "urn:test:gateway1", "urn:test:gateway2", "urn:test:gateway3")
}

func TestListen_SaysWhoIsMissing(t *testing.T) {
	addr := freeAddress(t)
	callingGateways(t, addr, 1, "")
	edgeua(t, "listen", "--addr", "opc.tcp://"+addr, "--security", "None,None", "--servers", "2", "--duration", "3s").
		want(t, exitFailure, "only 1 of 2 servers")
}

func TestListen_WatchShowsWhoCalls(t *testing.T) {
	addr := freeAddress(t)
	callingGateways(t, addr, 2, "")
	edgeua(t, "listen", "--addr", "opc.tcp://"+addr, "--watch", "--allow", "urn:test:gateway1", "--duration", "3s").
		want(t, exitOK, "SERVER URI", "urn:test:gateway1", "opc.tcp://gateway1:4840", "waiting", "urn:test:gateway2", "rejected")
}

func TestListen_SavesTheCertificateOfAStranger(t *testing.T) {
	addr := freeAddress(t)
	callingGateways(t, addr, 1, "<SecuritySetting><SecurityPolicy>http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256</SecurityPolicy>"+
		"<MessageSecurityMode>SignAndEncrypt</MessageSecurityMode></SecuritySetting>")
	dir := t.TempDir()
	own := []string{"--cert", filepath.Join(dir, "own.der"), "--key", filepath.Join(dir, "own.pem")}
	unknown, trusted := filepath.Join(dir, "unknown"), filepath.Join(dir, "trusted")
	if err := os.Mkdir(trusted, 0o755); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--addr", "opc.tcp://" + addr, "--trust", trusted, "--save-cert", unknown}, own...)
	listenUntil(t, "is not trusted: BadCertificateUntrusted: \"test\"", args...)

	saved, err := os.ReadDir(unknown)
	if err != nil || len(saved) != 1 {
		t.Fatalf("saved %v, %v", saved, err)
	}
	if err := os.Rename(filepath.Join(unknown, saved[0].Name()), filepath.Join(trusted, saved[0].Name())); err != nil {
		t.Fatal(err)
	}
	listenUntil(t, "the server refuses this client's certificate", args...)
}
