package serial

import (
	"strings"
	"time"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// Bounds of what a port may be set to.
const (
	minBaudRate = 50
	maxBaudRate = 4000000
	maxDelay    = time.Second
)

// Parse reads how a port is set up; what is not given is as in defaults, which differ from protocol to protocol.
func Parse(r *xmltree.Report, s *xmltree.Settings, defaults Config) *Config {
	c := &Config{
		Port:       s.Required("Port"),
		BaudRate:   s.Int("BaudRate", defaults.BaudRate, minBaudRate, maxBaudRate),
		DataBits:   s.Int("DataBits", defaults.DataBits, 5, 8),
		Parity:     (s.Choice("Parity", string(defaults.Parity), "N", "E", "O") + string(defaults.Parity))[0],
		StopBits:   s.Int("StopBits", defaults.StopBits, 1, 2),
		LowLatency: s.Bool("LowLatency", true),
	}
	if flow := s.Choice("FlowControl", "none", "none", string(FlowRTSCTS), string(FlowXonXoff)); flow != "none" {
		c.Flow = Flow(flow)
	}
	if !standardRate(c.BaudRate) {
		s.Warn("BaudRate", "%d is not a usual rate, such as 9600, 19200 or 115200; the port must be able to make it", c.BaudRate)
	}
	if id, ok := strings.CutPrefix(c.Port, "usb:"); ok {
		if _, err := parseUSB(id); err != nil {
			s.Error("Port", "%s: %v", xmltree.Quote(c.Port), err)
		}
	}
	parseRS485(r, s, c)
	if c.RS485.Enabled && c.Flow == FlowRTSCTS {
		s.Error("FlowControl", "rtscts does not go with Rs485, which uses the same line")
	}
	return c
}

func parseRS485(r *xmltree.Report, s *xmltree.Settings, c *Config) {
	for i, e := range s.Children("Rs485") {
		if i > 0 {
			r.Error(e, "stands twice")
		}
		d := r.Settings(e)
		c.RS485 = RS485{
			Enabled:           d.Choice("Mode", "kernel", "kernel", "hardware") == "kernel",
			RTSOnSend:         d.Bool("RtsOnSend", true),
			RTSAfterSend:      d.Bool("RtsAfterSend", false),
			DelayBefore:       d.Millis("DelayBefore", 0, 0, maxDelay),
			DelayAfter:        d.Millis("DelayAfter", 0, 0, maxDelay),
			ReceiveDuringSend: d.Bool("RxDuringTx", false),
		}
		if c.RS485.Enabled && c.RS485.RTSOnSend == c.RS485.RTSAfterSend {
			d.Error("RtsOnSend", "and RtsAfterSend are the same; RTS must change for the direction to change")
		}
		d.Done()
		if !c.RS485.Enabled {
			c.RS485 = RS485{}
		}
	}
}
