package modbus

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// tagsAt makes tags from words like "h100:2" (area, offset, registers or bits).
func tagsAt(t testing.TB, words string) []Tag {
	t.Helper()
	var tags []Tag
	for _, w := range strings.Fields(words) {
		var n int
		address, length, _ := strings.Cut(w, ":")
		a, err := ParseAddress(address, Protocol0, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(length, &n); err != nil {
			t.Fatal(err)
		}
		tag := Tag{Address: a, Raw: String, Registers: n}
		if a.Area.bits() {
			tag.Address.Length, tag.Raw = n, Bool
		}
		tags = append(tags, tag)
	}
	return tags
}

func members(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func show(parts []extent) string {
	var all []string
	for _, e := range parts {
		all = append(all, fmt.Sprintf("%c%d:%d%v", " cdhi"[e.area], e.start, e.count, e.tags))
	}
	return strings.Join(all, " ")
}

func TestPlan(t *testing.T) {
	few := limits{registers: 125, bits: 2000, gap: 4}
	for _, c := range []struct {
		name, tags string
		lim        limits
		want       string
	}{
		{"one", "h5:1", few, "h5:1[0]"},
		{"adjacent", "h1:1 h0:1", few, "h0:2[1 0]"},
		{"gap just allowed", "h0:2 h6:1", few, "h0:7[0 1]"},
		{"gap too wide", "h0:2 h7:1", few, "h0:2[0] h7:1[1]"},
		{"no gap", "h0:1 h2:1 h3:1", limits{registers: 125, bits: 2000}, "h0:1[0] h2:2[1 2]"},
		{"areas apart", "h0:1 i0:1 c0:1 d0:1", few, "c0:1[2] d0:1[3] h0:1[0] i0:1[1]"},
		{"same register twice", "h3:1 h3:1", few, "h3:1[0 1]"},
		{"overlap", "h0:2 h1:2", few, "h0:3[0 1]"},
		{"inside", "h0:8 h2:1 h9:1", few, "h0:10[0 1 2]"},
		{"value not split", "h0:3 h3:4", limits{registers: 6, bits: 2000, gap: 4}, "h0:3[0] h3:4[1]"},
		{"full block", "h0:100 h100:25 h125:1", few, "h0:125[0 1] h125:1[2]"},
		{"bits", "c0:1 c64:1 c130:1", few, "c0:65[0 1] c130:1[2]"},
		{"bits limit", "c0:2000 c2000:1", few, "c0:2000[0] c2000:1[1]"},
		{"alone", "h0:1 h1:1", limits{registers: 125, bits: 2000, gap: 4, alone: true}, "h0:1[0] h1:1[1]"},
		{"end of the area", "h65535:1 h65530:2", few, "h65530:6[1 0]"},
	} {
		tags := tagsAt(t, c.tags)
		if got := show(plan(tags, members(len(tags)), c.lim)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSplit(t *testing.T) {
	lim := limits{registers: 125, bits: 2000, gap: 32}
	for _, c := range []struct{ name, tags, want string }{
		{"at gaps first", "h0:1 h1:1 h5:1 h9:2", "h0:2[0 1] h5:1[2] h9:2[3]"},
		{"in the middle", "h0:1 h1:1 h2:1 h3:1", "h0:2[0 1] h2:2[2 3]"},
		{"three", "h0:1 h1:1 h2:1", "h0:1[0] h1:2[1 2]"},
		{"one", "h0:4", ""},
		{"same register", "h0:1 h0:1 h0:1", ""},
		{"same register and next", "h0:1 h0:1 h0:1 h1:1", "h0:1[0 1 2] h1:1[3]"},
		{"overlap", "h0:2 h1:1", "h0:2[0] h1:1[1]"},
	} {
		tags := tagsAt(t, c.tags)
		e := plan(tags, members(len(tags)), lim)[0]
		if got := show(e.split(tags, lim)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Every tag is in exactly one request, whole, and no request is larger than allowed, however a plan is split.
func TestPlanHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lim := limits{registers: rapid.IntRange(8, 125).Draw(t, "registers"), bits: 2000, gap: rapid.IntRange(0, 40).Draw(t, "gap")}
		n := rapid.IntRange(1, 40).Draw(t, "tags")
		tags := make([]Tag, n)
		for i := range tags {
			tags[i] = Tag{Raw: String, Registers: rapid.IntRange(1, 8).Draw(t, "span")}
			tags[i].Address = Address{Area: HoldingRegisters, Offset: uint16(rapid.IntRange(0, 300).Draw(t, "offset")), Bit: noBit}
		}
		todo, done := plan(tags, members(n), lim), map[int]bool{}
		for len(todo) > 0 {
			e := todo[0]
			todo = todo[1:]
			if e.count > lim.registers || e.count < 1 {
				t.Fatalf("%s is too large", show([]extent{e}))
			}
			for _, i := range e.tags {
				if tags[i].first() < e.start || tags[i].end() > e.end() {
					t.Fatalf("tag %d is not inside of %s", i, show([]extent{e}))
				}
			}
			parts := e.split(tags, lim)
			if parts != nil {
				todo = append(todo, parts...)
				continue
			}
			for _, i := range e.tags {
				if done[i] {
					t.Fatalf("tag %d is read twice", i)
				}
				done[i] = true
			}
		}
		if len(done) != n {
			t.Fatalf("%d of %d tags are read", len(done), n)
		}
	})
}
