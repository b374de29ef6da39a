package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// Change is one difference between two configurations.
type Change struct {
	Path   string // fields of Config, entries of lists by their name: Endpoints[opc.tcp://gw:4840].Visible
	Kind   string // Path without the names: Endpoints[].Visible
	Entry  string // the first name in Path; empty: none
	Before string // empty: added
	After  string // empty: removed
}

// String is for people: + added, - removed, ~ changed.
func (c Change) String() string {
	switch {
	case c.Before == "":
		return fmt.Sprintf("+ %s %s", c.Path, c.After)
	case c.After == "":
		return fmt.Sprintf("- %s %s", c.Path, c.Before)
	}
	return fmt.Sprintf("~ %s %s -> %s", c.Path, c.Before, c.After)
}

// Diff lists what is different, in the order of the fields. Lines, times and names of files do not count, nor does the
// order in which endpoints, clients, users, groups, channels, devices and tags stand. Passwords are not shown.
func Diff(before, after *Config) []Change {
	var d differ
	d.value(place{}, reflect.ValueOf(*before), reflect.ValueOf(*after))
	return d.changes
}

type differ struct{ changes []Change }

// place is where a value stands.
type place struct{ path, kind, entry string }

func (p place) field(name string) place {
	return place{join(p.path, name), join(p.kind, name), p.entry}
}

func (p place) named(name string) place {
	if p.entry == "" {
		p.entry = name
	}
	return place{p.path + "[" + name + "]", p.kind + "[]", p.entry}
}

func (d *differ) add(at place, before, after string) {
	d.changes = append(d.changes, Change{Path: at.path, Kind: at.kind, Entry: at.entry, Before: before, After: after})
}

func (d *differ) value(at place, a, b reflect.Value) {
	switch {
	case reflect.DeepEqual(a.Interface(), b.Interface()):
	case a.Kind() == reflect.Struct:
		d.fields(at, a, b)
	case a.Kind() == reflect.Slice && name(a.Type().Elem()) != nil:
		d.entries(at, a, b)
	default:
		d.add(at, show(a), show(b))
	}
}

func (d *differ) fields(at place, a, b reflect.Value) {
	for i := range a.NumField() {
		switch field := a.Type().Field(i).Name; field {
		case "Sources", "Line":
		case "Password":
			if a.Field(i).String() != b.Field(i).String() {
				d.add(at.field(field), "(not shown)", "(not shown)")
			}
		case "Channels":
			d.value(at.field(field), a.Field(i), b.Field(i))
			d.value(at.field("Devices"), reflect.ValueOf(devices(a.Field(i))), reflect.ValueOf(devices(b.Field(i))))
		default:
			d.value(at.field(field), a.Field(i), b.Field(i))
		}
	}
}

// entries compares lists whose entries have names.
func (d *differ) entries(list place, a, b reflect.Value) {
	before, after := named(a), named(b)
	for _, key := range append(keys(a), keys(b)...) {
		at := list.named(key)
		old, was := before[key]
		now, is := after[key]
		delete(before, key)
		delete(after, key)
		switch {
		case was && is && a.Type().Elem().Kind() == reflect.Interface:
			if !reflect.DeepEqual(old.Interface(), now.Interface()) {
				d.add(at, show(old), show(now))
			}
		case was && is:
			d.value(at, old, now)
		case was:
			d.add(at, show(old), "")
		case is:
			d.add(at, "", show(now))
		}
	}
}

// devices lists those of all channels, as clients see them: which channel one is on makes no difference to them.
func devices(channels reflect.Value) []drivers.Device {
	var all []drivers.Device
	for _, c := range channels.Interface().([]drivers.Channel) {
		all = append(all, c.Devices()...)
	}
	return all
}

func join(path, field string) string { return strings.TrimPrefix(path+"."+field, ".") }

// name tells how entries of a type are called; nil: their place is all that they have.
func name(t reflect.Type) func(v reflect.Value) string {
	if t == reflect.TypeFor[drivers.Channel]() {
		return func(v reflect.Value) string { return v.Interface().(drivers.Channel).Name() }
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for _, field := range []string{"URL", "Name", "PolicyURI", "Namespace", "ApplicationURI"} {
		if _, ok := t.FieldByName(field); ok {
			return func(v reflect.Value) string { return strings.TrimPrefix(v.FieldByName(field).String(), policyPrefix) }
		}
	}
	return nil
}

func keys(list reflect.Value) []string {
	var all []string
	for i := range list.Len() {
		all = append(all, name(list.Type().Elem())(list.Index(i)))
	}
	return all
}

// named maps the entries; where a name stands twice the first one counts, as everywhere in these files.
func named(list reflect.Value) map[string]reflect.Value {
	all := map[string]reflect.Value{}
	for i, key := range keys(list) {
		if _, twice := all[key]; !twice {
			all[key] = list.Index(i)
		}
	}
	return all
}

// show writes a value in a few words. What holds more than that is a block, which is there or not.
func show(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case drivers.Channel:
		return "(" + value.Summary() + ")"
	case time.Duration:
		return value.String()
	case string:
		return xmltree.Quote(value)
	case []string:
		return xmltree.Quote(strings.Join(value, " "))
	case SecuritySetting:
		return describeModes(value.Modes)
	case fmt.Stringer:
		return value.String()
	}
	switch v.Kind() {
	case reflect.Struct:
		return "(whole entry)"
	case reflect.Slice:
		return xmltree.Quote(strings.Trim(fmt.Sprint(v.Interface()), "[]"))
	}
	return fmt.Sprint(v.Interface())
}
