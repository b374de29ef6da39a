package modbus

import (
	"cmp"
	"slices"
)

// limits bound one read request.
type limits struct {
	registers, bits int  // of one request
	gap             int  // registers read in vain to save a request; sixteen times as many bits
	auto            bool // the gap follows from what a request costs
	skips           []skip
	alone           bool // one request for each tag, but for one inside another
}

// skip is a range that is never read in vain: some devices fail when it is touched.
type skip struct {
	area     Area
	from, to int // offsets, both inside
}

// crosses tells whether reading from one offset up to another one would touch a range to be skipped.
func (l *limits) crosses(area Area, from, to int) bool {
	return slices.ContainsFunc(l.skips, func(s skip) bool { return s.area == area && from <= s.to && s.from < to })
}

// extent is what one request reads: count registers or bits from start, for the tags in it.
type extent struct {
	area         Area
	start, count int
	tags         []int // indexes of the tags, by address
}

func (e *extent) end() int { return e.start + e.count }

// plan puts near tags into one request. A tag is never split over two, so that its value is never half old and half new.
func plan(tags []Tag, members []int, lim limits) []extent {
	members = slices.Clone(members)
	slices.SortStableFunc(members, func(a, b int) int {
		x, y := &tags[a], &tags[b]
		return cmp.Or(cmp.Compare(x.Address.Area, y.Address.Area), cmp.Compare(x.first(), y.first()), cmp.Compare(y.end(), x.end()))
	})
	var all []extent
	for _, i := range members {
		if n := len(all); n == 0 || !all[n-1].take(&tags[i], i, lim) {
			all = append(all, extent{tags[i].Address.Area, tags[i].first(), tags[i].span(), []int{i}})
		}
	}
	return all
}

// take adds the tag to the extent if it may.
func (e *extent) take(t *Tag, i int, lim limits) bool {
	most, gap := lim.registers, lim.gap
	if e.area.bits() {
		most, gap = lim.bits, 16*lim.gap
	}
	last := max(e.end(), t.end())
	if lim.crosses(e.area, e.end(), t.first()) || lim.alone && t.end() > e.end() || t.Address.Area != e.area || t.first()-e.end() > gap || last-e.start > most {
		return false
	}
	e.count = last - e.start
	e.tags = append(e.tags, i)
	return true
}

// split divides an extent that the device refused: first where it has gaps, because some devices refuse registers that
// do not exist, then in the middle between two tags. nil: it cannot be divided any more.
func (e *extent) split(tags []Tag, lim limits) []extent {
	lim.gap = 0
	if parts := plan(tags, e.tags, lim); len(parts) > 1 {
		return parts
	}
	same := func(a, b int) bool {
		return tags[a].first() == tags[b].first() && tags[a].end() == tags[b].end()
	}
	for distance := range len(e.tags) {
		for _, cut := range []int{len(e.tags)/2 - distance, len(e.tags)/2 + distance} {
			if cut > 0 && cut < len(e.tags) && !same(e.tags[cut-1], e.tags[cut]) {
				return append(plan(tags, e.tags[:cut], lim), plan(tags, e.tags[cut:], lim)...)
			}
		}
	}
	return nil
}
