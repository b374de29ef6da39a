package instrument

import (
	"embed"
	"path"
	"slices"
	"strings"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// profiles are devices in the words of edgeua.xml, one in each file.
//
//go:embed profiles/*.xml
var profiles embed.FS

const profileFolder = "profiles"

// Profiles are the names of the profiles that may stand in a Device.
func Profiles() []string {
	entries, _ := profiles.ReadDir(profileFolder) // embedded: it is there
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".xml"))
	}
	return names
}

// withProfile returns the device with what its profile says and it does not say itself. Elements know where they come
// from, so that a fault is reported in the right file.
func withProfile(r *xmltree.Report, device *xmltree.Element) *xmltree.Element {
	s := r.Settings(device)
	name := s.String("Profile", "")
	if name == "" {
		return device
	}
	data, err := profiles.ReadFile(path.Join(profileFolder, name+".xml"))
	if err != nil {
		s.Error("Profile", "%s is not one of %s%s", xmltree.Quote(name), strings.Join(Profiles(), ", "), xmltree.Suggest(name, Profiles()))
		return device
	}
	base, err := xmltree.Parse("profile "+name+".xml", data, xmltree.Limits{})
	if err != nil {
		r.AddError(err)
		return device
	}
	return refine(device, base)
}

// refine returns own with what base has and own has not. Elements with a Name, and those that stand once, are refined in
// turn; a list without names is taken as a whole from one or the other.
func refine(own, base *xmltree.Element) *xmltree.Element {
	merged := *own
	merged.Attrs = slices.Clone(own.Attrs)
	merged.Children = nil
	for _, a := range base.Attrs {
		if _, given := own.Attr(a.Name); !given && own.Child(a.Name) == nil {
			merged.Attrs = append(merged.Attrs, a)
		}
	}
	used := map[*xmltree.Element]bool{}
	var inherited []*xmltree.Element
	for _, b := range base.Children {
		if o := counterpart(own, b); o != nil {
			used[o] = true
			inherited = append(inherited, refine(o, b))
		} else if _, given := own.Attr(b.Name); !given && (named(b) || own.Child(b.Name) == nil) {
			inherited = append(inherited, b)
		}
	}
	for _, o := range own.Children {
		if !used[o] {
			merged.Children = append(merged.Children, o)
		}
	}
	merged.Children = append(merged.Children, inherited...)
	return &merged
}

func named(e *xmltree.Element) bool {
	_, found := e.Attr("Name")
	return found
}

// counterpart finds the element of own that refines b.
func counterpart(own, b *xmltree.Element) *xmltree.Element {
	name, isNamed := b.Attr("Name")
	if !isNamed {
		if len(b.Attrs) > 0 && len(own.All(b.Name)) == 1 && singular(b.Name) {
			return own.Child(b.Name)
		}
		return nil
	}
	for _, o := range own.All(b.Name) {
		if n, _ := o.Attr("Name"); n == name {
			return o
		}
	}
	return nil
}

// singular tells which elements without a name stand once.
func singular(name string) bool { return slices.Contains([]string{"Frame", "Checksum", "Time"}, name) }
