package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/config/configtest"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// TestElements_NoneIsForgotten changes the value of every element of the table and wants what the table promises: another
// Config or a finding, a warning, silence, or a refusal.
func TestElements_NoneIsForgotten(t *testing.T) {
	dir := t.TempDir()
	for _, c := range configtest.Cases() {
		plain, before := configtest.Load(t, dir, c.Plain)
		cfg, after := configtest.Load(t, dir, c.With)
		said := added(before, after)
		mentioned := slices.ContainsFunc(said, func(p xmltree.Problem) bool {
			step := c.Element.Path[strings.LastIndexByte(c.Element.Path, '/')+1:]
			return strings.Contains(p.Path+p.Message, step) || c.Element.Note != "" && strings.Contains(p.Message, c.Element.Note)
		})
		changed := plain != nil && cfg != nil && len(config.Diff(plain, cfg)) > 0
		var kept bool
		switch c.Element.Handling {
		case config.Honour, config.Map:
			kept = changed || mentioned
		case config.Warn:
			kept = mentioned && cfg != nil
		case config.Accept:
			kept = len(said) == 0
		case config.Refuse:
			kept = cfg == nil && len(said) > 0
		}
		if !kept {
			t.Errorf("%s = %q is %v, but changed %t, said %v", c.Element.Path, c.Value, c.Element.Handling, changed, said)
		}
	}
}

// added lists the problems that are new.
func added(before, after *xmltree.Report) []xmltree.Problem {
	return slices.DeleteFunc(slices.Clone(after.Problems), func(p xmltree.Problem) bool {
		return slices.ContainsFunc(before.Problems, func(o xmltree.Problem) bool { return o.Path == p.Path && o.Message == p.Message })
	})
}

// TestElements_BlocksHoldSomething wants every block of the table to have elements, and every element a block.
func TestElements_BlocksHoldSomething(t *testing.T) {
	kinds := map[string]config.Kind{"": config.Block}
	for _, e := range config.Elements() {
		kinds[e.Path] = e.Kind
	}
	filled := map[string]bool{}
	for _, e := range config.Elements() {
		parent := e.Path[:max(strings.LastIndexByte(e.Path, '/'), 0)]
		if kind, known := kinds[parent]; !known || kind != config.Block {
			t.Errorf("%s is not in a block of the table", e.Path)
		}
		filled[parent] = true
	}
	for path, kind := range kinds {
		if kind == config.Block && !filled[path] {
			t.Errorf("the block %s is empty", path)
		}
	}
}
