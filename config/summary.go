package config

import (
	"fmt"
	"io"
	"strings"
)

// Summary prints what would run, for people.
func (c *Config) Summary(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "server %s, ServerUri %s\n", c.Application.Name, c.Application.URI)
	for i := range c.Endpoints {
		c.Endpoints[i].summary(&b, c.Application.URI)
	}
	c.userSummary(&b)
	if c.MetricsAddress != "" {
		fmt.Fprintf(&b, "metrics on http://%s/metrics\n", c.MetricsAddress)
	}
	if f := c.LogFile; f.Path != "" {
		fmt.Fprintf(&b, "log file %s, level %v and above; %d older ones are kept\n", f.Path, c.LogLevel, f.MaxBackups)
	}
	tags, devices := 0, 0
	for _, ch := range c.Channels {
		for _, d := range ch.Devices() {
			devices++
			tags += len(d.Tags)
		}
	}
	fmt.Fprintf(&b, "%d channels, %d devices, %d tags\n", len(c.Channels), devices, tags)
	for _, ch := range c.Channels {
		fmt.Fprintf(&b, "  channel %s: %s\n", ch.Name(), ch.Summary())
		for _, d := range ch.Devices() {
			fmt.Fprintf(&b, "    device %s: %d tags\n", d.Name, len(d.Tags))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (e *Endpoint) summary(b *strings.Builder, serverURI string) {
	fmt.Fprintf(b, "endpoint %s\n", e.URL)
	if e.ListenAddress == "" {
		b.WriteString("  no listener\n")
	} else {
		fmt.Fprintf(b, "  listens on %s\n", e.ListenAddress)
	}
	for _, s := range e.Security {
		fmt.Fprintf(b, "  security %s: %s\n", policyName(s.PolicyURI), describeModes(s.Modes))
	}
	made := ""
	if e.Certificate.Generate {
		made = " (created if missing)"
	}
	fmt.Fprintf(b, "  certificate %s, key %s%s\n", e.Certificate.File, e.Certificate.KeyFile, made)
	if e.Trust.All {
		b.WriteString("  trusts every client certificate\n")
	} else {
		fmt.Fprintf(b, "  trusts the client certificates in %s\n", e.Trust.Certificates)
	}
	for i := range e.ReverseClients {
		e.ReverseClients[i].summary(b, serverURI)
	}
	for i := range e.DirectoryClients {
		e.DirectoryClients[i].summary(b, serverURI)
	}
}

func (r *ReverseClient) summary(b *strings.Builder, serverURI string) {
	where := r.URL
	if r.Directory != "" {
		where = "where " + r.Directory + " says"
	}
	if r.Disabled {
		fmt.Fprintf(b, "  does not connect to %s: it is disabled\n", where)
		return
	}
	fmt.Fprintf(b, "  connects to %s and announces ServerUri %s, EndpointUrl %s\n", where, serverURI, r.EndpointURL)
	if r.ApplicationURI != "" {
		fmt.Fprintf(b, "    serves nobody there but %s\n", r.ApplicationURI)
	}
	if r.Tuning.Path.Proxy != "" {
		fmt.Fprintf(b, "    calls through %s\n", r.Tuning.Path.Proxy)
	}
}

func (c *Config) userSummary(b *strings.Builder) {
	var names []string
	for i := range c.Users {
		if c.Tokens.UserName && c.Users[i].CanLogIn() {
			names = append(names, c.Users[i].Name)
		}
	}
	if c.Tokens.Anonymous {
		names = append(names, "anyone (anonymous)")
	}
	if len(names) == 0 {
		names = []string{"nobody"}
	}
	fmt.Fprintf(b, "users who can log in: %s\n", strings.Join(names, ", "))
}
