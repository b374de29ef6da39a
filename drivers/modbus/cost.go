package modbus

import (
	"fmt"
	"slices"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// cost is what a request of an extent takes on a serial line: request and reply, the silence before each of them, and the
// device.
func (c *channel) cost(e *extent, thinking time.Duration) time.Duration {
	size := c.framing.codec().size
	data := 2 * e.count
	if e.area.bits() {
		data = (e.count + 7) / 8
	}
	return time.Duration(size(5)+size(2+data))*c.line.Character() + c.silence() + thinking
}

// silence is what passes around a request: before it, where more may be asked for, and before the reply.
func (c *channel) silence() time.Duration {
	reply := lineSilence(c.framing, c.line)
	silence := max(reply, c.bus.interFrameDelay) + reply
	if slices.ContainsFunc(c.devices, func(d device) bool { return d.unit != c.devices[0].unit }) {
		silence += c.bus.unitChangeDelay // at most: one unit's requests go together
	}
	return silence
}

// gap is the number of registers that take as long on the wire as a further request.
func (c *channel) gap(thinking time.Duration) int {
	size := c.framing.codec().size
	register := time.Duration(size(2)-size(0)) * c.line.Character()
	return int(c.cost(&extent{area: HoldingRegisters}, thinking) / register)
}

// loads estimates what each group costs a serial line; nil where there is no such line. What is read only while somebody
// watches counts as if somebody did.
func (c *channel) loads() drivers.Estimate {
	if c.line == nil {
		return nil
	}
	var all drivers.Estimate
	for i := range c.devices {
		dev := &c.devices[i]
		for g := range dev.groups {
			if dev.disabled || dev.groups[g].once {
				continue
			}
			s := drivers.Share{Task: fmt.Sprintf("read group %s of %s", xmltree.Quote(dev.groups[g].name), xmltree.Quote(dev.name))}
			for _, e := range plan(dev.tags, dev.members(g), dev.limits) {
				s.Part += c.cost(&e, drivers.ThinkingTime).Seconds() / dev.groups[g].period.Seconds()
			}
			all = append(all, s)
		}
	}
	return all
}

// members are the tags of a group that are read.
func (d *device) members(group int) []int {
	var members []int
	for i := range d.tags {
		if d.tags[i].Group == group && d.tags[i].Access&drivers.ReadOnly != 0 {
			members = append(members, i)
		}
	}
	return members
}

// learn plans a unit anew once it is known how long it takes to answer, because that decides how many registers may be
// read in vain to save a request. What has been learned from refusals counts for more and stays.
func (d *driver) learn(u *unit) {
	if u.learned || d.channel.line == nil {
		return
	}
	thinking, ok := u.tally.Trips.Thinking()
	if !ok {
		return
	}
	u.learned = true
	if u.split {
		return
	}
	u.gap = d.channel.gap(thinking)
	before := len(u.blocks)
	if !d.wouldChange(u) {
		return
	}
	d.replan(u)
	d.log.Info("unit measured, reads planned anew", "unit", u.id, "thinking", thinking, "gap", u.gap, "blocks_before", before, "blocks", len(u.blocks))
}

// wouldChange tells whether planning with the measured gap gives another number of requests.
func (d *driver) wouldChange(u *unit) bool {
	n := 0
	seen := map[*device]bool{}
	for _, b := range u.blocks {
		if seen[b.device] {
			continue
		}
		seen[b.device] = true
		for g := range b.device.groups {
			n += len(plan(b.device.tags, b.device.members(g), u.limits(b.device)))
		}
	}
	return n != len(u.blocks)
}

// limits are those of the device, with what was measured.
func (u *unit) limits(dev *device) limits {
	lim := dev.limits
	if lim.auto && u.gap > 0 {
		lim.gap = u.gap
	}
	return lim
}
