package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgeua/edgeua/reverseconnect"
)

// bridgeFlags are the flags of bridge.
type bridgeFlags struct {
	addrs, maps, allow []string
	ports              string
	wait, idle, hold   time.Duration
	maxClients         int
	duration           time.Duration
	json               bool
}

func newBridge() *cobra.Command {
	var f bridgeFlags
	cmd := &cobra.Command{
		Use:   "bridge",
		Short: "Give every gateway that calls an ordinary port, for clients without reverse connect",
		Long: `Waits for the calls of gateways and offers each of them as an ordinary opc.tcp port on this
machine. A client that connects there is joined with a call of that gateway. The bytes pass
untouched, but for the EndpointUrl in the client's Hello: the secure channel is one between
client and gateway, the bridge has no certificate and cannot read it.

GetEndpoints returns the gateway's own URL, which the client cannot reach. Tell the client
to keep the address it was given (node-opcua: endpointMustExist: false; UaExpert asks).

A client that comes while its gateway has no call waiting is kept for --wait. For clients in
parallel the gateway has to offer spare sockets (edgeua: SocketsPerClient above 1).

A line tells of every change of a gateway's state. Exit codes: 0 stopped, 1 failed, 2 wrong usage.`,
		Example: `  edgeua bridge --map urn:plant:gateway1=127.0.0.1:4841 --map urn:plant:gateway2=127.0.0.1:4842
  edgeua bridge --ports 4841-4899 --allow urn:plant:gateway1 --allow urn:plant:gateway2
  edgeua bridge --map urn:plant:gateway1,opc.tcp://gateway1:4840/line=127.0.0.1:4841 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bridge(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), &f)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.addrs, "addr", []string{"opc.tcp://0.0.0.0:48061"}, "where to listen for gateways (repeatable)")
	flags.StringArrayVar(&f.maps, "map", nil, "URN=ADDRESS or URN,ENDPOINTURL=ADDRESS: the port of a gateway (repeatable)")
	flags.StringVar(&f.ports, "ports", "", "[HOST:]FIRST-LAST, or 0 for any: ports for gateways without --map, on 127.0.0.1 unless HOST says otherwise")
	flags.StringArrayVar(&f.allow, "allow", nil, "let this ServerUri call (repeatable; default: those of --map, with --ports everybody)")
	flags.DurationVar(&f.wait, "wait", reverseconnect.DefaultWaitTimeout, "how long a client waits for its gateway to call")
	flags.DurationVar(&f.idle, "idle", reverseconnect.DefaultIdleTimeout, "hang up on a client that says nothing for so long")
	flags.DurationVar(&f.hold, "hold", reverseconnect.DefaultBridgeHold, "how long a call is kept that no client wants")
	flags.IntVar(&f.maxClients, "max-clients", reverseconnect.DefaultMaxClients, "most connections to one gateway")
	flags.DurationVar(&f.duration, "duration", 0, "stop after this time, such as 30s (default: at Ctrl-C)")
	flags.BoolVar(&f.json, "json", false, "print one JSON object per line")
	return cmd
}

func bridge(ctx context.Context, stdout, stderr io.Writer, f *bridgeFlags) error {
	cfg, err := f.config()
	if err != nil {
		return &configError{err}
	}
	if f.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	cfg.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	news := make(chan struct{}, 1)
	cfg.Changed = func() {
		select {
		case news <- struct{}{}:
		default:
		}
	}
	b, err := reverseconnect.OpenBridge(ctx, f.addrs[0], cfg)
	if err != nil {
		return &configError{err}
	}
	out := newPrinter(stdout, f.json)
	for _, addr := range b.Addrs() {
		out.listening("opc.tcp://" + addr.String())
	}
	board{out: out, shown: map[string]string{}}.follow(ctx, b, news)
	return b.Close()
}

// config turns the flags into the configuration of a bridge.
func (f *bridgeFlags) config() (cfg reverseconnect.BridgeConfig, err error) {
	if len(f.addrs) == 0 {
		return cfg, fmt.Errorf("--addr must not be empty")
	}
	for name, d := range map[string]time.Duration{"--wait": f.wait, "--idle": f.idle, "--hold": f.hold} {
		if d <= 0 {
			return cfg, fmt.Errorf("%s must be above 0", name)
		}
	}
	if f.maxClients <= 0 {
		return cfg, fmt.Errorf("--max-clients must be above 0")
	}
	if len(f.maps) == 0 && f.ports == "" {
		return cfg, fmt.Errorf("name the gateways with --map, or give --ports for whoever calls")
	}
	cfg = reverseconnect.BridgeConfig{
		Listener:    reverseconnect.ListenerConfig{URLs: f.addrs[1:], Allow: f.allow, HoldTimeout: f.hold},
		WaitTimeout: f.wait, IdleTimeout: f.idle, MaxClients: f.maxClients,
	}
	for _, text := range f.maps {
		route, err := parseRoute(text)
		if err != nil {
			return cfg, err
		}
		cfg.Routes = append(cfg.Routes, route)
	}
	if f.ports != "" {
		cfg.Automatic, err = parsePorts(f.ports)
	}
	return cfg, err
}

// parseRoute reads URN=ADDRESS or URN,ENDPOINTURL=ADDRESS; a URN may hold both signs.
func parseRoute(text string) (r reverseconnect.Route, err error) {
	at := strings.LastIndexByte(text, '=')
	if at <= 0 {
		return r, fmt.Errorf("--map %q: write URN=ADDRESS, such as urn:plant:gateway1=127.0.0.1:4841", text)
	}
	r.ServerURI, r.Address = text[:at], text[at+1:]
	if _, _, err := net.SplitHostPort(r.Address); err != nil {
		return r, fmt.Errorf("--map %q: %q is not HOST:PORT", text, r.Address)
	}
	if comma := strings.Index(r.ServerURI, ",opc.tcp://"); comma >= 0 {
		r.ServerURI, r.EndpointURL = r.ServerURI[:comma], r.ServerURI[comma+1:]
	}
	return r, nil
}

// parsePorts reads [HOST:]FIRST-LAST, [HOST:]PORT or 0.
func parsePorts(text string) (*reverseconnect.PortRange, error) {
	r := &reverseconnect.PortRange{Host: "127.0.0.1"}
	ports := text
	if host, rest, err := net.SplitHostPort(text); err == nil {
		r.Host, ports = host, rest
	}
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		last = first
	}
	from, err1 := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	if err1 != nil || err2 != nil || to < from || isRange && from == 0 {
		return nil, fmt.Errorf("--ports %q: write [HOST:]FIRST-LAST with ports from 1 to 65535, or 0 for any", text)
	}
	r.First, r.Last = uint16(from), uint16(to)
	return r, nil
}

// board prints a line for each gateway when it changes, but not more often than people can read.
type board struct {
	out   *printer
	shown map[string]string // by URL
}

const boardInterval = 200 * time.Millisecond

// follow prints until ctx ends.
func (p board) follow(ctx context.Context, b *reverseconnect.Bridge, news <-chan struct{}) {
	for {
		for _, s := range b.Status() {
			p.print(&s)
		}
		pause := time.NewTimer(boardInterval)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-news:
		}
	}
}

func (p board) print(s *reverseconnect.RouteStatus) {
	text := fmt.Sprintf("%q at %s: %s", s.ServerURI, s.URL, bridgeWords(s))
	if p.shown[s.Addr.String()] == text {
		return
	}
	p.shown[s.Addr.String()] = text
	fields := map[string]any{
		"server_uri": s.ServerURI, "endpoint_url": s.EndpointURL, "url": s.URL, "calls": s.Calls, "waiting": s.Waiting,
		"clients": s.Clients, "joined": s.Joined, "bytes_to_server": s.ToServer, "bytes_to_client": s.ToClient,
	}
	if s.RemoteAddr != nil {
		fields["remote"], fields["last_call"] = s.RemoteAddr.String(), s.LastCall.UTC()
	}
	if s.LastFailure != "" {
		fields["last_failure"], fields["failure_time"] = s.LastFailure, s.FailureTime.UTC()
	}
	p.out.say("server", text, fields)
}

// bridgeWords says how a gateway is doing.
func bridgeWords(s *reverseconnect.RouteStatus) string {
	text := "has not called yet"
	if s.RemoteAddr != nil {
		text = fmt.Sprintf("called from %s; waiting calls: %d, clients: %d", s.RemoteAddr, s.Calls, s.Clients)
	}
	if s.Waiting > 0 {
		text += fmt.Sprintf(", waiting clients: %d", s.Waiting)
	}
	if s.LastFailure != "" {
		text += fmt.Sprintf("; last failure at %s: %s", s.FailureTime.Local().Format(time.TimeOnly), s.LastFailure)
	}
	return text
}
