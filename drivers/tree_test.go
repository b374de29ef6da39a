package drivers

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

func newTree() (*Tree, *addressspace.Space) {
	space := addressspace.New("urn:test")
	return NewTree(space, space.AddNamespace("urn:test:devices")), space
}

func device(name string, tags ...string) Device {
	d := Device{Name: name}
	for _, t := range tags {
		d.Tags = append(d.Tags, Tag{Name: t, Type: uabinary.TypeInt16, Access: ReadWrite})
	}
	return d
}

// watcher counts what a Variable tells.
type watcher struct{ heard []ua.StatusCode }

func (w *watcher) Changed(_ *addressspace.Variable, dv *uabinary.DataValue) {
	w.heard = append(w.heard, dv.Status)
}

func TestTreeKeepsWhatIsTheSame(t *testing.T) {
	tree, space := newTree()
	before := []Device{device("A", "Same", "Changed", "P.Gone", "P.Q.Gone", "R.Same"), device("B", "T")}
	if err := tree.Update(before); err != nil {
		t.Fatal(err)
	}
	watch := map[string]*watcher{}
	for _, id := range []string{"A.Same", "A.Changed", "A.P.Gone", "A.P.Q.Gone", "A.R.Same", "B.T"} {
		watch[id] = &watcher{}
		space.Variable(uabinary.StringID(2, id)).Watch(watch[id])
	}
	now := device("A", "New", "Same", "Changed", "R.Same")
	now.Tags[2].Description = "another one"
	if err := tree.Update([]Device{now, device("C", "T")}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string][]ua.StatusCode{
		"A.Same": nil, "A.R.Same": nil,
		"A.Changed": {ua.StatusBadNodeIDUnknown}, "A.P.Gone": {ua.StatusBadNodeIDUnknown},
		"A.P.Q.Gone": {ua.StatusBadNodeIDUnknown}, "B.T": {ua.StatusBadNodeIDUnknown},
	} {
		if !slices.Equal(watch[id].heard, want) {
			t.Errorf("%s heard %v, want %v", id, watch[id].heard, want)
		}
	}
	for id, there := range map[string]bool{
		"A": true, "A.New": true, "A.Changed": true, "A.P": false, "A.P.Q": false, "A.R": true, "B": false, "C.T": true,
	} {
		if got := space.Node(uabinary.StringID(2, id)) != nil; got != there {
			t.Errorf("%s is there: %v", id, got)
		}
	}
	changed := device("A", "New", "Same", "Changed", "R.Same")
	changed.Description = "the device itself is another one"
	if err := tree.Update([]Device{changed}); err != nil || len(watch["A.Same"].heard) != 1 {
		t.Errorf("%v, A.Same heard %v", err, watch["A.Same"].heard)
	}
}

// fake is a channel whose driver adds a node for itself and one for its device.
type fake struct {
	name    string
	devices []Device
	broken  bool
}

func (f *fake) Name() string                { return f.name }
func (f *fake) Summary() string             { return f.name }
func (f *fake) Devices() []Device           { return f.devices }
func (f *fake) New(log *slog.Logger) Driver { log.Debug("made"); return f }
func (f *fake) Bind(vars map[string]*addressspace.Variable) {
	for _, v := range vars {
		v.SetWriter(nil)
	}
}
func (f *fake) Run(context.Context) error { return nil }

func (f *fake) AddNodes(space *addressspace.Space, ns uint16) error {
	if _, err := AddChannel(space, ns, f.name); err != nil {
		return err
	}
	for _, d := range f.devices {
		if _, err := AddExtra(space, DeviceID(ns, d.Name, "Diagnostics"), DeviceID(ns, d.Name, ""), "Diagnostics"); err != nil {
			return err
		}
	}
	if f.broken {
		return errors.New("broken")
	}
	return nil
}

func TestTreeRemovesTheNodesOfADriver(t *testing.T) {
	tree, space := newTree()
	a, b := &fake{name: "a", devices: []Device{device("A", "T")}}, &fake{name: "b", devices: []Device{device("B", "T")}}
	if err := tree.Update(slices.Concat(a.devices, b.devices)); err != nil {
		t.Fatal(err)
	}
	remove, err := tree.AddNodes(a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.AddNodes(b); err != nil {
		t.Fatal(err)
	}
	remove()
	for id, there := range map[string]bool{"#Channels/a": false, "A#Diagnostics": false, "#Channels/b": true, "B#Diagnostics": true, "A.T": true} {
		if got := space.Node(uabinary.StringID(2, id)) != nil; got != there {
			t.Errorf("%s is there: %v", id, got)
		}
	}
	if _, err := tree.AddNodes(a); err != nil { // once more
		t.Error(err)
	}
}

func TestTreeBindForgetsTheDemandOfTheDriverBefore(t *testing.T) {
	tree, space := newTree()
	f := &fake{name: "a", devices: []Device{device("A", "T")}}
	if err := tree.Update(f.devices); err != nil {
		t.Fatal(err)
	}
	asked := 0
	v := space.Variable(uabinary.StringID(2, "A.T"))
	v.SetDemand(func(bool) { asked++ })
	tree.Bind(f, f.devices)
	if v.Watch(&watcher{}); asked > 0 {
		t.Error("the old driver still hears of watchers")
	}
}

func TestCheckFindsWhatCannotBeTogether(t *testing.T) {
	good := &fake{name: "good", devices: []Device{device("A", "T")}}
	for want, channels := range map[string][]Channel{
		"":         {good},
		"broken":   {good, &fake{name: "bad", broken: true}},
		"A.B":      {&fake{name: "one", devices: []Device{device("A", "B.C")}}, &fake{name: "two", devices: []Device{device("A.B", "C")}}},
		"is taken": {good, &fake{name: "two", devices: []Device{device("A", "T")}}},
	} {
		err := Check(channels)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

// A tag may have members: tags below it. What becomes of them follows what becomes of it.
func TestTreeWithMembers(t *testing.T) {
	wider := device("A", "Status", "Status.Run")
	wider.Tags[0].Description = "another one"
	for name, devices := range map[string][2]Device{
		"the same":              {device("A", "Status", "Status.Run"), device("A", "Status", "Status.Run")},
		"a member less":         {device("A", "Status", "Status.Run"), device("A", "Status")},
		"a member more":         {device("A", "Status"), device("A", "Status", "Status.Run")},
		"another tag":           {device("A", "Status", "Status.Run"), wider},
		"no tag but a folder":   {device("A", "Status", "Status.Run"), device("A", "Status.Run")},
		"no folder but a tag":   {device("A", "Status.Run"), device("A", "Status", "Status.Run")},
		"everything goes":       {device("A", "Status", "Status.Run", "T"), device("A", "T")},
		"from a folder to none": {device("A", "Status.Run", "T"), device("A", "T")},
	} {
		tree, space := newTree()
		for _, d := range devices {
			if err := tree.Update([]Device{d}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, id := range []string{"Status", "Status.Run"} {
				n, there := space.Node(uabinary.StringID(2, "A."+id)), slices.ContainsFunc(d.Tags, func(t Tag) bool { return t.Name == id })
				if v := tree.vars["A."+id]; there && (n == nil || n.Variable == nil || n.Variable != v) || !there && v != nil {
					t.Errorf("%s: %s is %v, %v", name, id, n, v)
				}
			}
		}
	}
}
