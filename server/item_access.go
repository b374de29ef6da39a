package server

import (
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

// What MonitoredItems tell depends on who the Session acts for at the time
// (Part 4 (1.05), 5.7.3.1: rights are those of the new user from then on).

// userChanged makes u the user whose rights the items are held against. An item
// that u may not read reports BadUserAccessDenied from now on, and what it had
// to say before is forgotten; one that u may read now reports its value.
func (subs *sessionSubscriptions) userChanged(u *user) {
	subs.mu.Lock()
	subs.user.Store(u)
	var first, again []*monitoredItem
	for _, sub := range subs.all {
		for _, item := range sub.items {
			switch barred := item.bars(u); {
			case barred != item.barred:
				item.barred = barred
				item.clear()
				if barred {
					sub.forgetAll()
				}
				first = append(first, item)
			case dependsOnUser(item.attribute):
				again = append(again, item)
			}
		}
	}
	subs.mu.Unlock()
	for _, item := range first {
		item.takeFirst(item.current())
	}
	for _, item := range again {
		item.takeAgain(item.current())
	}
}

// bars reports whether u may not read what the item watches.
func (item *monitoredItem) bars(u *user) bool {
	return !item.sub.owner.server.may(u, item.node, rightToRead(item.attribute))
}

// takeAgain samples an attribute that nobody pushes.
func (item *monitoredItem) takeAgain(dv *uabinary.DataValue) {
	subs := item.sub.owner
	now := subs.now()
	subs.mu.Lock()
	item.sample(dv, now)
	subs.mu.Unlock()
}

// deniedValue is what an item reports that its user may not read.
func deniedValue() *uabinary.DataValue {
	return &uabinary.DataValue{Status: ua.StatusBadUserAccessDenied}
}

// forgetAll drops all messages kept for Republish.
func (sub *subscription) forgetAll() {
	for len(sub.retained) > 0 {
		sub.forget(0)
	}
}
