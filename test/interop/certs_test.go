//go:build interop

package interop

import (
	"context"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
)

// best is what the certificates come with.
var best = security{"Aes256_Sha256_RsaPss", ua.MessageSecurityModeSignAndEncrypt}

// comes has an application come to the gateway, and wants this answer: an Error message, or Good for a session.
func (g *guarded) comes(ctx context.Context, h *holder, want ua.StatusCode) {
	g.t.Helper()
	got, err := g.gopcua(ctx, caller{best, h, clientURI, "", "", nil})
	if got != want || (err == nil) != (want == ua.StatusOK) {
		g.t.Errorf("got %v, %v, want %s", err, got, codeName(want))
	}
}

func (g *guarded) certs(args ...string) string {
	g.t.Helper()
	return run(g.t, time.Minute, edgeua, append(append([]string{"certs"}, args...), "--config", g.dir)...)
}

// thumbprint finds a certificate with this status in the list.
func (g *guarded) thumbprint(status, name string) string {
	g.t.Helper()
	list := g.certs("list")
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); strings.HasPrefix(line, status+" ") && strings.Contains(line, `"`+name+`"`) {
			return fields[len(fields)-2]
		}
	}
	g.t.Fatalf("no %s %s in\n%s", status, name, list)
	return ""
}

// TestCerts_AnAdministratorDecides trusts and rejects while the gateway runs; each decision counts at the next attempt.
func TestCerts_AnAdministratorDecides(t *testing.T) {
	g := newGuarded(t, unchanged)
	g.serve()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	stranger := g.issue("stranger", nil, func(*x509.Certificate) {})
	g.comes(ctx, stranger, ua.StatusBadSecurityChecksFailed)
	g.waitText("secure channel refused", 5*time.Second)
	thumbprint := g.thumbprint("rejected", "stranger")
	g.certs("trust", thumbprint)
	g.comes(ctx, stranger, ua.StatusOK)
	g.certs("reject", thumbprint[:8])
	g.comes(ctx, stranger, ua.StatusBadSecurityChecksFailed)
	g.certs("trust", stranger.at.certificate) // a file, which need not be among the rejected ones
	g.comes(ctx, stranger, ua.StatusOK)
}

// TestCerts_Authorities: chains of up to 5 whose middle the client sends or the issuers hold, and revocation lists that change.
func TestCerts_Authorities(t *testing.T) {
	g := newGuarded(t, func(config string) string { // gopcua wants the signature to cover all that it sent
		return strings.Replace(config, "<UaEndpoint>", "<UaEndpoint><CreateSignatureWithChain>true</CreateSignatureWithChain>", 1)
	})
	g.serve()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	nothing := func(*x509.Certificate) {}
	root := g.authority("root", nothing)
	chain := []*holder{root}
	for i := range 4 {
		chain = append(chain, g.issue(fmt.Sprintf("middle%d", i), chain[i], func(c *x509.Certificate) {
			c.URIs, c.ExtKeyUsage, c.IsCA, c.KeyUsage = nil, nil, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		}))
	}
	for i, a := range chain {
		g.write(fmt.Sprintf("PKI/CA/issuers/crl/%d.crl", i), string(g.revoke(a)))
	}
	fifth, sixth := g.issue("fifth", chain[3], nothing), g.issue("sixth", chain[4], nothing)
	withChain := func(h *holder, above ...*holder) *holder {
		all := *h
		for _, a := range above {
			all.der = slices.Concat(all.der, a.der)
		}
		return &all
	}
	g.write("PKI/CA/trusted/certs/root.der", string(root.der))
	g.comes(ctx, fifth, ua.StatusBadSecurityChecksFailed) // nobody knows its issuer
	g.comes(ctx, withChain(fifth, chain[3], chain[2], chain[1]), ua.StatusOK)
	g.comes(ctx, withChain(sixth, chain[4], chain[3], chain[2], chain[1]), ua.StatusBadSecurityChecksFailed)
	for i, a := range chain[1:4] {
		g.write(filepath.Join("PKI/CA/issuers/certs", fmt.Sprintf("%d.der", i)), string(a.der))
	}
	g.comes(ctx, fifth, ua.StatusOK)
	g.write("PKI/CA/issuers/crl/3.crl", string(g.revoke(chain[3], fifth)))
	g.comes(ctx, fifth, ua.StatusBadSecurityChecksFailed)
	if list := g.certs("list"); !strings.Contains(list, "1 revoked") || !strings.Contains(list, `issuer       "middle2"`) {
		t.Errorf("certs list:\n%s", list)
	}
}
