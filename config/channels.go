package config

import (
	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// LoadChannels reads only the channels of an edgeua.xml, for tools that need no server. There are none when the report
// has errors.
func LoadChannels(file string, kinds []drivers.Kind) ([]drivers.Channel, *xmltree.Report) {
	l := &loader{
		opts: Options{Edge: file, Kinds: kinds}, report: &xmltree.Report{}, cfg: &Config{},
		parse: func(file string) (*xmltree.Element, error) { return xmltree.Load(file, xmltree.Limits{}) },
	}
	root, _ := l.read(file, "EdgeUa", true)
	if root == nil {
		return nil, l.report
	}
	r := edgeReader{loader: l, report: l.report, root: root}
	s := r.report.Settings(root)
	conversions := drivers.ParseConversions(r.report, s.Children("Conversions"))
	r.channels(s.Children("Channel"), s.Children("Device"), conversions)
	l.report.Sort()
	if l.report.HasErrors() {
		return nil, l.report
	}
	return l.cfg.Channels, l.report
}
