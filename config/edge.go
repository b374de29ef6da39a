package config

import (
	"net/netip"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/taglist"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// edgeReader reads edgeua.xml strictly: any error in it refuses the start.
type edgeReader struct {
	*loader
	report *xmltree.Report // of this file only
	root   *xmltree.Element
}

// edge reads edgeua.xml, which may be missing unless it was asked for.
func (l *loader) edge() {
	file := l.opts.Edge
	if file == "" {
		file = filepath.Join(filepath.Dir(l.opts.Main), EdgeName)
	}
	root, missing := l.read(file, "EdgeUa", l.opts.EdgeRequired)
	if missing {
		l.report.Add(xmltree.Problem{File: file, Message: "is not there: the server has no devices"})
	}
	if root == nil {
		return
	}
	r := edgeReader{loader: l, report: &xmltree.Report{}, root: root}
	r.document()
	l.refused = l.refused || r.report.HasErrors()
	for _, p := range r.report.Problems {
		l.report.Add(p)
	}
	l.report.Omitted += r.report.Omitted
}

func (r *edgeReader) document() {
	s := r.report.Settings(r.root)
	if e := r.single(s, "ReverseConnect"); e != nil {
		r.reverseConnect(e)
	}
	if e := r.single(s, "Listeners"); e != nil {
		r.listeners(e)
	}
	if e := r.single(s, "Metrics"); e != nil {
		r.metrics(e)
	}
	conversions := drivers.ParseConversions(r.report, s.Children("Conversions"))
	r.channels(s.Children("Channel"), s.Children("Device"), conversions)
	s.Done()
}

// single returns the one child of that name, and reports more of them.
func (r *edgeReader) single(s *xmltree.Settings, name string) *xmltree.Element {
	all := s.Children(name)
	if len(all) == 0 {
		return nil
	}
	for _, more := range all[1:] {
		r.report.Error(more, "%s stands twice; the other one is in line %d", name, all[0].Line)
	}
	return all[0]
}

// listeners applies the switch for a server that is never listening.
func (r *edgeReader) listeners(e *xmltree.Element) {
	s := r.report.Settings(e)
	enabled := s.Bool("Enabled", true)
	s.Done()
	if enabled {
		return
	}
	if len(r.cfg.reverseClients()) == 0 && len(r.cfg.directoryClients()) == 0 && len(r.cfg.Endpoints) > 0 {
		s.Error("Enabled", "0 leaves no way to reach the server, since no endpoint of %s has a <ReverseConnect> with a client; write 1", r.opts.Main)
	}
	for i := range r.cfg.Endpoints {
		r.cfg.Endpoints[i].ListenAddress = ""
	}
}

// DefaultMetricsAddress is where <Metrics/> listens: nobody but this machine reaches it.
const DefaultMetricsAddress = "127.0.0.1:9464"

// metrics reads where metrics are offered. There is no name to resolve at a start without a network.
func (r *edgeReader) metrics(e *xmltree.Element) {
	s := r.report.Settings(e)
	text := s.String("Listen", DefaultMetricsAddress)
	s.Done()
	address, err := netip.ParseAddrPort(text)
	switch {
	case err != nil || address.Port() == 0:
		s.Error("Listen", "%s is not an IP address and port, such as %s", xmltree.Quote(text), DefaultMetricsAddress)
		return
	case !address.Addr().IsLoopback():
		s.Warn("Listen", "everyone who reaches %s can read the metrics: there is no password and no encryption", address)
	}
	r.cfg.MetricsAddress = address.String()
}

// channels hands every channel with its devices to its driver.
func (r *edgeReader) channels(channels, devices []*xmltree.Element, conversions drivers.Conversions) {
	known := r.names(channels)
	r.names(devices)
	byChannel := map[string][]*xmltree.Element{}
	for _, d := range devices {
		name := r.value(d, "Channel")
		if !contains(known, name) {
			r.noChannel(d, name, known)
			continue
		}
		byChannel[name] = append(byChannel[name], d)
	}
	ports := map[string]int{}
	for _, c := range channels {
		name := r.value(c, "Name")
		if port := r.value(c, "Port"); port != "" && ports[port] > 0 {
			r.report.Error(c, "Port %s belongs to the channel in line %d; a serial line has one channel, with several devices", xmltree.Quote(port), ports[port])
		} else {
			ports[port] = c.Line
		}
		if len(byChannel[name]) == 0 {
			r.report.Warn(c, "no <Device> is on this channel")
		}
		r.channel(c, byChannel[name], conversions)
	}
}

func (r *edgeReader) channel(e *xmltree.Element, devices []*xmltree.Element, conversions drivers.Conversions) {
	word := r.value(e, "Type")
	var words []string
	for _, k := range r.opts.Kinds {
		if k.Type != word {
			words = append(words, k.Type)
			continue
		}
		if k.TagLists {
			r.tagLists(devices)
		}
		c := k.Parse(r.report, e, devices, conversions)
		if r.report.HasErrors() { // then c is not complete
			return
		}
		r.cfg.Channels = append(r.cfg.Channels, c)
		r.empty(c, devices)
		return
	}
	if word == "" {
		r.report.Error(e, "Type is missing; it is one of %s", strings.Join(words, ", "))
		return
	}
	r.report.Settings(e).Error("Type", "%s is not one of %s%s", xmltree.Quote(word), strings.Join(words, ", "), xmltree.Suggest(word, words))
}

// tagLists puts the tags of CSV files into their devices.
func (r *edgeReader) tagLists(devices []*xmltree.Element) {
	for _, d := range devices {
		if file := taglist.Expand(r.report, d); file != "" {
			r.source(file)
		}
	}
}

// empty warns of devices that have nothing to read.
func (r *edgeReader) empty(c drivers.Channel, devices []*xmltree.Element) {
	tags := map[string]int{}
	for _, d := range c.Devices() {
		tags[d.Name] = len(d.Tags)
	}
	for _, d := range devices {
		if tags[r.value(d, "Name")] == 0 {
			r.report.Warn(d, "has no tags; nothing is read from it")
		}
	}
}

// names checks that every element has a name of its own and returns them. Names that differ only in case are refused
// too, because people and file systems mix them up.
func (r *edgeReader) names(elements []*xmltree.Element) []string {
	var names []string
	lines := map[string]int{}
	for _, e := range elements {
		name := r.value(e, "Name")
		if name == "" { // its driver says so where there is one
			r.report.Error(e, "Name is missing; it is required")
			continue
		}
		if strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }) {
			r.report.Error(e, "Name %s holds characters that cannot be printed", xmltree.Quote(name))
		}
		folded := strings.ToLower(name)
		if line, ok := lines[folded]; ok {
			r.report.Error(e, "Name %s is used by the <%s> in line %d; names must differ in more than case", xmltree.Quote(name), e.Name, line)
			continue
		}
		lines[folded] = e.Line
		names = append(names, name)
	}
	return names
}

func (r *edgeReader) noChannel(device *xmltree.Element, name string, known []string) {
	s := r.report.Settings(device)
	switch {
	case name == "":
		r.report.Error(device, "Channel is missing; it names the <Channel> the device is on")
	case len(known) == 0:
		s.Error("Channel", "%s does not exist; there is no <Channel> in this file", xmltree.Quote(name))
	default:
		s.Error("Channel", "%s does not exist; there are %s%s", xmltree.Quote(name), strings.Join(known, ", "), xmltree.Suggest(name, known))
	}
}

// value peeks at a setting without marking it read; the driver reads it again.
func (r *edgeReader) value(e *xmltree.Element, name string) string {
	if v, ok := e.Attr(name); ok {
		return strings.TrimSpace(v)
	}
	if c := e.Child(name); c != nil {
		return strings.TrimSpace(c.Text)
	}
	return ""
}
