package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/edgeua/edgeua/internal/pki"
)

// TestMigration walks through docs/migrating-from-twincat.md with the files of a plant: what check names is mended as it says,
// until a user logs in over the reverse connection and reads a device.
func TestMigration(t *testing.T) {
	defer goleak.VerifyNone(t)
	// 1. Copy the files. The client's address is one where this test can listen.
	dir, addr := t.TempDir(), freeAddress(t)
	for _, name := range []string{"TcUaServerConfig.xml", "TcUaSecurityConfig.xml"} {
		data, err := os.ReadFile(filepath.Join("../../config/testdata/plant", name))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("opc.tcp://127.0.0.61:48060", "opc.tcp://"+addr, "<Url>opc.tcp://archive.localhost:48063</Url>", "").Replace(string(data))
		write(t, filepath.Join(dir, name), []byte(text))
	}
	client := makeIdentity(t, "urn:test:client")
	write(t, dir+"/PKI/CA/trusted/certs/client.der", []byte(client.der))

	// 2. Let it be checked.
	edgeua(t, "check", "--config", dir).want(t, exitOK, "User[foreman]: cannot log in", "nobody can open a session",
		"no rights are granted in the namespace of the devices", "edgeua.xml: warning: is not there", "0 errors")

	// 3. A new gateway: the first start creates the certificate; it is exported for the clients.
	// 4. Users: a hash in place of the account of the operating system.
	hash, err := hashPassword([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	edit(t, dir+"/TcUaSecurityConfig.xml", `Auth="OS"`, `Auth="Server" Password="`+hash+`"`)
	// 5. Devices, and rights over them.
	edit(t, dir+"/TcUaSecurityConfig.xml", `<Group Name="Shift" MemberOf="Watchers" Access="0x0">`,
		`<Group Name="Shift" MemberOf="Watchers" Access="0x0"><DefaultAccess Namespace="urn:[NodeName]:Tannwald:Mill:1:devices" Access="0x10F"/>`)
	write(t, dir+"/edgeua.xml", []byte(`<EdgeUa><Listeners Enabled="0"/>
<Channel><Name>L</Name><Type>ModbusTcp</Type><Host>127.0.0.1</Host><TcpPort>1</TcpPort></Channel>
<Device><Name>Mill</Name><Channel>L</Channel><Unit>1</Unit><Addressing>protocol0</Addressing>
<Group Name="G" Period="100"><Tag Name="Speed" Address="h0" Type="Int16"/></Group></Device></EdgeUa>`))
	edgeua(t, "check", "--config", dir).want(t, exitOK, "users who can log in: foreman", "device Mill: 1 tags",
		"User[Anonymous]: has no effect: EnableAnonymous is not true", "0 errors, 1 warnings")
	edgeua(t, "users", "can", "foreman", "ns=2;s=Mill.Speed", "--config", dir).want(t, exitOK, "write values and call", "foreman > Shift")

	// 7. Start.
	ctx, stop := context.WithCancel(t.Context())
	log := &watched{}
	served := make(chan int, 1)
	go func() { served <- run(ctx, []string{"serve", "--config", dir}, io.Discard, log) }()
	defer func() {
		stop()
		if code := <-served; code != exitOK {
			t.Errorf("serve ended with %d\n%s", code, log)
		}
	}()
	log.wait(t, "server running")
	edgeua(t, "certs", "export", "--out", dir+"/trust/gateway.der", "--config", dir).want(t, exitFailure, "no such file") // the directory is the client's
	if err := os.Mkdir(dir+"/trust", 0o755); err != nil {
		t.Fatal(err)
	}
	edgeua(t, "certs", "export", "--out", dir+"/trust/gateway.der", "--config", dir).want(t, exitOK, "wrote ")
	write(t, dir+"/client.der", []byte(client.der))
	write(t, dir+"/client.pem", []byte(client.pem))
	t.Setenv("EDGEUA_PASSWORD", "secret")
	edgeua(t, "listen", "--addr", "opc.tcp://"+addr, "--trust", dir+"/trust", "--cert", dir+"/client.der", "--key", dir+"/client.pem",
		"--user", "foreman", "--duration", "20s", "--read", "ns=2;s=Mill.Speed").want(t, exitOK, "session open", "ns=2;s=Mill.Speed")
	if all, err := pki.List(dir + "/PKI/CA/rejected"); err != nil || len(all) > 0 {
		t.Errorf("%v, %v", all, err)
	}
}
