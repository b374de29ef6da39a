package xmltree

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func mustParse(t *testing.T, in string) *Element {
	t.Helper()
	root, err := Parse("f.xml", []byte(in), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestSettings_Values(t *testing.T) {
	root := mustParse(t, `<C Port="502" Big="1"><Name> x </Name><Wait>250</Wait><F>-0.5</F><On>1</On><Mode>rtscts</Mode><Tag/><Tag/><Empty/></C>`)
	r := &Report{}
	s := r.Settings(root)
	got := fmt.Sprintln(
		s.Required("Name"), s.Int("Port", 1, 1, 65535), s.Millis("Wait", 0, 0, time.Second), s.Float("F", 0), s.Bool("On", false),
		s.Bool("Big", false), s.Choice("Mode", "none", "none", "rtscts"), len(s.Children("Tag")), s.Has("Empty"), s.String("Empty", "def"),
		s.String("No", "def"), s.Int("No1", 7, 1, 2), s.Millis("No2", time.Hour, 0, 1), s.Float("No3", 2), s.Bool("No4", true),
		s.Choice("No5", "none", "rtscts"), s.Has("No6"))
	if want := "x 502 250ms -0.5 true true rtscts 2 true  def 7 1h0m0s 2 true none false"; strings.TrimSpace(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.Done()
	if len(r.Problems) > 0 {
		t.Error(r.Problems)
	}
}

func TestSettings_Problems(t *testing.T) {
	for _, tc := range []struct {
		in   string
		read func(s *Settings)
		want string
	}{
		{`<C/>`, func(s *Settings) { s.Required("Name") }, "f.xml:1: error: C: Name is missing; it is required"},
		{"<C>\n<Port/></C>", func(s *Settings) { s.Required("Port") }, "f.xml:2: error: C/Port: is empty; it is required"},
		{"<C>\n<Port>70000</Port></C>", func(s *Settings) { s.Int("Port", 1, 1, 65535) }, `f.xml:2: error: C/Port: "70000" is not a whole number from 1 to 65535`},
		{`<C Port="0x10"/>`, func(s *Settings) { s.Int("Port", 1, 1, 65535) }, `f.xml:1: error: C/Port: "0x10" is not a whole number from 1 to 65535`},
		{`<C W="5s"/>`, func(s *Settings) { s.Millis("W", 0, time.Second, time.Minute) }, `f.xml:1: error: C/W: "5s" is not a whole number of milliseconds from 1000 to 60000`},
		{`<C W="999"/>`, func(s *Settings) { s.Millis("W", 0, time.Second, time.Minute) }, `f.xml:1: error: C/W: "999" is not a whole number of milliseconds from 1000 to 60000`},
		{`<C F="NaN"/>`, func(s *Settings) { s.Float("F", 0) }, `f.xml:1: error: C/F: "NaN" is not a number, such as 0.1 or -50`},
		{`<C B="True"/>`, func(s *Settings) { s.Bool("B", false) }, `f.xml:1: error: C/B: "True" is neither 0, 1, true nor false`},
		{`<C P="odd"/>`, func(s *Settings) { s.Choice("P", "N", "N", "E", "O") }, `f.xml:1: error: C/P: "odd" is not one of N, E, O`},
		{`<C T="modbustcp"/>`, func(s *Settings) { s.Choice("T", "", "ModbusTcp") }, `f.xml:1: error: C/T: "modbustcp" is not one of ModbusTcp; did you mean ModbusTcp?`},
		{`<C Adress="1"/>`, func(s *Settings) { s.String("Address", "") }, "f.xml:1: error: C: unknown attribute Adress; did you mean Address?"},
		{"<C>\n<Wat/></C>", func(s *Settings) { s.String("Wait", "") }, "f.xml:2: error: C/Wat: unknown element Wat; did you mean Wait?"},
		{"<C A='1'>\n<A>2</A></C>", func(s *Settings) { s.String("A", "") }, "f.xml:2: error: C/A: A stands twice"},
		{"<C>\n<A>1</A>\n<A>2</A></C>", func(s *Settings) { s.String("A", "") }, "f.xml:3: error: C/A[2]: A stands twice"},
		{"<C A='1' A='2'/>", func(s *Settings) { s.String("A", "") }, "f.xml:1: error: C: A stands twice"},
		{"<C>\n<A b='1'>2</A></C>", func(s *Settings) { s.String("A", "") }, "f.xml:2: error: C/A: unknown attribute b"},
		{"<C>\n<A>2<B/></A></C>", func(s *Settings) { s.String("A", "") }, "f.xml:2: error: C/A/B: unknown element B; A holds only a value"},
		{"<C>oops</C>", func(*Settings) {}, `f.xml:1: error: C: text "oops" does not belong here`},
		{"<C L='1'/>", func(s *Settings) { s.Children("L") }, "f.xml:1: error: C: L is an element of its own, not an attribute"},
	} {
		r := &Report{}
		s := r.Settings(mustParse(t, tc.in))
		tc.read(s)
		s.Done()
		if len(r.Problems) != 1 || r.Problems[0].String() != tc.want || !r.HasErrors() {
			t.Errorf("%s:\ngot  %v\nwant %s", tc.in, r.Problems, tc.want)
		}
	}
}

func TestReport_SortLimitAndText(t *testing.T) {
	r := &Report{}
	root := mustParse(t, "<a>\n<b/></a>")
	r.Warn(root.Child("b"), "second")
	r.Warn(root, "first")
	r.Warn(root, "first")
	r.Add(Problem{File: "e.xml", Message: "whole file"})
	if r.HasErrors() {
		t.Error("warnings are no errors")
	}
	r.AddError(&SyntaxError{File: "g.xml", Line: 3, Msg: "broken"})
	r.Sort()
	var b strings.Builder
	if _, err := r.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	want := "e.xml: warning: whole file\nf.xml:1: warning: a: first\nf.xml:2: warning: a/b: second\ng.xml:3: error: broken\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// TestReport_Flood keeps a file of nothing but faults from costing time or memory.
func TestReport_Flood(t *testing.T) {
	root := mustParse(t, "<a>"+strings.Repeat("<Unknwon/>", 40_000)+"</a>")
	r := &Report{}
	s := r.Settings(root)
	s.String("Unknown", "")
	s.Done()
	if len(r.Problems) != maxProblems || r.Omitted != 40_000-maxProblems || !r.HasErrors() {
		t.Errorf("%d problems, %d omitted", len(r.Problems), r.Omitted)
	}
}

func TestSuggest(t *testing.T) {
	for word, want := range map[string]string{
		"Adress": "Address", "ADDRESS": "Address", "Addresss": "Address", "adrres": "Address", "Adr": "", "Period": "", "": "", strings.Repeat("Address", 20): "",
	} {
		got := Suggest(word, []string{"Address", "Type"})
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
