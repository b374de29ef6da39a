package main

import (
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/term"
)

// table shows rows in place on a terminal, the latest text of each.
type table struct {
	w     io.Writer
	order []string          // keys
	rows  map[string]string // by key
	drawn int
}

func newTable(w io.Writer) *table { return &table{w: w, rows: map[string]string{}} }

// set changes one row and draws the table over the old one.
func (t *table) set(key, row string) {
	if !slices.Contains(t.order, key) {
		t.order = append(t.order, key)
	}
	t.rows[key] = row
	if t.drawn > 0 {
		fmt.Fprintf(t.w, "\x1b[%dA", t.drawn)
	}
	for _, k := range t.order {
		fmt.Fprintf(t.w, "\x1b[2K%s\n", t.rows[k])
	}
	t.drawn = len(t.order)
}

// leave lets whatever is printed next stand below the table.
func (t *table) leave() { t.drawn = 0 }

// terminal tells whether somebody looks at w.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
