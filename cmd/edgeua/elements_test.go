package main

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/config/configtest"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// influence is what an element of the TwinCAT file changes in a running gateway: what probe sees is want with its value, and
// something else without.
type influence struct {
	value, plain string                 // of the element with and without; an empty plain: it is missing
	given        func(*configtest.Node) // what both files have besides
	files        func(t *testing.T, dir string)
	edge         string // edgeua.xml instead of one without listeners
	probe        func(*stage) string
	want         string
	without      string // what it sees without the value; empty: something else than want
	refused      bool   // want is part of why the gateway does not start
	batch        string // effects of one batch share two gateways, one with the values of all; want is part of what probe sees
}

// elementEffects has one influence for every element that has one.
func elementEffects(t *testing.T) map[string]influence {
	all := storeEffects()
	add := func(below string, more map[string]influence) {
		for path, e := range more {
			all[below+path] = e
		}
	}
	add("UaServerConfig/", limitEffects())
	add("UaServerConfig/", identityEffects())
	add("UaServerConfig/", registrationEffects(t))
	add("UaServerConfig/Trace/", traceEffects())
	add(endpointPath, endpointEffects(t))
	add(endpointPath+"SecurityCheckOverwrites/", overwriteEffects())
	add("UaServerConfig/UserIdentityTokens/", tokenEffects())
	return all
}

// TestElements_InARunningGateway starts a gateway for every element of the table: one that is honoured or mapped changes
// what its clients see; of one that has no effect, or is refused, the start says so. An element without a case fails.
func TestElements_InARunningGateway(t *testing.T) {
	bench := &workbench{t: t, cases: elementEffects(t), stages: map[string]*stage{}}
	left := maps.Clone(bench.cases)
	for _, e := range config.Elements() {
		c, known := left[e.Path]
		delete(left, e.Path)
		works := e.Kind != config.Block && (e.Handling == config.Honour || e.Handling == config.Map)
		switch {
		case works && !known:
			t.Errorf("%s has no case here", e.Path)
		case !works && known:
			t.Errorf("%s has a case, but the table says that it has no effect", e.Path)
		case works:
			t.Run(e.Path, func(t *testing.T) { bench.check(t, e.Path, c) })
		}
	}
	for path := range left {
		t.Errorf("%s is not in the table", path)
	}
}

// workbench runs the cases, and keeps the gateways that several of them can use.
type workbench struct {
	t      *testing.T
	cases  map[string]influence
	stages map[string]*stage
}

func (w *workbench) check(t *testing.T, path string, c influence) {
	with, without := w.observe(t, path, c, true), w.observe(t, path, c, false)
	part := c.refused || c.batch != ""
	switch {
	case c.without != "" && without != c.without:
		t.Errorf("without it: got %s, want %s", without, c.without)
	case without == with || part && strings.Contains(without, c.want):
		t.Errorf("%q makes no difference: %s", c.value, with)
	case with != c.want && !(part && strings.Contains(with, c.want)):
		t.Errorf("%q: got %s, want %s (without it: %s)", c.value, with, c.want, without)
	}
}

// observe gives what the probe sees in a gateway with or without the value, or why the gateway does not start.
func (w *workbench) observe(t *testing.T, path string, c influence, with bool) string {
	t.Helper()
	key := ""
	switch {
	case c.batch != "":
		key = fmt.Sprint(c.batch, with)
	case !with && c.given == nil && c.files == nil && c.plain == "" && c.edge == "" && !c.refused:
		key = "plain"
	}
	if s := w.stages[key]; s != nil {
		s.t = t
		return c.probe(s)
	}
	main := stageFile()
	if c.given != nil {
		c.given(main)
	}
	for other, o := range w.cases {
		if other == path || c.batch != "" && o.batch == c.batch {
			o.set(main, other, with)
		}
	}
	owner := t
	if key != "" {
		owner = w.t
	}
	s, err := openStage(owner, c.directory(owner), main.String(), or(c.edge, deaf))
	if err != nil {
		return "does not start: " + err.Error()
	}
	if key != "" {
		w.stages[key] = s
	} else {
		defer s.quit()
	}
	s.t = t
	if c.probe == nil {
		return "starts"
	}
	return c.probe(s)
}

// set gives the element its value, or takes it away.
func (c *influence) set(main *configtest.Node, path string, with bool) {
	switch {
	case with:
		main.Set(path, c.value)
	case c.plain != "":
		main.Set(path, c.plain)
	default:
		main.Remove(path)
	}
}

// directory holds the own certificate and what the case has besides.
func (c *influence) directory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ownFiles(t, dir)
	if c.files != nil {
		c.files(t, dir)
	}
	return dir
}

// problems prints a report.
func problems(r *xmltree.Report) string {
	var b bytes.Buffer
	_, _ = r.WriteTo(&b) // a Buffer takes everything
	return b.String()
}

// TestElements_WithoutEffect starts with every element that has no effect, and wants the log to say so, by name and with
// what happens instead, or nothing at all, as the table promises; what is refused has to refuse the start.
func TestElements_WithoutEffect(t *testing.T) {
	dir := t.TempDir()
	for _, c := range configtest.Cases() {
		e := c.Element
		if e.Handling == config.Honour || e.Handling == config.Map {
			continue
		}
		before, _ := startLog(t, dir, c.Plain)
		said, started := startLog(t, dir, c.With)
		said = slices.DeleteFunc(said, func(line string) bool { return slices.Contains(before, line) })
		name := filepath.Base(e.Path)
		spoken := slices.ContainsFunc(said, func(line string) bool {
			return strings.Contains(line, name) && strings.Contains(line, e.Note)
		})
		switch e.Handling {
		case config.Accept:
			if len(said) > 0 || !started {
				t.Errorf("%s: started %t, and said %q", e.Path, started, said)
			}
		case config.Warn:
			if !spoken || !started {
				t.Errorf("%s: started %t, and said %q", e.Path, started, said)
			}
		case config.Refuse:
			if started || len(said) == 0 {
				t.Errorf("%s: started %t, and said %q", e.Path, started, said)
			}
		}
	}
}

// startLog is what a gateway that reads a main file says about it, and whether it would start.
func startLog(t *testing.T, dir, text string) (lines []string, started bool) {
	t.Helper()
	_, report := configtest.Load(t, dir, text)
	var log bytes.Buffer
	logger, err := (&logFlags{format: "text"}).journal(&log)
	if err != nil {
		t.Fatal(err)
	}
	cfg, _ := configtest.Load(t, dir, text)
	tell(logger.Logger, report)
	seen := map[string]bool{}
	for line := range strings.Lines(log.String()) {
		_, problem, _ := strings.Cut(line, "OpcServerConfig/") // what is before it has the line number
		seen[problem] = true
	}
	return slices.Sorted(maps.Keys(seen)), cfg != nil
}
