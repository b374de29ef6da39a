package main

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/config"
)

// Every part of a configuration has a row that says what a reload does about it.
func TestEffects_EveryFieldHasARow(t *testing.T) {
	cfg := reflect.TypeFor[config.Config]()
	for i := range cfg.NumField() {
		f := cfg.Field(i)
		kind := f.Name
		if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() != reflect.String {
			kind += "[]"
		}
		if row, ok := effectOf(kind); f.Name != "Sources" && (!ok || row.changed == "") {
			t.Errorf("no row says what a reload does about %s", kind)
		}
	}
	if _, ok := effectOf("Applications"); ok {
		t.Error("a row fits a name that only begins with its own")
	}
	for _, row := range effects() {
		if first, _ := effectOf(row.kind); first.kind != row.kind {
			t.Errorf("row %s is never reached: %s comes before", row.kind, first.kind)
		}
		if (row.step == wait) != (row.keep != nil) {
			t.Errorf("row %s: what waits, and only that, keeps what was before", row.kind)
		}
	}
}

// planOf is what a reload does about files that differ.
func planOf(t *testing.T, before, after map[string]string) *plan {
	t.Helper()
	load := func(named map[string]string) *config.Config {
		cfg, report := (&configFlags{main: files(t, named)}).load()
		if cfg == nil || report.HasErrors() {
			t.Fatal(report.Problems)
		}
		return cfg
	}
	a, b := load(before), load(after)
	b.StateDir = a.StateDir // the directories differ
	for i := range b.Endpoints {
		for _, e := range a.Endpoints {
			if e.URL == b.Endpoints[i].URL {
				b.Endpoints[i].Trust, b.Endpoints[i].Certificate = e.Trust, e.Certificate
			}
		}
	}
	return newPlan(a, b)
}

func TestPlan(t *testing.T) {
	const url = "opc.tcp://gateway.invalid:4840"
	before := map[string]string{"TcUaServerConfig.xml": mainFile(url, ""), "edgeua.xml": deviceFile("A", "h0", "B", "h0")}
	change := func(file, old, now string) map[string]string {
		after := map[string]string{}
		for name, text := range before {
			after[name] = text
		}
		after[file] = strings.Replace(after[file], old, now, 1)
		return after
	}
	for name, tt := range map[string]struct {
		after               map[string]string
		reopen, stop, start []string
		effect              string
		waiting             int
	}{
		"nothing":        {after: before},
		"name":           {after: change("TcUaServerConfig.xml", "<ServerName>test", "<ServerName>other"), effect: "~ Application.Name \"test\" -> \"other\": clients that ask"},
		"uri":            {after: change("TcUaServerConfig.xml", "urn:test:gateway", "urn:test:other"), effect: "at the next start: namespaces", waiting: 1},
		"chain":          {after: change("TcUaServerConfig.xml", "</UaEndpoint>", "<CreateSignatureWithChain>true</CreateSignatureWithChain></UaEndpoint>"), reopen: []string{url}, effect: "the endpoint is reopened"},
		"visible":        {after: change("TcUaServerConfig.xml", "</UaEndpoint>", "<IsVisible>false</IsVisible></UaEndpoint>"), effect: "clients that ask"},
		"endpoint moved": {after: change("TcUaServerConfig.xml", url, "opc.tcp://other.invalid:4840"), effect: "the endpoint is closed"},
		"tag":            {after: change("edgeua.xml", `Name="T" Address="h0"`, `Name="U" Address="h0"`), stop: []string{"A"}, start: []string{"A"}, effect: "- Devices[A].Tags[T] (whole entry): the node disappears"},
		"address":        {after: change("edgeua.xml", `Name="T" Address="h0"`, `Name="T" Address="h1"`), stop: []string{"A"}, start: []string{"A"}, effect: "the channel is stopped and started"},
		"renamed":        {after: map[string]string{"TcUaServerConfig.xml": before["TcUaServerConfig.xml"], "edgeua.xml": deviceFile("A", "h0", "C", "h0")}, stop: []string{"B"}, start: []string{"C"}, effect: "the channel is started"},
	} {
		t.Run(name, func(t *testing.T) {
			p := planOf(t, before, tt.after)
			if !slices.Equal(p.reopen, tt.reopen) || !slices.Equal(p.stop, tt.stop) || !slices.Equal(p.start, tt.start) || p.waiting() != tt.waiting {
				t.Errorf("reopen %v, stop %v, start %v, waiting %d", p.reopen, p.stop, p.start, p.waiting())
			}
			var told []string
			for _, c := range p.changes {
				told = append(told, c.String())
			}
			if all := strings.Join(told, "\n"); !strings.Contains(all, tt.effect) || (all == "") != (tt.effect == "") {
				t.Errorf("told\n%s", all)
			}
			if p.next.Application.URI != "urn:test:gateway" {
				t.Errorf("the ServerUri becomes %s at once", p.next.Application.URI)
			}
		})
	}
}

// The page for administrators has the table as it is.
func TestEffects_ArePrintedInTheDocumentation(t *testing.T) {
	var b strings.Builder
	b.WriteString("| What | Changed | Added | Removed |\n|---|---|---|---|\n")
	for _, row := range effects() {
		changed := row.changed
		if row.step == wait {
			changed = "**takes effect at the next start**: " + changed
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", row.kind, changed, row.added, row.removed)
	}
	page, err := os.ReadFile("../../docs/reload.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), b.String()) {
		t.Errorf("docs/reload.md lacks this table:\n%s", &b)
	}
}
