package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The files in the repository are what the generator writes, byte for byte,
// and there are no others.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not current (%v): run go generate ./internal/uabinary", name, err)
		}
	}
	present, err := filepath.Glob("../*_gen*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range present {
		if files[filepath.Base(path)] == nil {
			t.Errorf("%s is not generated any more", path)
		}
	}
}

func testSchema() *schema {
	s := &schema{structs: map[string]*structure{}, enums: map[string]string{"Color": "uint32"}}
	for name, fields := range map[string][]field{
		"Leaf":  {{name: "ID", elem: "NodeID"}, {name: "Color", elem: "Color"}, {name: "Names", array: true, elem: "string"}},
		"Tree":  {{name: "Leaves", array: true, elem: "Leaf"}, {name: "Raw", elem: "[]byte"}},
		"Loop":  {{name: "Next", array: true, elem: "Loop"}},
		"Odd":   {{name: "X", elem: "complex128"}},
		"Empty": nil,
	} {
		s.structs[name] = &structure{name: name, encoding: "id." + name, fields: fields}
	}
	return s
}

func TestEmitStruct(t *testing.T) {
	var b bytes.Buffer
	s := testSchema()
	if err := s.emitStruct(&b, s.structs["Tree"], "is a plant"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"// Tree is a plant.", "Leaves []Leaf", "Raw []byte",
		"x.Leaves = resize(r, x.Leaves, r.arrayLength(10))", // NodeID 2, enum 4, array 4
		"dst = AppendByteString(dst, x.Raw)", "return id.Tree",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if err := s.emitStruct(&b, s.structs["Odd"], ""); err == nil {
		t.Error("a type without a wire form is accepted")
	}
}

func TestCheckRefuses(t *testing.T) {
	s := testSchema()
	s.structs["Hidden"] = &structure{name: "Hidden", fields: []field{{name: "L", elem: "Loop"}}}
	for _, name := range []string{"Loop", "Hidden", "Empty", "Missing"} {
		if err := s.check(name, nil); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := s.check("Tree", nil); err != nil {
		t.Error(err)
	}
}

// What one group needs is its own, what two need is common, what is named
// stays where it is named.
func TestClaim(t *testing.T) {
	s := testSchema()
	for _, test := range []struct {
		owner, named map[string]string
		want         string
	}{
		{map[string]string{}, nil, "x"},
		{map[string]string{"Leaf": "x"}, nil, "x"},
		{map[string]string{"Leaf": "y"}, nil, common},
		{map[string]string{"Leaf": "y"}, map[string]string{"Leaf": "y"}, "y"},
	} {
		s.claim(test.owner, test.named, "Tree", "x")
		if got := test.owner["Leaf"]; got != test.want {
			t.Errorf("%v: %s, want %s", test, got, test.want)
		}
	}
}

func TestExpand(t *testing.T) {
	if got := expand([]string{"Read*", "Range"}); !slices.Equal(got, []string{"ReadRequest", "ReadResponse", "Range"}) {
		t.Error(got)
	}
}
