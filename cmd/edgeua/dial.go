package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgeua/edgeua/config"
)

func newDial() *cobra.Command {
	var main string
	cmd := &cobra.Command{
		Use:   "dial URL",
		Short: "Have the running gateway call a client now",
		Long: `Asks the gateway that runs with this configuration to call the client at once, whatever
delay runs, at most once a second. What became of it stands in the gateway's log, in its
metrics and below Server/ReverseConnections.

The gateway is asked through a socket beside the configuration, edgeua-state/control.sock,
that only its own user can open.

Exit codes: 0 the client is called or was connected, 1 there is no gateway or no such client.`,
		Example: "  edgeua dial opc.tcp://127.0.0.1:48061",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return dial(cmd.Context(), cmd.OutOrStdout(), main, args[0])
		},
	}
	cmd.Flags().StringVar(&main, "config", config.MainName, "the TwinCAT configuration file of the gateway, its directory, or a "+config.LocationName)
	return cmd
}

func dial(ctx context.Context, out io.Writer, main, url string) error {
	if strings.ContainsAny(url, "\r\n") || len(url) > maxControlLine/2 {
		return errors.New("that is not the URL of a client")
	}
	directory, err := config.StateDir(main)
	if err != nil {
		return err
	}
	answer, err := ask(ctx, controlPath(directory), "dial "+url)
	if err != nil {
		return err
	}
	verdict, text, _ := strings.Cut(answer, " ")
	if verdict != "ok" {
		return errors.New(text)
	}
	_, err = fmt.Fprintln(out, text)
	return err
}

// ask sends one request to the gateway and returns its answer.
func ask(ctx context.Context, path, request string) (string, error) {
	d := net.Dialer{Timeout: controlTimeout}
	nc, err := d.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return "", fmt.Errorf("no gateway runs with the configuration in %s", filepath.Dir(filepath.Dir(path)))
	case errors.Is(err, os.ErrPermission):
		return "", fmt.Errorf("%s is for the gateway's own user", path)
	case err != nil:
		return "", err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(controlTimeout))
	if _, err := fmt.Fprintln(nc, request); err != nil {
		return "", err
	}
	answer, err := readLine(nc)
	if err != nil {
		return "", fmt.Errorf("the gateway did not answer: %w", err)
	}
	return answer, nil
}
