package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/reverseconnect"
)

// printer writes what a visitor meets, as lines for people or as one JSON
// object per line for programs.
type printer struct {
	mu   sync.Mutex
	w    io.Writer
	json bool
	good func(node string, value any) // told of every good value; nil: nobody
	// table, if there is one, shows the values in place instead of one below the other.
	table *table
}

func newPrinter(w io.Writer, asJSON bool) *printer { return &printer{w: w, json: asJSON} }

// say prints one event: text for people, fields for programs.
func (p *printer) say(event, text string, fields map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.json {
		if p.table != nil {
			p.table.leave()
		}
		fmt.Fprintln(p.w, text)
		return
	}
	fields["event"], fields["time"] = event, time.Now().UTC()
	line, err := json.Marshal(fields)
	if err != nil { // a value that JSON cannot hold, such as NaN
		fields["value"] = fmt.Sprint(fields["value"])
		line, _ = json.Marshal(fields)
	}
	fmt.Fprintf(p.w, "%s\n", line)
}

func (p *printer) listening(addr string) {
	p.say("listening", "listening on "+addr, map[string]any{"addr": addr})
}

func (p *printer) called(s *reverseconnect.Session) {
	p.say("called", fmt.Sprintf("called by %q, EndpointUrl %q, from %s", s.ServerURI, s.EndpointURL, s.RemoteAddr),
		map[string]any{"server_uri": s.ServerURI, "endpoint_url": s.EndpointURL, "remote": s.RemoteAddr.String()})
}

func (p *printer) connected(s *reverseconnect.Session, v *visitor) {
	security := securityWord(v.policy, v.mode)
	p.say("connected", fmt.Sprintf("session open with %q, %s", s.ServerURI, security),
		map[string]any{"server_uri": s.ServerURI, "security": security})
}

func (p *printer) lost(err error) {
	p.say("lost", "connection lost: "+err.Error()+"; waiting for the next call", map[string]any{"reason": err.Error()})
}

func (p *printer) node(ref *ua.ReferenceDescription, depth int) {
	name := ""
	if ref.BrowseName != nil {
		name = ref.BrowseName.Name
	}
	class := strings.TrimPrefix(ref.NodeClass.String(), "NodeClass")
	id := ref.NodeID.NodeID.String()
	p.say("node", fmt.Sprintf("%s%-24q %-8s %s", strings.Repeat("  ", depth), name, class, id),
		map[string]any{"node": id, "name": name, "class": class, "depth": depth})
}

func (p *printer) value(node *ua.NodeID, dv *ua.DataValue) {
	var value any
	if dv.Value != nil {
		value = dv.Value.Value()
	}
	if p.good != nil && dv.Status == ua.StatusOK {
		p.good(node.String(), value)
	}
	at := dv.SourceTimestamp
	if at.IsZero() {
		at = dv.ServerTimestamp
	}
	text := fmt.Sprintf("%s  %-28s %-12s %s", at.Local().Format("15:04:05.000"), node, shown(value), statusWord(dv.Status))
	if p.table != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.table.set(node.String(), text)
		return
	}
	p.say("value", text,
		map[string]any{"node": node.String(), "value": value, "status": statusWord(dv.Status), "source_timestamp": dv.SourceTimestamp})
}

// shown prints text from outside without its control characters.
func shown(value any) string {
	switch v := value.(type) {
	case nil:
		return "-"
	case string:
		return fmt.Sprintf("%q", v)
	case float32, float64:
		return fmt.Sprintf("%.6g", v)
	}
	return fmt.Sprint(value)
}

func statusWord(code ua.StatusCode) string {
	if code == ua.StatusOK {
		return "Good"
	}
	if info, ok := ua.StatusCodes[code]; ok {
		return strings.TrimPrefix(info.Name, "Status")
	}
	return fmt.Sprintf("0x%08X", uint32(code))
}
