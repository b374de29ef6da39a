package server

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/edgeua/edgeua/internal/uabinary"
	"pgregory.net/rapid"
)

// modelQueue is the plainest form of Part 4 (1.05), 5.13.1.5: a slice of values
// and of overflow marks.
type modelQueue struct {
	values   []int32
	overflow []bool
	size     int
}

func (m *modelQueue) push(v int32, discardOldest bool) {
	if len(m.values) < m.size {
		m.values, m.overflow = append(m.values, v), append(m.overflow, false)
		return
	}
	if discardOldest || m.size == 1 {
		m.values = append(m.values[1:], v)
		m.overflow = append(m.overflow[1:], false)
		m.overflow[0] = m.size > 1
		return
	}
	m.values[m.size-1], m.overflow[m.size-1] = v, true
}

func (m *modelQueue) pop() (int32, bool) {
	v, o := m.values[0], m.overflow[0]
	m.values, m.overflow = m.values[1:], m.overflow[1:]
	return v, o
}

func TestMonitoredItemQueue_Part4_51315_BehavesLikeTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 9).Draw(t, "size")
		discardOldest := rapid.Bool().Draw(t, "discardOldest")
		var budget atomic.Int64
		q := valueQueue{size: uint32(size)}
		model := modelQueue{size: size}
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(model.values) > 0 && rapid.IntRange(0, 2).Draw(t, "op") == 0 {
				want, overflow := model.pop()
				got := q.pop(&budget)
				if n, _ := got.Value.Number(); int32(n) != want || (got.Status&overflowBits != 0) != overflow {
					t.Fatalf("popped %v (status %x), want %d overflow %v", n, uint32(got.Status), want, overflow)
				}
				continue
			}
			dv := &uabinary.DataValue{Value: uabinary.Int32Variant(int32(i))}
			budget.Add(valueSize(dv))
			q.push(dv, discardOldest, &budget)
			model.push(int32(i), discardOldest)
		}
		if q.len() != len(model.values) {
			t.Fatalf("length %d, want %d", q.len(), len(model.values))
		}
		if want := int64(q.len()) * valueSize(&uabinary.DataValue{}); budget.Load() != want {
			t.Fatalf("budget %d for %d values, want %d", budget.Load(), q.len(), want)
		}
		q.clear(&budget)
		if budget.Load() != 0 || q.len() != 0 {
			t.Fatalf("after clear: budget %d, length %d", budget.Load(), q.len())
		}
	})
}

func TestMonitoredItemQueue_ResizeKeepsOrderAndDiscardsByPolicy(t *testing.T) {
	for _, tt := range []struct {
		name          string
		to            uint32
		discardOldest bool
		want          []float64
	}{
		{"larger", 8, true, []float64{0, 1, 2, 3}},
		{"smaller, discard oldest", 2, true, []float64{2, 3}},
		{"smaller, discard newest", 2, false, []float64{0, 3}},
		{"one", 1, true, []float64{3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var budget atomic.Int64
			q := valueQueue{size: 4}
			for i := range 4 {
				dv := &uabinary.DataValue{Value: uabinary.Int32Variant(int32(i))}
				budget.Add(valueSize(dv))
				q.push(dv, true, &budget)
			}
			q.resize(tt.to, tt.discardOldest, &budget)
			var got []float64
			for q.len() > 0 {
				dv := q.pop(&budget)
				n, _ := dv.Value.Number()
				got = append(got, n)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("queue holds %v, want %v", got, tt.want)
			}
			if budget.Load() != 0 {
				t.Errorf("budget %d after everything was taken", budget.Load())
			}
		})
	}
}
