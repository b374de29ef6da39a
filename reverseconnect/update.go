package reverseconnect

import (
	"context"
	"fmt"
	"reflect"
	"sync"
)

// key tells targets apart: one listener may be called for several endpoints.
type key struct{ address, endpointURL string }

func (d *dialler) key() key {
	d.mu.Lock()
	defer d.mu.Unlock()
	return key{d.addresses[0], d.EndpointURL}
}

// plan checks targets and makes their diallers.
func (m *Manager) plan(targets []Target) ([]*dialler, error) {
	all := make([]*dialler, 0, len(targets))
	seen := make(map[key]bool, len(targets))
	for i := range targets {
		t := &targets[i]
		addresses, err := t.check()
		if err != nil {
			return nil, fmt.Errorf("reverseconnect: client %q: %w", t.URL, err)
		}
		d := newDialler(m, t, addresses)
		if seen[d.key()] {
			return nil, fmt.Errorf("reverseconnect: client %q is there twice", t.URL)
		}
		seen[d.key()] = true
		all = append(all, d)
	}
	return all, nil
}

// Check tells whether Update could do this, and does nothing.
func (m *Manager) Check(targets []Target, maxSockets int) error {
	if maxSockets < 0 {
		return errMaxSockets(maxSockets)
	}
	_, err := m.plan(targets)
	return err
}

// Update replaces targets and cap. A target that is there before and after, with the same settings, does not notice, and
// neither do its sockets; Serve of the old one stays. New Alternatives count from the next call on. The sockets of all others are closed as at the end of Run, and
// a client whose settings have changed is called anew when they are. With an error nothing has changed.
func (m *Manager) Update(targets []Target, maxSockets int) error {
	next, err := m.plan(targets)
	if err != nil {
		return err
	}
	if maxSockets < 0 {
		return errMaxSockets(maxSockets)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	before := make(map[key]*dialler, len(m.diallers))
	for _, d := range m.diallers {
		before[d.key()] = d
	}
	for i, d := range next {
		if old := before[d.key()]; old != nil && old.same(&d.Target) {
			old.readdress(d)
			next[i] = old
			delete(before, d.key())
		}
	}
	for k, d := range before {
		m.leave(k, d)
	}
	for _, d := range next {
		if !d.started {
			d.after = m.leaving[d.key()]
		}
	}
	m.diallers = next
	m.slots.resize(maxSockets)
	select {
	case m.updated <- struct{}{}:
	default:
	}
	return nil
}

// leave has a dialler close its sockets. m.mu is held.
func (m *Manager) leave(k key, d *dialler) {
	if !d.started {
		return
	}
	d.cancel()
	m.leaving[k] = d.gone
}

// start starts the diallers that do not run. It is called by Run only.
func (m *Manager) start(ctx context.Context, owners *sync.WaitGroup) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, gone := range m.leaving {
		select {
		case <-gone:
			delete(m.leaving, k)
		default:
		}
	}
	for _, d := range m.diallers {
		if d.started {
			continue
		}
		d.started = true
		own, cancel := context.WithCancel(ctx)
		d.cancel = cancel
		owners.Go(func() {
			defer cancel()
			d.run(own)
		})
	}
}

// same tells whether other asks for the same, perhaps at further addresses. Serve cannot be compared: it is the same if
// whom it expects is.
func (d *dialler) same(other *Target) bool {
	a, b := d.Target, *other
	a.Serve, b.Serve = nil, nil
	a.Alternatives, b.Alternatives = nil, nil
	return reflect.DeepEqual(a, b)
}

// readdress takes over the further addresses of one that is otherwise the same.
func (d *dialler) readdress(from *dialler) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addresses = from.addresses
}
