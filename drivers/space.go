package drivers

import (
	"fmt"
	"strings"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/id"
)

// AddToSpace adds the devices below Objects, in namespace ns: Objects/<Device>/<Tag> with the NodeId s=<Device>.<Tag>.
// Dots in a tag name make folders on the way: Pump1.Run of Boiler is Objects/Boiler/Pump1/Run with s=Boiler.Pump1.Run.
// It returns the Variables by "Device.Tag". On an error what was added before stays.
func AddToSpace(space *addressspace.Space, ns uint16, devices []Device) (map[string]*addressspace.Variable, error) {
	b := builder{space: space, ns: ns, vars: map[string]*addressspace.Variable{}}
	for i := range devices {
		if err := b.device(&devices[i]); err != nil {
			return nil, fmt.Errorf("device %s: %w", devices[i].Name, err)
		}
	}
	return b.vars, nil
}

type builder struct {
	space *addressspace.Space
	ns    uint16
	vars  map[string]*addressspace.Variable
	kept  map[string]bool // devices that are there already; of them only tags that are not in vars are added
}

func (b *builder) device(d *Device) error {
	objects := uabinary.NumericID(0, id.ObjectsFolder)
	root := DeviceID(b.ns, d.Name, "")
	if !b.kept[d.Name] {
		if _, err := b.object(objects, id.Organizes, id.BaseObjectType, d.Name, d.Name, d.Description); err != nil {
			return err
		}
	}
	for i := range d.Tags {
		if b.vars[d.Name+"."+d.Tags[i].Name] != nil {
			continue
		}
		if err := b.tag(d.Name, root, &d.Tags[i]); err != nil {
			return fmt.Errorf("tag %s: %w", d.Tags[i].Name, err)
		}
	}
	return nil
}

func (b *builder) object(parent uabinary.NodeID, reference, typ uint32, path, name, description string) (uabinary.NodeID, error) {
	n, err := b.space.AddObject(addressspace.ObjectOptions{
		ID:             uabinary.StringID(b.ns, path),
		BrowseName:     uabinary.QualifiedName{NamespaceIndex: b.ns, Name: name},
		Description:    uabinary.LocalizedText{Text: description},
		Parent:         parent,
		ReferenceType:  uabinary.NumericID(0, reference),
		TypeDefinition: uabinary.NumericID(0, typ),
	})
	if err != nil {
		return uabinary.NodeID{}, err
	}
	return n.ID, nil
}

// folders returns the node that a tag belongs under, and adds the folders that are not there yet.
func (b *builder) folders(path string, parent uabinary.NodeID, names []string) (uabinary.NodeID, error) {
	for _, name := range names {
		path += "." + name
		next := uabinary.StringID(b.ns, path)
		if b.space.Node(next) == nil {
			if _, err := b.object(parent, id.HasComponent, id.FolderType, path, name, ""); err != nil {
				return parent, err
			}
		}
		parent = next
	}
	return parent, nil
}

func (b *builder) tag(device string, root uabinary.NodeID, t *Tag) error {
	names := strings.Split(t.Name, ".")
	last := len(names) - 1
	parent, err := b.folders(device, root, names[:last])
	if err != nil {
		return err
	}
	o := addressspace.VariableOptions{
		ID:                      uabinary.StringID(b.ns, device+"."+t.Name),
		BrowseName:              uabinary.QualifiedName{NamespaceIndex: b.ns, Name: names[last]},
		Description:             uabinary.LocalizedText{Text: t.Description},
		Parent:                  parent,
		DataType:                uabinary.NumericID(0, uint32(t.Type)), // built-in types have their number as NodeId
		AccessLevel:             uint8(t.Access),
		MinimumSamplingInterval: float64(t.Period.Milliseconds()),
		EURange:                 t.euRange(),
		EngineeringUnits:        t.engineeringUnits(),
	}
	if len(t.Enum) > 0 {
		o.TypeDefinition = uabinary.NumericID(0, t.discreteType())
	}
	if t.Length > 0 {
		o.ArrayDimensions = []uint32{uint32(t.Length)}
	}
	n, err := b.space.AddVariable(o)
	if err != nil {
		return err
	}
	b.vars[device+"."+t.Name] = n.Variable
	if len(t.Enum) > 0 {
		return b.discrete(n, t)
	}
	return nil
}

// euRange is the EURange (Part 8 (1.05), 5.6.2); nil if there is none.
func (t *Tag) euRange() *uabinary.Range {
	if !t.Range.Valid() {
		return nil
	}
	return &uabinary.Range{Low: t.Range.Low, High: t.Range.High}
}
