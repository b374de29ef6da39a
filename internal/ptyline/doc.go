// Package ptyline is a serial line for tests: two pseudo-terminals with a pump between them that carries bytes as slowly as
// a real line and can drop, change, delay, split and add some of them, or give back what is sent, as RS-485 adapters do.
// Two programs that believe to have a serial port each talk over it. A pseudo-terminal has no rate, no parity and no
// modem lines; only the rate is imitated. It exists on Linux only.
package ptyline
