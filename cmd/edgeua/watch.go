package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/edgeua/edgeua/reverseconnect"
)

// watchHold is how long watch lets a call wait: it wants none of them, but a
// server that is left waiting need not call again.
const watchHold = time.Hour

// maxRows bounds the table against strangers with ever new names.
const maxRows = 200

// callBoard shows who has called, and what became of it: a table in place on a
// terminal, else a line per change.
type callBoard struct {
	out *printer

	mu   sync.Mutex
	rows map[caller]*callRow // guarded by mu
	more int                 // guarded by mu; callers without a row
}

// callRow is one caller.
type callRow struct {
	remote string
	calls  int
	last   time.Time
	state  string
}

const callFormat = "%-36s %-32s %-21s %5v  %-8s  %s"

func newCallBoard(out *printer) *callBoard {
	b := &callBoard{out: out, rows: map[caller]*callRow{}}
	header := fmt.Sprintf(callFormat, "SERVER URI", "ENDPOINT URL", "FROM", "CALLS", "LAST", "STATE")
	out.row("header", "", header, nil)
	return b
}

// event is the Listener's callback.
func (b *callBoard) event(e reverseconnect.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	who := caller{e.ServerURI, e.EndpointURL}
	if who == (caller{}) {
		who.serverURI = "(no ReverseHello)" // one row for all of them
	}
	row := b.rows[who]
	if row == nil {
		if len(b.rows) >= maxRows {
			b.more++
			b.out.row("callers", "more", fmt.Sprintf("and %d more calls of others", b.more), map[string]any{"calls": b.more})
			return
		}
		row = &callRow{}
		b.rows[who] = row
	}
	row.note(e)
	b.show(who, row)
}

func (r *callRow) note(e reverseconnect.Event) {
	r.remote = e.RemoteAddr.String()
	if e.Kind == reverseconnect.EventReceived || e.Kind == reverseconnect.EventRejected && e.ServerURI == "" {
		r.calls++
		r.last = time.Now()
	}
	switch {
	case e.Err != nil:
		r.state = e.Kind.String() + ": " + strings.TrimPrefix(e.Err.Error(), "reverseconnect: ")
	case e.Kind == reverseconnect.EventAccepted:
		r.state = "waiting"
	default:
		r.state = e.Kind.String()
	}
}

func (b *callBoard) show(who caller, r *callRow) {
	text := fmt.Sprintf(callFormat, printable(who.serverURI), printable(who.endpointURL), r.remote, r.calls,
		r.last.Local().Format(time.TimeOnly), printable(r.state))
	b.out.row("caller", who.serverURI+"\x00"+who.endpointURL, text, map[string]any{
		"server_uri": who.serverURI, "endpoint_url": who.endpointURL, "remote": r.remote, "calls": r.calls,
		"last": r.last.UTC(), "state": r.state,
	})
}
