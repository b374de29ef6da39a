package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strings"
)

// schema is what gopcua knows of the structures of OPC UA.
type schema struct {
	structs  map[string]*structure
	enums    map[string]string // Go type of every named integer, e.g. "uint32"
	services []string          // registered requests and responses, in order
}

// structure is one ua struct. encoding is the constant of package id with the
// identifier of its Default Binary encoding.
type structure struct {
	name     string
	encoding string
	fields   []field
}

// field is one field of a ua struct.
type field struct {
	name  string
	array bool
	elem  string // gopcua's type without * and []; "[]byte" for ByteString
}

// gopcuaSource returns the folder of package ua as the go tool finds it.
func gopcuaSource() (string, error) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/gopcua/opcua/ua").Output()
	if err != nil {
		return "", fmt.Errorf("find gopcua: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// readSchema parses the source of package ua.
func readSchema(dir string) (*schema, error) {
	s := &schema{structs: map[string]*structure{}, enums: map[string]string{}}
	encodings := map[string]string{}
	for _, name := range []string{"extobjs_gen.go", "enums_gen.go", "enums.go", "status_gen.go", "service_gen.go", "register_extobjs_gen.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, 0)
		if err != nil {
			return nil, err
		}
		if err := s.readTypes(file); err != nil {
			return nil, err
		}
		registered := readRegistrations(file, encodings)
		if name == "service_gen.go" {
			s.services = registered
		}
	}
	for name, st := range s.structs {
		st.encoding = encodings[name]
	}
	return s, nil
}

// readTypes notes the structs and named integers that file declares.
func (s *schema) readTypes(file *ast.File) error {
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range gen.Specs {
			if spec, ok := spec.(*ast.TypeSpec); ok {
				if err := s.readType(spec); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *schema) readType(spec *ast.TypeSpec) error {
	name := spec.Name.Name
	switch t := spec.Type.(type) {
	case *ast.Ident:
		s.enums[name] = t.Name
	case *ast.StructType:
		st := &structure{name: name}
		for _, f := range t.Fields.List {
			elem, array, err := fieldType(f.Type)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			for _, id := range f.Names {
				st.fields = append(st.fields, field{name: id.Name, array: array, elem: elem})
			}
		}
		s.structs[name] = st
	}
	return nil
}

// fieldType takes *T, []*T, []T, T, time.Time and [][]byte apart.
func fieldType(expr ast.Expr) (elem string, array bool, err error) {
	switch t := expr.(type) {
	case *ast.Ident:
		return t.Name, false, nil
	case *ast.StarExpr:
		return fieldType(t.X)
	case *ast.SelectorExpr:
		return fmt.Sprint(t.X) + "." + t.Sel.Name, false, nil
	case *ast.ArrayType:
		elem, inner, err := fieldType(t.Elt)
		if err == nil && elem == "byte" && !inner {
			return "[]byte", false, nil
		}
		if inner {
			err = fmt.Errorf("array of arrays")
		}
		return elem, true, err
	}
	return "", false, fmt.Errorf("field type %T", expr)
}

// readRegistrations notes, from RegisterService(id.X, new(T)) and
// RegisterExtensionObject(NewNumericNodeID(0, id.X), new(T)), that id.X
// identifies T. It returns the types in order.
func readRegistrations(file *ast.File, encodings map[string]string) (types []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 || !strings.HasPrefix(fmt.Sprint(call.Fun), "Register") {
			return true
		}
		name := call.Args[1].(*ast.CallExpr).Args[0].(*ast.Ident).Name
		id := call.Args[0]
		if nested, ok := id.(*ast.CallExpr); ok {
			id = nested.Args[1]
		}
		types = append(types, name)
		encodings[name] = "id." + id.(*ast.SelectorExpr).Sel.Name
		return false
	})
	return types
}
