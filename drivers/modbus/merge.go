package modbus

import "context"

// neighbours takes the writes that came together with j out of what is held, as far as they write the places right behind
// it and behind each other, so that one request carries them all. What is written in another order stays in that order.
func (d *driver) neighbours(j *job) []*job {
	var all []*job
	last, size := j, 0
	for len(d.held) > 0 && j.merges() {
		next := d.held[0]
		if size == 0 {
			size = j.point.tag.span()
		}
		if !next.follows(last) || size+next.point.tag.span() > j.mostMerged() {
			break
		}
		if d.unhold(); next.Take() {
			all = append(all, next)
			last, size = next, size+next.point.tag.span()
		}
	}
	return all
}

// merges tells whether a job may share its request.
func (j *job) merges() bool { return j.device.merge && j.point != nil && j.point.tag.mask() == 0 }

// follows tells whether a job writes what comes right behind another one.
func (j *job) follows(before *job) bool {
	if !j.merges() || j.unit != before.unit || j.device != before.device {
		return false
	}
	t, last := j.point.tag, before.point.tag
	return t.Address.Area == last.Address.Area && t.first() == last.end()
}

// mostMerged is how many registers or bits one request may write.
func (j *job) mostMerged() int {
	if j.point.tag.Address.Area == Coils {
		return min(maxWriteBits, j.device.limits.bits)
	}
	return min(maxWriteRegisters, j.device.limits.registers)
}

// sendMerged writes neighbours in one request (function 15 or 16).
func (d *driver) sendMerged(ctx context.Context, jobs []*job) error {
	first := jobs[0].point.tag
	c := d.client(ctx, jobs[0].unit, jobs[0].device)
	var err error
	if first.Address.Area == Coils {
		wire, count := packedTogether(jobs)
		_, err = c.WriteMultipleCoils(first.Address.Offset, count, wire)
		return err
	}
	var wire []byte
	for _, j := range jobs {
		wire = append(wire, j.wire...)
	}
	_, err = c.WriteMultipleRegisters(first.Address.Offset, uint16(len(wire)/2), wire)
	return err
}

// packedTogether puts the bits of several writes behind each other.
func packedTogether(jobs []*job) (wire []byte, count uint16) {
	for _, j := range jobs {
		for i := range j.point.tag.count() {
			if count%8 == 0 {
				wire = append(wire, 0)
			}
			if bitAt(j.wire, i) {
				wire[count/8] |= 1 << (count % 8)
			}
			count++
		}
	}
	return wire, count
}
