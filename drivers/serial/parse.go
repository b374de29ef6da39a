package serial

import "github.com/edgeua/edgeua/internal/xmltree"

// Parse reads how a port is set up; what is not given is as in defaults, which differ from protocol to protocol.
func Parse(r *xmltree.Report, s *xmltree.Settings, defaults Config) *Config {
	c := &Config{
		Port:     s.Required("Port"),
		BaudRate: s.Int("BaudRate", defaults.BaudRate, 1, 4000000),
		DataBits: s.Int("DataBits", defaults.DataBits, 5, 8),
		Parity:   (s.Choice("Parity", string(defaults.Parity), "N", "E", "O") + string(defaults.Parity))[0],
		StopBits: s.Int("StopBits", defaults.StopBits, 1, 2),
	}
	if !ValidBaudRate(c.BaudRate) {
		s.Error("BaudRate", "%d is not a rate that serial ports have, such as 9600, 19200 or 115200", c.BaudRate)
		c.BaudRate = defaults.BaudRate
	}
	return c
}
