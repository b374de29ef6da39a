package drivers

import (
	"strings"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// unitNamespace names the units of UNECE Recommendation 20 (Part 8 (1.05), 5.6.3.3).
const unitNamespace = "http://www.opcfoundation.org/UA/units/un/cefact"

// noUnitID says that a unit has no number (Part 8 (1.05), 5.6.3.2).
const noUnitID = -1

// engineeringUnits is the unit of the tag for the address space; nil if it has none.
func (t *Tag) engineeringUnits() *uabinary.EUInformation {
	if t.Unit == "" {
		return nil
	}
	symbol, known := unitSymbol(t.Unit)
	eu := &uabinary.EUInformation{
		UnitID:      noUnitID,
		DisplayName: uabinary.LocalizedText{Text: symbol},
		Description: uabinary.LocalizedText{Text: symbol},
	}
	if known || looksLikeUNECE(t.Unit) {
		eu.NamespaceURI, eu.UnitID = unitNamespace, unitID(t.Unit)
	}
	return eu
}

// looksLikeUNECE tells the codes of Recommendation 20, of two or three capitals and digits, from a unit in plain text.
func looksLikeUNECE(unit string) bool {
	return (len(unit) == 2 || len(unit) == 3) && strings.Trim(unit, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// unitID packs the characters of a code, the last one lowest (Part 8 (1.05), 5.6.3.3).
func unitID(code string) int32 {
	var n int32
	for i := range len(code) {
		n = n<<8 | int32(code[i])
	}
	return n
}

// unitSymbol gives the usual symbol of a code that is common in the field.
func unitSymbol(code string) (string, bool) {
	symbol, known := map[string]string{
		"CEL": "°C", "FAH": "°F", "KEL": "K", "P1": "%", "PAL": "Pa", "KPA": "kPa", "MPA": "MPa", "BAR": "bar", "MBR": "mbar",
		"VLT": "V", "2Z": "mV", "AMP": "A", "4K": "mA", "OHM": "Ω", "WTT": "W", "KWT": "kW", "MAW": "MW", "D46": "VA", "KVA": "kVA",
		"KVR": "kvar", "WHR": "W·h", "KWH": "kW·h", "MWH": "MW·h", "HTZ": "Hz", "RPM": "r/min", "MTR": "m", "MMT": "mm",
		"MTS": "m/s", "KGM": "kg", "GRM": "g", "LTR": "l", "MTQ": "m³", "MQH": "m³/h", "L2": "l/min", "SEC": "s", "MIN": "min", "HUR": "h",
		"DD": "°", "KNT": "kn", "KMH": "km/h",
	}[code]
	if !known {
		symbol = code
	}
	return symbol, known
}
