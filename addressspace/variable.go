package addressspace

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// Variable is what only nodes of the class Variable have (Part 3 (1.05),
// 5.6.2): their value and what may be done with it. The exported fields do
// not change once the node is in a Space.
type Variable struct {
	DataType                uabinary.NodeID
	ArrayDimensions         []uint32 // one length per dimension, 0 for any; nil for scalars
	MinimumSamplingInterval float64  // milliseconds; 0: reported as it changes
	ValueRank               int32    // -1 scalar, 1 array, n dimensions; -2 any, -3 scalar or array, 0 array of any dimensions
	AccessLevelEx           uint32   // Part 3 (1.05), 8.58; the low byte is AccessLevel
	AccessLevel             uint8    // Part 3 (1.05), 8.57
	Historizing             bool

	retired bool // guarded by setting
	node    *Node
	initial span // of the value in the nodeset, until it is first read
	value   atomic.Pointer[uabinary.DataValue]
	hooks   atomic.Pointer[hooks] // replaced as a whole under watching

	// setting is held while a value is stored and pushed, so that the last
	// value stored is the last one pushed.
	setting sync.Mutex
	// watching is held while watchers or hooks change.
	watching sync.Mutex
	watchers atomic.Pointer[[]Watcher] // nil: nobody; never changed in place
}

// hooks are what few Variables have.
type hooks struct {
	source    func() uabinary.DataValue
	writer    Writer
	refresher Refresher
	demand    func(watched bool)
}

// Watcher is told of every value that is set, changed or not. The call comes
// on the goroutine that sets, which holds a lock of the Variable: Changed
// must not block and must not set the Variable. It may call Watch and
// Unwatch. dv does not change any more.
type Watcher interface {
	Changed(v *Variable, dv *uabinary.DataValue)
}

// Writer carries a value to where the Variable gets its values from, say a
// device, and returns the answer. It may block until ctx ends. On success it
// is the Writer that sets the Variable, now or with the next poll.
type Writer interface {
	Write(ctx context.Context, value uabinary.DataValue) ua.StatusCode
}

// Refresher gets new values of Variables from where they come from, say a device that is not read all the time.
type Refresher interface {
	// Refresh reads Variables, all of them with this Refresher, and returns when they are set, when that cannot be done
	// now, or when ctx ends. It may be called from any goroutine.
	Refresh(ctx context.Context, variables []*Variable)
}

// SourceWriter is a Writer whose source can take the values of several Variables together, as a Write call brings them.
type SourceWriter interface {
	Writer
	// Source is the same for all Variables of one source.
	Source() Source
}

// Source carries values to where several Variables get theirs from.
type Source interface {
	// WriteAll carries out writes, all of them to Variables of this Source, as if one followed the other, and returns the
	// answer to each. It may block until ctx ends.
	WriteAll(ctx context.Context, writes []Write) []ua.StatusCode
}

// Write is one value for a Source.
type Write struct {
	Writer SourceWriter
	Value  uabinary.DataValue
}

// Node returns the node that the Variable belongs to.
func (v *Variable) Node() *Node { return v.node }

// Value returns the value, its StatusCode and its timestamps. A Variable that
// was added without a value has the status BadWaitingForInitialData.
func (v *Variable) Value() uabinary.DataValue {
	if h := v.hooks.Load(); h != nil && h.source != nil {
		return h.source()
	}
	return *v.stored()
}

// Current is Value without a copy, for who keeps it: it does not change any
// more.
func (v *Variable) Current() *uabinary.DataValue {
	if h := v.hooks.Load(); h != nil && h.source != nil {
		dv := h.source()
		return &dv
	}
	return v.stored()
}

func (v *Variable) stored() *uabinary.DataValue {
	if dv := v.value.Load(); dv != nil {
		return dv
	}
	return v.loadInitial()
}

// loadInitial fetches the value of a standard node that nobody has read yet.
func (v *Variable) loadInitial() *uabinary.DataValue {
	dv := nodeset.value(v.initial)
	dv.SourceTimestamp = v.node.space.created
	v.value.CompareAndSwap(nil, &dv)
	return v.value.Load()
}

// Set stores dv and pushes it to all watchers. The caller does not change *dv
// any more. It does nothing once the node was removed from its Space.
func (v *Variable) Set(dv *uabinary.DataValue) {
	v.setting.Lock()
	defer v.setting.Unlock()
	if v.retired {
		return
	}
	v.push(dv)
}

func (v *Variable) push(dv *uabinary.DataValue) {
	v.value.Store(dv)
	if all := v.watchers.Load(); all != nil {
		for _, w := range *all {
			w.Changed(v, dv)
		}
	}
}

// retire tells the watchers that the node is gone, so that what they monitor
// does not fall silent on its last value.
func (v *Variable) retire() {
	v.setting.Lock()
	defer v.setting.Unlock()
	if !v.retired {
		v.retired = true
		v.push(&uabinary.DataValue{Status: ua.StatusBadNodeIDUnknown})
	}
}

// Watch makes w see every value set from now on. The present value is not
// delivered; read it after Watch so that none is missed. The same value may
// then come a second time through Changed.
func (v *Variable) Watch(w Watcher) {
	v.watching.Lock()
	defer v.watching.Unlock()
	var all []Watcher
	if old := v.watchers.Load(); old != nil {
		all = *old
	}
	// Behind its end nobody else reads the array.
	all = append(all, w)
	v.watchers.Store(&all)
	if len(all) == 1 {
		v.demand(true)
	}
}

// Unwatch ends one Watch of w. A call of Changed that has already begun on
// another goroutine may still be under way when Unwatch returns.
func (v *Variable) Unwatch(w Watcher) {
	found := false
	v.unwatch(func(other Watcher) bool {
		if found || other != w {
			return false
		}
		found = true
		return true
	})
}

// UnwatchAll is Unwatch for all watchers in gone at once, however often they
// watch: one by one, thousands of them would take seconds.
func (v *Variable) UnwatchAll(gone map[Watcher]bool) {
	v.unwatch(func(w Watcher) bool { return gone[w] })
}

func (v *Variable) unwatch(gone func(Watcher) bool) {
	v.watching.Lock()
	defer v.watching.Unlock()
	old := v.watchers.Load()
	if old == nil {
		return
	}
	all := make([]Watcher, 0, len(*old))
	for _, w := range *old {
		if !gone(w) {
			all = append(all, w)
		}
	}
	switch {
	case len(all) == len(*old):
	case len(all) > 0:
		v.watchers.Store(&all)
	default:
		v.watchers.Store(nil)
		v.demand(false)
	}
}

// Watched reports whether anybody watches.
func (v *Variable) Watched() bool { return v.watchers.Load() != nil }

// demand tells the hook, if there is one. The caller holds watching.
func (v *Variable) demand(watched bool) {
	if h := v.hooks.Load(); h != nil && h.demand != nil {
		h.demand(watched)
	}
}

// SetDemand makes f hear when the first watcher comes and when the last one
// goes, in this order and never twice at a time. If there are watchers
// already, f is called at once. f must not block and must not call Watch,
// Unwatch or a setter of hooks of this Variable. A nil f ends it.
func (v *Variable) SetDemand(f func(watched bool)) {
	v.watching.Lock()
	defer v.watching.Unlock()
	v.changeHooks(func(h *hooks) { h.demand = f })
	if v.watchers.Load() != nil {
		v.demand(true)
	}
}

// Writer returns what carries a Write to its destination. nil: the value is
// plain memory and Set is all there is to do.
func (v *Variable) Writer() Writer {
	if h := v.hooks.Load(); h != nil {
		return h.writer
	}
	return nil
}

// Refresher returns what gets a newer value than the present one. nil: there is none.
func (v *Variable) Refresher() Refresher {
	if h := v.hooks.Load(); h != nil {
		return h.refresher
	}
	return nil
}

// SetRefresher sets the Refresher; nil ends it.
func (v *Variable) SetRefresher(r Refresher) {
	v.setHooks(func(h *hooks) { h.refresher = r })
}

// SetWriter sets the Writer; nil ends it.
func (v *Variable) SetWriter(w Writer) {
	v.setHooks(func(h *hooks) { h.writer = w })
}

// Dynamic reports whether the value is computed as it is read. Nothing is
// pushed then: who monitors the Variable samples it.
func (v *Variable) Dynamic() bool {
	h := v.hooks.Load()
	return h != nil && h.source != nil
}

// SetSource makes every read of the value call f, which must be fast and safe
// for concurrent use; nil ends it. Set is not used on such a Variable.
func (v *Variable) SetSource(f func() uabinary.DataValue) {
	v.setHooks(func(h *hooks) { h.source = f })
}

func (v *Variable) setHooks(change func(*hooks)) {
	v.watching.Lock()
	defer v.watching.Unlock()
	v.changeHooks(change)
}

// changeHooks replaces the hooks by a changed copy. The caller holds watching.
func (v *Variable) changeHooks(change func(*hooks)) {
	var h hooks
	if old := v.hooks.Load(); old != nil {
		h = *old
	}
	change(&h)
	v.hooks.Store(&h)
}
