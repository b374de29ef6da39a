package drivers

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// Tree is the devices of a gateway in the address space, which may change while clients are connected. It is not safe
// for concurrent use.
type Tree struct {
	space   *addressspace.Space
	ns      uint16
	devices map[string]Device
	vars    map[string]*addressspace.Variable
}

// NewTree makes a Tree without devices, whose nodes are in namespace ns.
func NewTree(space *addressspace.Space, ns uint16) *Tree {
	return &Tree{space: space, ns: ns, devices: map[string]Device{}, vars: map[string]*addressspace.Variable{}}
}

// Update makes the nodes those of devices, as [AddToSpace] would, and keeps what it can: a tag that is the same before
// and after keeps its node, its value and who monitors it. One that is not loses its node, and who monitors it is told
// BadNodeIDUnknown. After an error what was done before stays; [Tree.Check] finds it out earlier.
func (t *Tree) Update(devices []Device) error {
	next := make(map[string]Device, len(devices))
	for _, d := range devices {
		next[d.Name] = d
	}
	kept := map[string]bool{}
	for name, old := range t.devices {
		if now, ok := next[name]; ok && now.Description == old.Description {
			t.trim(&old, &now)
			kept[name] = true
		} else {
			t.space.Remove(DeviceID(t.ns, name, ""))
			t.forget(&old)
		}
	}
	t.devices = next
	b := builder{space: t.space, ns: t.ns, vars: t.vars, kept: kept}
	for i := range devices {
		if err := b.device(&devices[i]); err != nil {
			return fmt.Errorf("device %s: %w", devices[i].Name, err)
		}
	}
	return nil
}

// trim removes the tags of a device that are not the same any more, and the folders that nothing is in then.
func (t *Tree) trim(old, now *Device) {
	before, after := byName(old), byName(now)
	needed := map[string]bool{} // as a folder
	for i := range now.Tags {
		for _, folder := range folders(now.Tags[i].Name) {
			needed[folder] = after[folder] == nil
		}
	}
	for i := range old.Tags {
		tag := &old.Tags[i]
		if unchanged(tag.Name, before, after) {
			continue
		}
		t.space.Remove(DeviceID(t.ns, old.Name+"."+tag.Name, ""))
		delete(t.vars, old.Name+"."+tag.Name)
		for _, folder := range folders(tag.Name) {
			if !needed[folder] && before[folder] == nil {
				t.space.Remove(DeviceID(t.ns, old.Name+"."+folder, ""))
			}
		}
	}
}

func byName(d *Device) map[string]*Tag {
	all := make(map[string]*Tag, len(d.Tags))
	for i := range d.Tags {
		all[d.Tags[i].Name] = &d.Tags[i]
	}
	return all
}

// unchanged tells whether a tag is the same, and so are those that it is a member of.
func unchanged(tag string, before, after map[string]*Tag) bool {
	for _, folder := range folders(tag) {
		if !reflect.DeepEqual(before[folder], after[folder]) {
			return false
		}
	}
	return reflect.DeepEqual(before[tag], after[tag])
}

// folders lists the folders that a tag is in: A and A.B of A.B.C.
func folders(tag string) []string {
	var all []string
	for i, c := range tag {
		if c == '.' {
			all = append(all, tag[:i])
		}
	}
	return all
}

func (t *Tree) forget(d *Device) {
	for i := range d.Tags {
		delete(t.vars, d.Name+"."+d.Tags[i].Name)
	}
}

// Bind gives a driver the Variables of these devices, for [Driver.Bind]. Those that another driver had before keep
// nothing of it but their value; its Writer answers until the new one has set its own.
func (t *Tree) Bind(driver Driver, devices []Device) {
	vars := map[string]*addressspace.Variable{}
	for i := range devices {
		for j := range devices[i].Tags {
			key := devices[i].Name + "." + devices[i].Tags[j].Name
			vars[key] = t.vars[key]
			vars[key].SetDemand(nil)
		}
	}
	driver.Bind(vars)
}

// AddNodes adds the further nodes of a driver, if it has any, and returns what removes them.
func (t *Tree) AddNodes(driver Driver) (remove func(), err error) {
	n, ok := driver.(Noder)
	if !ok {
		return func() {}, nil
	}
	before := t.extras()
	err = n.AddNodes(t.space, t.ns)
	var added []uabinary.NodeID
	for node := range t.extras() {
		if !before[node] {
			added = append(added, node)
		}
	}
	return func() {
		for _, node := range added {
			t.space.Remove(node)
		}
	}, err
}

// extras lists the nodes that are neither devices nor their tags: those of channels, and of devices those with a #.
func (t *Tree) extras() map[uabinary.NodeID]bool {
	all := map[uabinary.NodeID]bool{}
	t.children(channelsFolder(t.ns), "", all)
	for name := range t.devices {
		t.children(DeviceID(t.ns, name, ""), name+"#", all)
	}
	return all
}

func (t *Tree) children(parent uabinary.NodeID, prefix string, all map[uabinary.NodeID]bool) {
	n := t.space.Node(parent)
	if n == nil {
		return
	}
	for r := range n.References() {
		if !r.Inverse && r.Target.Namespace == t.ns && strings.HasPrefix(r.Target.Text, prefix) {
			all[r.Target] = true
		}
	}
}

// Check tells whether these channels can be in an address space together. Nothing runs.
func Check(channels []Channel) error {
	space := addressspace.New("urn:check")
	t := NewTree(space, space.AddNamespace("urn:check:devices"))
	var devices []Device
	for _, c := range channels {
		devices = append(devices, c.Devices()...)
	}
	if err := t.Update(devices); err != nil {
		return err
	}
	var faults []error
	for _, c := range channels {
		driver := c.New(slog.New(slog.DiscardHandler))
		t.Bind(driver, c.Devices())
		if _, err := t.AddNodes(driver); err != nil {
			faults = append(faults, fmt.Errorf("channel %s: %w", c.Name(), err))
		}
	}
	return errors.Join(faults...)
}
