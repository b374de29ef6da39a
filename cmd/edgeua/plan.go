package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/edgeua/edgeua/config"
)

// plan is what a reload does about the difference between two configurations.
// serve carries it out, and check --diff prints it.
type plan struct {
	next    *config.Config // what holds from then on
	changes []planned
	reopen  []string // endpoints, by Url, whose connections end
	stop    []string // channels, by name
	start   []string
}

// planned is one difference and what is done about it.
type planned struct {
	config.Change
	effect string
	waits  bool // until the next start
}

// step is what a plan notes about a change beside the new configuration.
type step int

const (
	takeOver step = iota // nothing: its part of the gateway compares for itself
	reopen               // the endpoint
	restart              // the channel
	wait                 // for the next start
)

// effect is a row of the table of effects.
type effect struct {
	kind string // of the Change, or what its kind begins with
	step step
	// What is done about what is changed, and if it is not the same, about what
	// is added or removed.
	changed, added, removed string
	keep                    func(next, before *config.Config) // with wait: what holds until then
}

// effects says what a reload does about each part of a Config; the first row
// that fits counts.
func effects() []effect {
	return []effect{
		{kind: "Application.URI", step: wait, changed: "namespaces have its name, and clients keep their indexes while they are connected",
			keep: func(next, before *config.Config) { next.Application.URI = before.Application.URI }},
		{kind: "StateDir", step: wait, changed: "the control socket is open there",
			keep: func(next, before *config.Config) { next.StateDir = before.StateDir }},
		{kind: "Application", changed: "clients that ask from now on are told"},
		{kind: "LocaleIDs", changed: "clients that ask from now on are told"},
		{kind: "ServerProfiles", changed: "clients that ask from now on are told"},
		{kind: "Limits", changed: "holds for what comes; nothing that exists is taken away"},
		{kind: "Endpoints[].ReverseClients[]", changed: "its sockets are closed and it is called anew", added: "it is called", removed: "its sockets are closed"},
		{kind: "Endpoints[].DirectoryClients[]", changed: "its sockets are closed and it is called anew", added: "it is looked up and called", removed: "its sockets are closed"},
		{kind: "Endpoints[].ListenAddress", changed: "connections that came by the old port end; those that the gateway made stay"},
		{kind: "Endpoints[].AlternativeURLs", changed: "clients that ask from now on are told"},
		{kind: "Endpoints[].Visible", changed: "clients that ask from now on are told"},
		{kind: "Endpoints[].Discovery", changed: "clients and discovery servers are told from now on"},
		{kind: "Endpoints[].Certificate.Settings", changed: "counts when a certificate is made: by edgeua certs renew, or when the file is missing"},
		{kind: "Endpoints[].Certificate", changed: "new connections are shown the certificate; those that exist go on with the old one"},
		{kind: "Endpoints[].Trust.Rejected", changed: "certificates refused from now on are kept there"},
		{kind: "Endpoints[].Trust.MaxRejected", changed: "holds for certificates refused from now on"},
		{kind: "Endpoints[]", step: reopen, changed: "the endpoint is reopened: its connections end, and clients take up their sessions under the new settings",
			added: "the endpoint is opened", removed: "the endpoint is closed, and its sessions with it"},
		{kind: "Tokens", changed: "holds at once; sessions of a kind of user that is not offered any more are closed"},
		{kind: "UserTrust", changed: "holds for logins from now on"},
		{kind: "Users[].Password", changed: "the user's sessions are closed"},
		{kind: "Users[]", changed: "holds at once, for open sessions too", added: "may log in", removed: "the user's sessions are closed"},
		{kind: "Groups[]", changed: "holds at once, for open sessions too"},
		{kind: "MaxSockets", changed: "holds at once"},
		{kind: "MetricsAddress", changed: "the metrics move there"},
		{kind: "Devices[].Tags[]", changed: "the tag gets a new node; monitored items of the old one report BadNodeIdUnknown", added: "the node appears",
			removed: "the node disappears; its monitored items report BadNodeIdUnknown"},
		{kind: "Devices[]", changed: "the device gets new nodes; monitored items of the old ones report BadNodeIdUnknown", added: "the nodes appear",
			removed: "the nodes disappear; their monitored items report BadNodeIdUnknown"},
		{kind: "Channels[]", step: restart, changed: "the channel is stopped and started; tags that stay the same keep their nodes", added: "the channel is started",
			removed: "the channel is stopped"},
		{kind: "Registration", changed: "the server registers anew"},
		{kind: "Redundancy", changed: "clients that ask from now on are told"},
		{kind: "OtherServers[]", changed: "clients that ask from now on are told"},
		{kind: "AllowDeprecated", changed: "holds at once; what it changes about endpoints stands with them"},
		{kind: "LogLevel", changed: "holds at once, unless --log-level was given"},
		{kind: "LogFile", changed: "holds at once"},
	}
}

// effectOf finds the row of a kind of change.
func effectOf(kind string) (effect, bool) {
	for _, row := range effects() {
		if rest, ok := strings.CutPrefix(kind, row.kind); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return row, true
		}
	}
	return effect{}, false
}

// newPlan compares the configuration that holds with the one that is to hold.
func newPlan(before, after *config.Config) *plan {
	next := *after
	p := &plan{next: &next}
	for _, c := range config.Diff(before, after) {
		row, ok := effectOf(c.Kind)
		if !ok { // a test keeps the table complete
			row = effect{step: wait, changed: "nothing knows how to do it earlier"}
		}
		p.note(c, &row)
		if row.keep != nil {
			row.keep(p.next, before)
		}
	}
	return p
}

func (p *plan) note(c config.Change, row *effect) {
	item := planned{Change: c, effect: row.changed}
	whole := c.Kind == row.kind
	switch {
	case whole && c.Before == "" && row.added != "":
		item.effect = row.added
	case whole && c.After == "" && row.removed != "":
		item.effect = row.removed
	}
	switch row.step {
	case wait:
		item.waits, item.effect = true, "takes effect at the next start: "+row.changed
	case reopen:
		if c.Before != "" && c.After != "" || !whole {
			p.reopen = addOnce(p.reopen, c.Entry)
		}
	case restart:
		if c.Before != "" {
			p.stop = addOnce(p.stop, c.Entry)
		}
		if c.After != "" {
			p.start = addOnce(p.start, c.Entry)
		}
	}
	p.changes = append(p.changes, item)
}

func addOnce(all []string, name string) []string {
	if slices.Contains(all, name) {
		return all
	}
	return append(all, name)
}

// waiting counts the changes that a reload does not take over.
func (p *plan) waiting() int {
	n := 0
	for _, c := range p.changes {
		if c.waits {
			n++
		}
	}
	return n
}

func (c planned) String() string { return fmt.Sprintf("%s: %s", c.Change, c.effect) }
