package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
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
	// servers are those that had a session; with more than one, lines say whose they are.
	servers map[string]bool
}

func newPrinter(w io.Writer, asJSON bool) *printer {
	return &printer{w: w, json: asJSON, servers: map[string]bool{}}
}

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
	p.mu.Lock()
	p.servers[s.ServerURI] = true
	p.mu.Unlock()
	security := securityWord(v.policy, v.mode)
	p.say("connected", fmt.Sprintf("session open with %q, %s", s.ServerURI, security),
		map[string]any{"server_uri": s.ServerURI, "security": security})
}

// whose names the server at the beginning of a line, where there are several.
func (p *printer) whose(server string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.servers) < 2 {
		return ""
	}
	return printable(server) + "  "
}

func (p *printer) lost(server string, err error) {
	p.say("lost", p.whose(server)+"connection lost: "+printable(err.Error())+"; waiting for the next call",
		map[string]any{"server_uri": server, "reason": err.Error()})
}

// failed tells of a visit that came to nothing.
func (p *printer) failed(server string, err error) {
	p.say("failed", p.whose(server)+printable(err.Error())+"; waiting for the next call",
		map[string]any{"server_uri": server, "reason": err.Error()})
}

// row shows a line that replaces the one with the same key: in place on a
// terminal, below the others elsewhere.
func (p *printer) row(event, key, text string, fields map[string]any) {
	if p.table == nil {
		if fields != nil || !p.json {
			p.say(event, text, fields)
		}
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.table.set(key, text)
}

func (p *printer) node(ref *uabinary.ReferenceDescription, depth int) {
	name, id := ref.BrowseName.Name, ref.NodeID.NodeID.String()
	class := strings.TrimPrefix(ref.NodeClass.String(), "NodeClass")
	p.say("node", fmt.Sprintf("%s%-24q %-8s %s", strings.Repeat("  ", depth), name, class, printable(id)),
		map[string]any{"node": id, "name": name, "class": class, "depth": depth})
}

func (p *printer) value(server string, node uabinary.NodeID, dv *uabinary.DataValue) {
	value, id := plain(dv.Value), node.String()
	if p.good != nil && dv.Status == ua.StatusOK {
		p.good(id, value)
	}
	source := timestamp(dv.SourceTimestamp)
	at := source
	if at.IsZero() {
		at = timestamp(dv.ServerTimestamp)
	}
	text := fmt.Sprintf("%s%s  %-28s %-12s %s", p.whose(server), at.Local().Format("15:04:05.000"), printable(id), shown(value), statusWord(dv.Status))
	p.row("value", server+"\x00"+id, text, map[string]any{
		"server_uri": server, "node": id, "value": value, "status": statusWord(dv.Status), "source_timestamp": source,
	})
}

// timestamp is the zero Time for an absent DateTime.
func timestamp(t uabinary.DateTime) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return t.Time()
}

// plain is what a person or a program takes a value for.
func plain(v uabinary.Variant) any {
	switch x := v.Any().(type) {
	case uabinary.DateTime:
		return x.Time()
	case uabinary.LocalizedText:
		return x.Text
	case uabinary.XMLElement:
		return string(x)
	case fmt.Stringer: // identifiers
		return x.String()
	default:
		return x
	}
}

// longestShown is how many bytes of a value people get to see.
const longestShown = 200

// shown prints values from outside without control characters, and not for ever.
func shown(value any) string {
	var text string
	switch v := value.(type) {
	case nil:
		return "-"
	case string:
		text = strconv.Quote(v[:min(len(v), longestShown)])
	case float32, float64:
		return fmt.Sprintf("%.6g", v)
	default:
		text = printable(fmt.Sprint(value))
	}
	if len(text) > longestShown {
		return text[:longestShown] + "..."
	}
	return text
}

// printable quotes text from outside that would do something to a terminal.
func printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
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
