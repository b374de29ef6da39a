package simulated

import (
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// Wave is how a value moves.
type Wave string

// The waves. Those with an Amplitude move between Offset - Amplitude and Offset + Amplitude.
const (
	Constant Wave = "constant" // Offset, or the first of Values
	Ramp     Wave = "ramp"     // up during Period, and again from the start
	Sine     Wave = "sine"     // once up and down during Period
	Square   Wave = "square"   // low for half of Period, high for the other
	Random   Wave = "random"   // another value every Period
	Walk     Wave = "walk"     // wanders, and has forgotten after some Periods where it was
	Count    Wave = "count"    // from Offset up by one every Period
	Replay   Wave = "replay"   // the Values in turn, each for Period, and again from the start
	Echo     Wave = "echo"     // what the tag Of has
)

func waves() []string {
	return []string{string(Constant), string(Ramp), string(Sine), string(Square), string(Random), string(Walk),
		string(Count), string(Replay), string(Echo)}
}

// Signal is the value of one tag over time: plain data.
type Signal struct {
	Wave              Wave
	Period            time.Duration
	Amplitude, Offset float64
	Values            []string // of Replay and Constant
	Of                int      // of Echo: the index of a tag of the same device
}

// Times that hold where none is given.
const (
	wavePeriod = time.Minute // of what comes back to where it began
	stepPeriod = time.Second // of what changes in steps
	walkPeriod = 10 * time.Second
	minPeriod  = 10 * time.Millisecond
	maxPeriod  = 24 * time.Hour
)

// defaultSignal is what a tag does that nobody has said anything about: what can be written waits for that, all else
// moves within the range that it has.
func defaultSignal(t *drivers.Tag) Signal {
	s := Signal{Wave: Sine, Period: wavePeriod}
	s.scale(t)
	switch {
	case t.Type == uabinary.TypeString || t.Type == uabinary.TypeByteString:
		s.Wave, s.Values = Constant, []string{t.Name}
	case t.Access&drivers.WriteOnly != 0:
		s.Wave = Constant
		if !t.Range.Valid() {
			s.Offset = 0
		}
	case len(t.Enum) > 0:
		s.Wave, s.Period = Replay, walkPeriod
		for _, e := range t.Enum {
			s.Values = append(s.Values, strconv.FormatInt(e.Value, 10))
		}
	case t.Type == uabinary.TypeBoolean:
		s.Wave, s.Period = Square, walkPeriod
	}
	return s
}

// scale sets the middle and the swing: those of the range of the tag, or 0 to 100.
func (s *Signal) scale(t *drivers.Tag) {
	s.Offset, s.Amplitude = 50, 50
	switch {
	case t.Type == uabinary.TypeBoolean:
		s.Offset, s.Amplitude = 0.5, 0.5
	case t.Range.Valid():
		s.Offset, s.Amplitude = (t.Range.Low+t.Range.High)/2, (t.Range.High-t.Range.Low)/2
	}
}

// parseSignal reads a Signal element for a tag of a device.
func parseSignal(s *xmltree.Settings, tags []drivers.Tag, tag int) Signal {
	t := &tags[tag]
	g := Signal{Wave: Wave(s.Choice("Kind", string(defaultSignal(t).Wave), waves()...))}
	g.scale(t)
	if (g.Wave == Constant || g.Wave == Count) && !t.Range.Valid() {
		g.Offset = 0
	}
	g.Period = s.Millis("Period", g.usualPeriod(), minPeriod, maxPeriod)
	g.Amplitude, g.Offset = s.Float("Amplitude", g.Amplitude), s.Float("Offset", g.Offset)
	g.values(s, t)
	g.echo(s, tags, tag)
	if text := t.Type == uabinary.TypeString || t.Type == uabinary.TypeByteString; text && !slices.Contains([]Wave{Constant, Replay, Echo, Count}, g.Wave) {
		s.Error("Kind", "%s is for numbers; %s is a text, for which there are constant, replay, count and echo", g.Wave, xmltree.Quote(t.Name))
	}
	return g
}

func (s *Signal) usualPeriod() time.Duration {
	switch s.Wave {
	case Random, Count, Replay:
		return stepPeriod
	case Walk:
		return walkPeriod
	}
	return wavePeriod
}

func (s *Signal) values(from *xmltree.Settings, t *drivers.Tag) {
	list := from.String("Values", "")
	switch {
	case list == "" && s.Wave == Replay:
		from.Error("Values", "is missing; replay needs the values to be shown in turn, as in Values=\"20.5;21;21.5\"")
	case list == "" && s.Wave == Constant && t.Type == uabinary.TypeString:
		s.Values = []string{t.Name}
	case list == "":
	case s.Wave != Replay && s.Wave != Constant:
		from.Error("Values", "goes with replay and constant, not with %s", s.Wave)
	default:
		s.Values = strings.Split(list, ";")
	}
	for i, word := range s.Values {
		s.Values[i] = strings.TrimSpace(word)
		if _, ok := numberOf(s.Values[i]); !ok && t.Type != uabinary.TypeString && t.Type != uabinary.TypeByteString {
			from.Error("Values", "%s is not a number", xmltree.Quote(word))
		}
	}
}

func (s *Signal) echo(from *xmltree.Settings, tags []drivers.Tag, tag int) {
	name := from.String("Of", "")
	if s.Wave != Echo {
		if name != "" {
			from.Error("Of", "goes with echo, not with %s", s.Wave)
		}
		return
	}
	s.Of = slices.IndexFunc(tags, func(t drivers.Tag) bool { return t.Name == name })
	switch {
	case name == "":
		from.Error("Of", "is missing; echo needs the tag whose value it shows")
	case s.Of < 0:
		from.Error("Of", "there is no tag %s in this device", xmltree.Quote(name))
	case s.Of == tag:
		from.Error("Of", "%s cannot be its own echo", xmltree.Quote(name))
	case isNumber(tags[s.Of].Type) != isNumber(tags[tag].Type), tags[s.Of].Length != tags[tag].Length:
		from.Error("Of", "%s has another kind of value than %s", xmltree.Quote(name), xmltree.Quote(tags[tag].Name))
	default:
		return
	}
	s.Of = tag
}

// numberOf reads a value of a list.
func numberOf(word string) (float64, bool) {
	if on, err := strconv.ParseBool(word); err == nil {
		if on {
			return 1, true
		}
		return 0, true
	}
	n, err := strconv.ParseFloat(word, 64)
	return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
}

// number is the value at a time. Phase, from 0 to 1, lets the elements of an array differ; seed is of the tag.
func (s *Signal) number(at time.Duration, phase float64, seed uint64) float64 {
	cycles := at.Seconds()/s.Period.Seconds() + phase
	step := int64(at / s.Period)
	share := cycles - math.Floor(cycles)
	low := s.Offset - s.Amplitude
	switch s.Wave {
	case Ramp:
		return low + 2*s.Amplitude*share
	case Sine:
		return s.Offset + s.Amplitude*math.Sin(2*math.Pi*share)
	case Square:
		if share < 0.5 {
			return low
		}
		return s.Offset + s.Amplitude
	case Random:
		return low + 2*s.Amplitude*noise(seed+uint64(phase*1e6), step)
	case Walk:
		return low + 2*s.Amplitude*wander(seed, cycles)
	case Count:
		return s.Offset + float64(step)
	}
	if len(s.Values) > 0 {
		n, _ := numberOf(s.word(at))
		return n
	}
	return s.Offset
}

// word is the text at a time.
func (s *Signal) word(at time.Duration) string {
	if len(s.Values) == 0 {
		return strconv.FormatInt(int64(at/s.Period)+int64(s.Offset), 10)
	}
	return s.Values[int(int64(at/s.Period)%int64(len(s.Values)))]
}

// wander goes smoothly from one random point to the next, with small steps on the way.
func wander(seed uint64, cycles float64) float64 {
	return (3*smooth(seed, cycles) + smooth(seed+1, 4*cycles)) / 4
}

func smooth(seed uint64, at float64) float64 {
	step := math.Floor(at)
	x := at - step
	x = x * x * (3 - 2*x)
	return noise(seed, int64(step))*(1-x) + noise(seed, int64(step)+1)*x
}

// noise is from 0 to 1, the same for the same step.
func noise(seed uint64, step int64) float64 {
	x := seed + uint64(step)*0x9E3779B97F4A7C15 // the finalizer of SplitMix64
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return float64((x^x>>31)>>11) / (1 << 53)
}

func seedOf(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}
