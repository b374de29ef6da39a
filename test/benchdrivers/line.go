//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/creack/pty"

	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/internal/modbussim"
)

// thinking is what a slave on a line takes before it answers.
const thinking = 5 * time.Millisecond

// wire is the time on a line of 11 bits for a character.
type wire struct {
	baud               int
	character, silence time.Duration
}

func newWire(baud int) wire {
	w := wire{baud: baud, character: 11 * time.Second / time.Duration(baud), silence: 1750 * time.Microsecond}
	if baud <= 19200 {
		w.silence = w.character * 7 / 2
	}
	return w
}

// exchange is a read of n registers and its answer.
func (w wire) exchange(n int) time.Duration { return time.Duration(8+5+2*n) * w.character }

// answer is when the slave answers: when the bytes of request and reply would have passed, with the silence after which
// it may believe that the request is complete.
func (w wire) answer(n int) time.Duration { return w.exchange(n) + w.silence + thinking }

// serve starts a bench on a pseudo-terminal behind which the slaves answer as slowly as on the line.
func (w wire) serve(b *bench, m *modbussim.Map, block int, devices string) (stop func() error, err error) {
	far, near, err := pty.Open()
	if err != nil {
		return nil, err
	}
	for range 20000 {
		m.Script(modbussim.Delay(w.answer(block)))
	}
	go func() { _ = modbussim.ServeRTU(context.Background(), far, m) }() // ends with the pseudo-terminal
	err = b.run(modbus.RTU(), fmt.Sprintf(`<Channel Name="L" Type="ModbusRtu" Port="%s" BaudRate="%d"/>`, near.Name(), w.baud)+devices)
	if err != nil {
		return nil, errors.Join(err, far.Close(), near.Close())
	}
	return func() error { return errors.Join(b.end(), far.Close(), near.Close()) }, nil
}

// lines measures full blocks on two rates.
func lines() error {
	for _, w := range []wire{newWire(19200), newWire(115200)} {
		b := &bench{}
		stop, err := w.serve(b, newMap(unit), registers, device("D", unit, `OneTagPerRequest="1"`, "10", manyTags(20))) // so that one is always due
		if err != nil {
			return err
		}
		got, _ := b.rate(10 * time.Second)
		bound := 1 / (w.answer(registers) + w.silence).Seconds()
		fmt.Printf("| RTU %d Bd 8E1, blocks of %d, device 5 ms | %.2f requests/s | %.2f, all that the wire can do | %.1f %% | 95 %% |\n",
			w.baud, registers, got, bound, 100*got/bound)
		if err := stop(); err != nil {
			return err
		}
	}
	return nil
}

// dead measures what a silent unit among 32 costs the others. All times but those on the wire are 25 times shorter than
// the defaults: 20 ms of waiting, one probe in 4.8 s.
func dead() error {
	const others, block = 31, 10
	w := newWire(115200)
	settings := `Timeout="20" Retries="0" TimeSuspend="4800" MaxSuspend="4800"`
	start := func(b *bench, last byte) (stop func() error, err error) {
		m := newMap()
		var devices strings.Builder
		for u := byte(1); u <= last; u++ {
			m.Set(u, modbussim.HoldingRegisters, 0, make([]uint16, block)...)
			tag := fmt.Sprintf(`<Tag Name="T" Address="h0[%d]" Type="UInt16"/>`, block)
			devices.WriteString(device(fmt.Sprintf("D%d", u), int(u), settings, "10", tag))
		}
		m.Mute(others+1, true)
		return w.serve(b, m, block, devices.String())
	}
	var without, with bench // at the same time, so that other programs disturb both
	stopWithout, err := start(&without, others)
	if err != nil {
		return err
	}
	stopWith, err := start(&with, others+1)
	if err != nil {
		return errors.Join(err, stopWithout())
	}
	time.Sleep(4 * time.Second) // until it is demoted
	before := [2]uint64{without.sets.Load(), with.sets.Load()}
	const long = 24 * time.Second
	time.Sleep(long)
	a := float64(without.sets.Load()-before[0]) / long.Seconds()
	b := float64(with.sets.Load()-before[1]) / long.Seconds()
	fmt.Printf("| %d living units and a dead one, demoted, RTU %d Bd | %.2f requests/s | %.2f without it | %.1f %% | 99 %% |\n",
		others, w.baud, b, a, 100*b/a)
	return errors.Join(stopWithout(), stopWith())
}
