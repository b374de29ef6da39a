package drivers

import (
	"slices"
	"strings"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// ReadDeviceName reads the setting Name of a device, which begins the NodeIds of all its tags.
func ReadDeviceName(s *xmltree.Settings) string {
	name := s.Required("Name")
	if strings.ContainsAny(name, "./#") {
		s.Error("Name", "%s must not contain . / or #, which separate the parts of a node's path", xmltree.Quote(name))
	}
	return name
}

// TagNames are the names of the tags of one device, so far.
type TagNames struct {
	tags    map[string]bool // in lower case
	folders map[string]bool // what the dots in them make
}

// NewTagNames starts with none.
func NewTagNames() *TagNames { return &TagNames{map[string]bool{}, map[string]bool{}} }

// Read reads the setting Name, checks it and keeps it. Names that differ only in case are refused, because many tools cannot
// tell them apart, and a tag that would be a folder as well.
func (n *TagNames) Read(s *xmltree.Settings) string {
	name := s.Required("Name")
	n.Add(s, name)
	return name
}

// Has tells whether there is a tag of that name.
func (n *TagNames) Has(name string) bool { return n.tags[strings.ToLower(name)] }

// Keep keeps a name that was checked otherwise.
func (n *TagNames) Keep(name string) { n.tags[strings.ToLower(name)] = true }

// Add checks a name that belongs to the setting Name, and keeps it.
func (n *TagNames) Add(s *xmltree.Settings, name string) {
	key := strings.ToLower(name)
	switch {
	case strings.ContainsAny(name, "/#"):
		s.Error("Name", "%s must not contain / or #; dots make folders", xmltree.Quote(name))
	case n.tags[key]:
		s.Error("Name", "tag %s exists already in this device", xmltree.Quote(name))
	case n.folders[key]:
		s.Error("Name", "%s is a folder of another tag; rename one of them", xmltree.Quote(name))
	}
	n.tags[key] = true
	for i, c := range key {
		if c == '.' {
			n.folder(s, name, key[:i])
		}
	}
	if name != "" && slices.Contains(strings.Split(name, "."), "") {
		s.Error("Name", "%s has an empty part between its dots", xmltree.Quote(name))
	}
}

func (n *TagNames) folder(s *xmltree.Settings, name, folder string) {
	if n.tags[folder] {
		s.Error("Name", "%s needs a folder %s, but that is a tag; rename one of them", xmltree.Quote(name), xmltree.Quote(folder))
	}
	n.folders[folder] = true
}
