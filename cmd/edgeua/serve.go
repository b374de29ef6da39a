package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/xmltree"
)

func newServe() *cobra.Command {
	var files configFlags
	var logs logFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Long: `Reads the configuration, polls the devices, listens on the endpoints and calls the
reverse-connect clients, until SIGTERM or SIGINT; a second signal kills.

When the files change, and at SIGHUP, they are read again, and what is different is taken over
while everything else goes on: connections, sessions, subscriptions and devices. Files with an
error change nothing. 'edgeua check --diff' tells beforehand what a change does.

The log goes to standard error. Its line "server running" says that everything is up.

Exit codes: 0 stopped cleanly, 1 failed at run time, 2 configuration refused.`,
		Example: `  edgeua serve --config /etc/edgeua/TcUaServerConfig.xml
  edgeua serve --log-format json --log-level debug`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), cmd.ErrOrStderr(), &files, &logs)
		},
	}
	files.add(cmd)
	logs.add(cmd)
	return cmd
}

func serve(ctx context.Context, stderr io.Writer, files *configFlags, logs *logFlags) error {
	watch := newFileWatch(config.Files(files.options()))
	cfg, report := files.load()
	log, err := logs.journal(stderr)
	if err != nil {
		return err
	}
	if cfg != nil {
		log.follow(cfg)
		defer log.close()
	}
	tell(log.Logger, report)
	if err := refused(cfg, report); err != nil {
		return &configError{err}
	}
	for _, source := range cfg.Sources {
		log.Info("configuration read", "file", source.Path, "modified", source.Modified)
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	g, err := newGateway(ctx, cfg, log.Logger)
	if err != nil {
		return &configError{err}
	}
	g.follow = log.follow
	g.tasks = append(g.tasks, func(ctx context.Context) error { return g.reloads(ctx, files, watch, hup) })
	if l, err := bindControl(ctx, cfg.StateDir); err != nil {
		log.Warn("no control socket: edgeua dial cannot reach this gateway", "err", err)
	} else {
		g.tasks = append(g.tasks, func(ctx context.Context) error { return g.serveControl(ctx, l) })
	}
	return g.run(ctx)
}

// tell logs what the files gave rise to.
func tell(log *slog.Logger, report *xmltree.Report) {
	for _, p := range report.Problems {
		level := slog.LevelWarn
		if p.Severity == xmltree.Error {
			level = slog.LevelError
		}
		log.Log(context.Background(), level, "configuration", "problem", p.String())
	}
}

// refused decides whether the files allow a start. In the TwinCAT file a part
// that is broken is left out as long as something remains.
func refused(cfg *config.Config, report *xmltree.Report) error {
	if cfg == nil {
		return fmt.Errorf("the configuration is refused: %s; 'edgeua check' lists them", findings(report))
	}
	return nil
}

// listenError explains why a port could not be opened.
func listenError(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: the port is in use by another program (port 4840 often by a Local Discovery Server); "+
			"stop it or change the port in <Url> or <StackUrl>", address)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("cannot listen on %s: not permitted; ports below 1024 need the capability CAP_NET_BIND_SERVICE", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen on %s: this machine does not have that address; change <StackUrl>", address)
	}
	return fmt.Errorf("cannot listen on %s: %w", address, err)
}
