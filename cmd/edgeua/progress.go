package main

import (
	"fmt"
	"io"
	"strings"
)

// progress shows how far a long task is: a bar that is drawn over itself on a terminal, a line for every tenth elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	tenth    int // already shown
	drawn    bool
}

const barWidth = 30

func newProgress(w io.Writer) *progress { return &progress{w: w, terminal: terminal(w), tenth: -1} }

// show is told what is done of the whole.
func (p *progress) show(done, total int, doing string) {
	if total <= 0 {
		return
	}
	if p.terminal {
		full := done * barWidth / total
		fmt.Fprintf(p.w, "\r\x1b[2K[%s%s] %3d %%  %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done*100/total, doing)
		p.drawn = true
		return
	}
	if tenth := done * 10 / total; tenth != p.tenth {
		p.tenth = tenth
		fmt.Fprintf(p.w, "%3d %%  %s\n", tenth*10, doing)
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[2K")
	}
}
