package reverseconnect

import "time"

const (
	remindAfter = 10 * time.Minute // a failure that goes on is told again after this time
	maxOutcomes = 8                // distinct failures told apart since the last success

	// Calls that succeed are all told, unless the client comes and goes faster than this.
	successInterval = 10 * time.Second
	successBurst    = 20
)

// journal decides which changes of state are worth a line for everyone and which are only for Debug. A call that fails
// as the one before did is told at the first, second, fourth, eighth ... time and every ten minutes.
type journal struct {
	furthest State              // how far the last call got
	told     bool               // this call is told from its first step on
	refused  bool               // the last call was refused when its channel was open
	outcomes map[string]outcome // failures since the last success
	pace     pacer              // of calls that follow a success
}

type outcome struct {
	count int
	told  time.Time
}

func newJournal() journal {
	return journal{pace: pacer{interval: successInterval, burst: successBurst}}
}

// begin starts a call.
func (j *journal) begin(now time.Time) {
	j.told = j.furthest == Active && !j.refused && j.pace.allow(now)
}

// reached reports whether a step forward is worth a line: yes if the last call did not get as far.
func (j *journal) reached(s State) bool { return j.told || s > j.furthest }

// succeeded ends a call whose channel was opened and reports whether its end is worth a line.
func (j *journal) succeeded() bool {
	tell := j.told || j.furthest < Active
	j.furthest, j.refused, j.outcomes = Active, false, nil
	return tell
}

// failed ends a call that got as far as furthest. It returns how often in a row of failures this reason was
// met, and whether that is worth a line.
func (j *journal) failed(furthest State, reason string, now time.Time) (count int, tell bool) {
	j.furthest, j.refused = furthest, furthest == Active
	if _, known := j.outcomes[reason]; !known && len(j.outcomes) >= maxOutcomes {
		reason = "" // a client that finds a new answer every time
	}
	o := j.outcomes[reason]
	o.count++
	tell = o.count&(o.count-1) == 0 || now.Sub(o.told) >= remindAfter
	if tell {
		o.told = now
	}
	if j.outcomes == nil {
		j.outcomes = make(map[string]outcome)
	}
	j.outcomes[reason] = o
	return o.count, tell
}
