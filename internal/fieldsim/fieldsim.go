package fieldsim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/drivers/modbus"
	"github.com/edgeua/edgeua/drivers/simulated"
	"github.com/edgeua/edgeua/internal/modbussim"
)

// Options say where the slaves answer.
type Options struct {
	// Host is the address to listen on, an IP address.
	Host string
	// Port is the first port to try for a channel that the file does not have on Host; 0: any that is free, for all.
	Port int
	// Paced makes serial lines as slow as their baud rate.
	Paced bool
	// Trace, if set, sees every request.
	Trace func(channel string, unit byte, pdu []byte)
}

// Stand is the devices of one channel at work.
type Stand struct {
	Channel string
	Kind    string // Modbus TCP, Modbus RTU, ...
	Host    string // of a network: where it listens
	Port    int
	Path    string // of a serial line: the port to open
	// AsConfigured tells that this is where the file has the channel.
	AsConfigured bool
	Slaves       []modbus.Slave
	Map          *modbussim.Map

	serve func(ctx context.Context) error
	close func() error
}

// Where is what a person types: host:port or a path.
func (s *Stand) Where() string {
	if s.Path != "" {
		return s.Path
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
}

// Open makes a stand for every Modbus channel. The names of the others are returned too. On an error nothing stays open.
func Open(ctx context.Context, channels []drivers.Channel, o Options) (stands []*Stand, others []string, err error) {
	next := o.Port
	for _, c := range channels {
		inner, devices := simulated.Signals(c)
		m, ok := modbus.MapOf(inner)
		if !ok {
			others = append(others, c.Name())
			continue
		}
		s := &Stand{Channel: c.Name(), Slaves: m.Slaves, Map: modbussim.NewMap()}
		if o.Trace != nil {
			s.Map.Trace = func(unit byte, pdu []byte) { o.Trace(s.Channel, unit, pdu) }
		}
		fill(s.Map, m.Slaves, devices)
		s.identify()
		if err = s.open(ctx, &m, o, &next); err != nil {
			err = fmt.Errorf("channel %s: %w", c.Name(), err)
			break
		}
		stands = append(stands, s)
	}
	if err != nil {
		for _, s := range stands {
			err = errors.Join(err, s.close())
		}
		return nil, nil, err
	}
	return stands, others, nil
}

// identify lets the slaves say who they are not.
func (s *Stand) identify() {
	name := s.Channel
	if len(s.Slaves) == 1 {
		name = s.Slaves[0].Name
	}
	s.Map.Identity = []string{"edgeua", "simulated", "1.0", "", name}
}

func (s *Stand) open(ctx context.Context, m *modbus.Map, o Options, next *int) error {
	if m.Line != nil {
		return s.openLine(m, o)
	}
	s.Kind = "Modbus TCP"
	if m.Network == "udp" {
		s.Kind = "Modbus UDP"
	}
	if m.Framing != "TCP" {
		s.Kind = "Modbus " + m.Framing + " over TCP"
	}
	s.Host = o.Host
	if own := ownPort(m, o); own != 0 && s.listen(ctx, m, own) == nil {
		s.AsConfigured = true
		return nil
	}
	if o.Port == 0 {
		return s.listen(ctx, m, 0)
	}
	var failed error
	for range portTries {
		failed = s.listen(ctx, m, *next)
		if *next++; failed == nil || *next > math.MaxUint16 {
			break
		}
	}
	return failed
}

// portTries bounds the search for a free port.
const portTries = 20

// ownPort is the port of the file if the file means this machine already; then nothing has to be rewritten. Ports that
// only root may have are not meant.
func ownPort(m *modbus.Map, o Options) int {
	host, digits, err := net.SplitHostPort(m.Addresses[0])
	port, numeric := strconv.Atoi(digits)
	if err != nil || numeric != nil || o.Port == 0 || port < 1024 || host != o.Host && host != "localhost" {
		return 0
	}
	return port
}

func (s *Stand) listen(ctx context.Context, m *modbus.Map, port int) error {
	var lc net.ListenConfig
	address := net.JoinHostPort(s.Host, strconv.Itoa(port))
	if m.Network == "udp" {
		conn, err := lc.ListenPacket(ctx, "udp", address)
		if err != nil {
			return err
		}
		s.Port, s.close = conn.LocalAddr().(*net.UDPAddr).Port, conn.Close
		s.serve = func(ctx context.Context) error { return modbussim.ServeUDP(ctx, conn, s.Map) }
		return nil
	}
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	s.Port, s.close = l.Addr().(*net.TCPAddr).Port, l.Close
	serve := map[string]func(context.Context, net.Listener, *modbussim.Map) error{
		"TCP": modbussim.Serve, "RTU": modbussim.ServeRTUOverTCP, "ASCII": modbussim.ServeASCIIOverTCP,
	}[m.Framing]
	s.serve = func(ctx context.Context) error { return serve(ctx, l, s.Map) }
	return nil
}

func (s *Stand) openLine(m *modbus.Map, o Options) error {
	character := m.Line.Character()
	s.Kind = fmt.Sprintf("Modbus %s, %d %d%c%d", m.Framing, m.Line.BaudRate, m.Line.DataBits, m.Line.Parity, m.Line.StopBits)
	if !o.Paced {
		character = 0
	}
	l, err := openLine(character)
	if err != nil {
		return err
	}
	s.Path, s.close = l.path, sync.OnceValue(l.end)
	serve := modbussim.ServeRTU
	if m.Framing == "ASCII" {
		serve = modbussim.ServeASCII
	}
	s.serve = func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { _ = s.close() })()
		err := serve(ctx, l, s.Map)
		if ctx.Err() != nil {
			err = nil
		}
		return errors.Join(err, s.close())
	}
	return nil
}

// Serve answers at all stands until ctx ends, and closes them.
func Serve(ctx context.Context, stands []*Stand) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range stands {
		group.Go(func() error {
			if err := s.serve(ctx); err != nil {
				return fmt.Errorf("channel %s: %w", s.Channel, err)
			}
			return nil
		})
	}
	return group.Wait()
}
