package drivers

import (
	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/xmltree"
	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"
)

// Identity is the name plate of a device. The names are those of the companion specification for devices (OPC 10000-100,
// 4.5.3), whose namespace is not needed to read them. What is not known is empty.
type Identity struct {
	Manufacturer, Model, SerialNumber, HardwareRevision, SoftwareRevision, ProductCode, ManufacturerURI string
}

// ParseIdentity reads the DiComponent element of a device, as TwinCAT writes it.
func ParseIdentity(r *xmltree.Report, s *xmltree.Settings) (plate Identity) {
	for i, e := range s.Children("DiComponent") {
		if i > 0 {
			r.Error(e, "stands twice")
		}
		d := r.Settings(e)
		plate = Identity{
			Manufacturer: d.String("Manufacturer", ""), Model: d.String("Model", ""), SerialNumber: d.String("SerialNumber", ""),
			HardwareRevision: d.String("HardwareRevision", ""), SoftwareRevision: d.String("SoftwareRevision", ""),
			ProductCode: d.String("ProductCode", ""), ManufacturerURI: d.String("ManufacturerUri", ""),
		}
		d.Done()
	}
	return plate
}

// Or fills what is empty from another source.
func (i Identity) Or(other Identity) Identity {
	mine, theirs := i.rows(), other.rows()
	for k := range mine {
		if *mine[k].text == "" {
			*mine[k].text = *theirs[k].text
		}
	}
	return i
}

type identityRow struct {
	name string
	text *string
}

func (i *Identity) rows() []identityRow {
	return []identityRow{
		{"Manufacturer", &i.Manufacturer}, {"Model", &i.Model}, {"SerialNumber", &i.SerialNumber},
		{"HardwareRevision", &i.HardwareRevision}, {"SoftwareRevision", &i.SoftwareRevision},
		{"ProductCode", &i.ProductCode}, {"ManufacturerUri", &i.ManufacturerURI},
	}
}

// AddIdentity adds the name plate of a device as Properties; now is asked at each reading. Manufacturer and Model are
// LocalizedText, the others String.
func AddIdentity(space *addressspace.Space, ns uint16, device string, now func() Identity) error {
	for k, row := range new(Identity).rows() {
		localized := row.name == "Manufacturer" || row.name == "Model"
		dataType := uint32(id.String)
		if localized {
			dataType = id.LocalizedText
		}
		n, err := space.AddVariable(addressspace.VariableOptions{
			ID:             DeviceID(ns, device, row.name),
			BrowseName:     uabinary.QualifiedName{NamespaceIndex: ns, Name: row.name},
			Parent:         DeviceID(ns, device, ""),
			ReferenceType:  uabinary.NumericID(0, id.HasProperty),
			TypeDefinition: uabinary.NumericID(0, id.PropertyType),
			DataType:       uabinary.NumericID(0, dataType),
		})
		if err != nil {
			return err
		}
		n.Variable.SetSource(func() uabinary.DataValue {
			plate := now()
			text := *plate.rows()[k].text
			if localized {
				return uabinary.DataValue{Value: uabinary.VariantOf(uabinary.LocalizedText{Text: text}), Status: ua.StatusOK}
			}
			return uabinary.DataValue{Value: uabinary.StringVariant(text), Status: ua.StatusOK}
		})
	}
	return nil
}
