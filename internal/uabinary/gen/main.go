// Command gen writes the structures, requests and responses of package
// uabinary from the ua structs of github.com/gopcua/opcua, which it reads as
// source. It leaves out what layout.go does not name or need. Run it with
//
//	go generate ./internal/uabinary
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run writes every generated file into dir.
func run(dir string) error {
	files, err := generate()
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the content of every generated file by its name.
func generate() (map[string][]byte, error) {
	source, err := gopcuaSource()
	if err != nil {
		return nil, err
	}
	schema, err := readSchema(source)
	if err != nil {
		return nil, err
	}
	groups, err := arrange(schema)
	if err != nil {
		return nil, err
	}
	return emit(schema, groups)
}
