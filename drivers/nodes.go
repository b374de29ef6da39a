package drivers

import (
	"fmt"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// Noder is a Driver that shows more than its tags: diagnostics of its devices and of its channel.
type Noder interface {
	// AddNodes is called once after Bind, with the namespace of the devices.
	AddNodes(space *addressspace.Space, ns uint16) error
}

// Gauge is a Variable that is computed when it is read, so that nobody who is not looking costs anything.
type Gauge struct {
	Name, Description string
	Type              uabinary.TypeID
	Array             bool
	Read              func() uabinary.Variant // fast, and safe for concurrent use
}

// gaugeSampling is the fastest that a Gauge is sampled for a subscription, in milliseconds.
const gaugeSampling = 1000

// DeviceID is the NodeId of a device, and that of its extra nodes if a name is given. A # is in no name of a tag.
func DeviceID(ns uint16, device, extra string) uabinary.NodeID {
	if extra != "" {
		device += "#" + extra
	}
	return uabinary.StringID(ns, device)
}

// ChannelID is the NodeId of the object of a channel.
func ChannelID(ns uint16, channel string) uabinary.NodeID {
	return uabinary.StringID(ns, "#Channels/"+channel)
}

func channelsFolder(ns uint16) uabinary.NodeID { return uabinary.StringID(ns, "#Channels") }

// AddChannel adds the object of a channel, below the folder Channels of Objects.
func AddChannel(space *addressspace.Space, ns uint16, channel string) (uabinary.NodeID, error) {
	folder := channelsFolder(ns)
	if space.Node(folder) == nil {
		_, err := space.AddObject(addressspace.ObjectOptions{
			ID: folder, BrowseName: uabinary.QualifiedName{NamespaceIndex: ns, Name: "Channels"},
			Parent: uabinary.NumericID(0, id.ObjectsFolder), ReferenceType: uabinary.NumericID(0, id.Organizes),
			TypeDefinition: uabinary.NumericID(0, id.FolderType),
		})
		if err != nil {
			return folder, fmt.Errorf("folder of the channels: %w", err)
		}
	}
	return AddExtra(space, ChannelID(ns, channel), folder, channel)
}

// AddExtra adds a plain object.
func AddExtra(space *addressspace.Space, node, parent uabinary.NodeID, name string) (uabinary.NodeID, error) {
	_, err := space.AddObject(addressspace.ObjectOptions{
		ID: node, Parent: parent, BrowseName: uabinary.QualifiedName{NamespaceIndex: node.Namespace, Name: name},
	})
	return node, err
}

// AddGauges adds Variables below a node.
func AddGauges(space *addressspace.Space, parent uabinary.NodeID, gauges []Gauge) error {
	for _, g := range gauges {
		o := addressspace.VariableOptions{
			ID:                      uabinary.StringID(parent.Namespace, parent.Text+"/"+g.Name),
			BrowseName:              uabinary.QualifiedName{NamespaceIndex: parent.Namespace, Name: g.Name},
			Description:             uabinary.LocalizedText{Text: g.Description},
			Parent:                  parent,
			DataType:                uabinary.NumericID(0, uint32(g.Type)),
			MinimumSamplingInterval: gaugeSampling,
		}
		if g.Array {
			o.ArrayDimensions = []uint32{0}
		}
		n, err := space.AddVariable(o)
		if err != nil {
			return err
		}
		read := g.Read
		n.Variable.SetSource(func() uabinary.DataValue { return uabinary.DataValue{Value: read(), Status: ua.StatusOK} })
	}
	return nil
}
