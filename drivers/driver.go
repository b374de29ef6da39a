package drivers

import (
	"context"
	"log/slog"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// Kind is one row of the table of drivers: the word in the Type of a Channel and how to read such a channel.
type Kind struct {
	Type string
	// Parse reads a Channel element and the Device elements that name it, strictly and without any I/O. Every fault is
	// reported with its line; what it returns is only used when the report has no errors.
	Parse func(r *xmltree.Report, channel *xmltree.Element, devices []*xmltree.Element, conversions Conversions) Channel
	// TagLists says that devices hold Group elements with Tag elements, which may come from the CSV file of a TagFile.
	TagLists bool
}

// Channel is one checked channel with its devices: pure data, so that [reflect.DeepEqual] tells a reload what changed.
type Channel interface {
	Name() string
	Summary() string // one line for people: where it is and how many tags
	Devices() []Device
	New(log *slog.Logger) Driver
}

// Device is one data source as the address space shows it.
type Device struct {
	Name        string
	Description string
	Tags        []Tag
}

// Tag is one value of a device as the address space shows it.
type Tag struct {
	Name        string          // dots make folders: Pump1.Run
	Description string          // empty: none
	Type        uabinary.TypeID // built-in type of the value, or of each element
	Length      int             // elements of a one-dimensional array; 0: a scalar
	Access      Access
	Period      time.Duration // the fastest the value changes; becomes MinimumSamplingInterval
	Unit        string        // UNECE code or plain text; empty: none
	Range       Range         // EURange; zero: none
	Enum        []EnumValue   // names of the values of a number, or of false (0) and true (1); nil: none
}

// EnumValue is the name of a value.
type EnumValue struct {
	Value int64
	Text  string
}

// Access says what a client may do with a tag; the bits are those of AccessLevel (Part 3, 8.57).
type Access uint8

// The three kinds of Access.
const (
	ReadOnly  Access = 1
	WriteOnly Access = 2
	ReadWrite Access = ReadOnly | WriteOnly
)

// Range is a span of engineering values (Part 8, 5.6.2). Low = High means that there is none.
type Range struct{ Low, High float64 }

// Valid tells whether there is a range.
func (r Range) Valid() bool { return r.Low < r.High }

// Driver runs one channel.
type Driver interface {
	// Bind is called once before Run with the Variables of this channel's tags, keyed "Device.Tag".
	Bind(vars map[string]*addressspace.Variable)
	// Run reads and writes until ctx ends and every goroutine it started has ended, at most two seconds later. Failures
	// of devices are no error: they are shown as the status of the tags.
	Run(ctx context.Context) error
}
