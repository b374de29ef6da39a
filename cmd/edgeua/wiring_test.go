package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/config/configtest"
)

// wired prints everything the parts of a gateway are given, so that two configurations can be compared by what they do.
func wired(cfg *config.Config) string {
	var b strings.Builder
	sc := serverConfig(cfg, make([]identity, len(cfg.Endpoints)), nil)
	fmt.Fprintf(&b, "%+v\n%v %v %+v\n", sc, cfg.LogLevel, cfg.MaxSockets, cfg.Registration)
	for i := range cfg.Endpoints {
		e := &cfg.Endpoints[i]
		fmt.Fprintf(&b, "%+v %+v %+v %v %v %s\n", locations(e), checks(e), certificateRequest(&e.Certificate.Settings, cfg.Application.URI),
			e.Certificate.Generate, e.Certificate.SendChain, e.ListenAddress)
		for _, r := range e.ReverseClients {
			fmt.Fprintf(&b, "%+v\n", r)
		}
	}
	fmt.Fprintf(&b, "%+v", userLocations(cfg))
	return b.String()
}

// TestElements_ReachTheGateway wants every element that is honoured and changes the Config to change what some part of the
// gateway is given, too: nothing is lost between the files and the server.
func TestElements_ReachTheGateway(t *testing.T) {
	dir := t.TempDir()
	for _, c := range configtest.Cases() {
		if c.Element.Handling != config.Honour && c.Element.Handling != config.Map {
			continue
		}
		plain, _ := configtest.Load(t, dir, c.Plain)
		cfg, _ := configtest.Load(t, dir, c.With)
		if plain == nil || cfg == nil || len(config.Diff(plain, cfg)) == 0 {
			continue // a finding, see config
		}
		if wired(plain) == wired(cfg) {
			t.Errorf("%s = %q changes %v, and nothing in the gateway", c.Element.Path, c.Value, config.Diff(plain, cfg))
		}
	}
}
