package taglist

import (
	"path/filepath"
	"slices"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// fileSetting is the setting of a Device that names a CSV file.
const fileSetting = "TagFile"

// Expand replaces the TagFile of a Device by the groups and tags in that CSV file, which is looked for beside the file
// of the device. It returns the path of what was read; empty: nothing. Faults go to the report.
func Expand(r *xmltree.Report, device *xmltree.Element) string {
	s := r.Settings(device)
	if !s.Has(fileSetting) {
		return ""
	}
	file := filepath.FromSlash(s.Required(fileSetting))
	at := *s.Pos(fileSetting) // the setting goes, its place is needed for messages
	if len(device.All(fileSetting)) > 1 {
		s.Error(fileSetting, "stands twice; a device has one list of tags")
	}
	device.Children = slices.DeleteFunc(device.Children, func(e *xmltree.Element) bool { return e.Name == fileSetting })
	device.Attrs = slices.DeleteFunc(device.Attrs, func(a xmltree.Attr) bool { return a.Name == fileSetting })
	if file == "" {
		return ""
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(filepath.Dir(device.File()), file)
	}
	data, err := read(file)
	if err != nil {
		r.Error(&at, "%s cannot be read: %s", xmltree.Quote(file), reason(err))
		return ""
	}
	for _, g := range Parse(r, file, data) {
		merge(r, device, g)
	}
	return file
}

// merge puts a group into a device, or its tags into the group of that name which is there.
func merge(r *xmltree.Report, device, g *xmltree.Element) {
	name := lookup(g, nameColumn)
	i := slices.IndexFunc(device.Children, func(e *xmltree.Element) bool { return e.Name == "Group" && lookup(e, nameColumn) == name })
	if i < 0 {
		g.Parent = device
		device.Children = append(device.Children, g)
		return
	}
	to := device.Children[i]
	g.Parent = device // for the path in messages
	s := r.Settings(g)
	for _, a := range g.Attrs {
		switch was := lookup(to, a.Name); {
		case was == "":
			to.Attrs = append(to.Attrs, a)
		case was != a.Value:
			s.Error(a.Name, "%s differs from %s in line %d of %s", xmltree.Quote(a.Value), xmltree.Quote(was), to.Line, to.File())
		}
	}
	for _, tag := range g.Children {
		tag.Parent = to
	}
	to.Children = append(to.Children, g.Children...)
}
