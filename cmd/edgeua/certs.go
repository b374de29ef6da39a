package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgeua/edgeua/internal/pki"
)

// certFlags are the flags that all commands below certs share.
type certFlags struct {
	configFlags
	endpoint string
	users    bool
}

// certStore is one set of certificate files; endpoints usually share one.
type certStore struct {
	pki.Locations
	name     string // of the endpoint, or of the user certificates
	request  pki.Request
	generate bool
}

func newCerts() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "certs",
		Short: "Manage the certificates of the gateway and of its clients",
		Long: `Works on the files and directories that the configuration names. A running gateway takes
over by itself what is trusted or rejected, and a renewed own certificate: new connections
go by them.

A certificate is named by its file or by its thumbprint (SHA-1 or SHA-256, the first 8
digits are enough).`,
		Example: `  edgeua certs list
  edgeua certs trust 8F3A01C2
  edgeua certs renew
  edgeua certs export --out gateway.der`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCertsList(), newCertsShow(), newCertsTrust(), newCertsReject(), newCertsRenew(), newCertsExport())
	return cmd
}

func (f *certFlags) add(cmd *cobra.Command) {
	f.configFlags.add(cmd)
	cmd.Flags().StringVar(&f.endpoint, "endpoint", "", "only the store of the endpoint with this `URL` (default: all)")
	cmd.Flags().BoolVar(&f.users, "users", false, "the certificates of users instead of those of applications")
}

// stores are those that the flags ask for, each once.
func (f *certFlags) stores() ([]certStore, error) {
	cfg, err := f.usable()
	if err != nil {
		return nil, err
	}
	if f.users {
		return []certStore{{Locations: userLocations(cfg), name: "users"}}, nil
	}
	var all []certStore
	for i := range cfg.Endpoints {
		e := &cfg.Endpoints[i]
		s := certStore{Locations: locations(e), name: e.URL, request: certificateRequest(&e.Certificate.Settings, cfg.Application.URI), generate: e.Certificate.Generate}
		known := slices.ContainsFunc(all, func(o certStore) bool { return o.Locations == s.Locations })
		if !known && (f.endpoint == "" || f.endpoint == e.URL) {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return nil, &configError{fmt.Errorf("there is no endpoint %s", f.endpoint)}
	}
	return all, nil
}

func newCertsList() *cobra.Command {
	var f certFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List own, trusted, issuer and rejected certificates", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stores, err := f.stores()
			if err != nil {
				return err
			}
			for i := range stores {
				if err := stores[i].list(cmd.OutOrStdout(), len(stores) > 1, time.Now()); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

func newCertsShow() *cobra.Command {
	var f certFlags
	cmd := &cobra.Command{
		Use: "show [FILE|THUMBPRINT]", Short: "Show what a certificate says (without an argument: the own one)", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := f.find(args)
			if err != nil {
				return err
			}
			return showCertificate(cmd.OutOrStdout(), found)
		},
	}
	f.add(cmd)
	return cmd
}

// find gives the one certificate that the arguments name, wherever it lies.
func (f *certFlags) find(args []string) (pki.Entry, error) {
	stores, err := f.stores()
	if err != nil {
		return pki.Entry{}, err
	}
	if len(args) == 0 {
		return first(pki.List(stores[0].Certificate))
	}
	if info, err := os.Stat(args[0]); err == nil && info.Mode().IsRegular() {
		return first(pki.List(args[0]))
	}
	var places []string
	for _, s := range stores {
		places = append(places, s.Certificate, s.TrustedCerts, s.IssuerCerts, s.Rejected)
	}
	found, err := pki.Find(args[0], places...)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("no certificate with the thumbprint %s", args[0])
	}
	return first(found, err)
}

// first gives the first of some certificates that is one.
func first(all []pki.Entry, err error) (pki.Entry, error) {
	switch {
	case err != nil:
		return pki.Entry{}, err
	case len(all) == 0:
		return pki.Entry{}, errors.New("the own certificate does not exist yet; edgeua serve creates it")
	case all[0].Problem != nil:
		return pki.Entry{}, fmt.Errorf("%s %w", all[0].Path, all[0].Problem)
	case all[0].Cert == nil:
		return pki.Entry{}, fmt.Errorf("%s is a revocation list", all[0].Path)
	}
	return all[0], nil
}

func newCertsTrust() *cobra.Command {
	var f certFlags
	cmd := &cobra.Command{
		Use: "trust FILE|THUMBPRINT", Short: "Trust a certificate: a file, or a rejected one by its thumbprint", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			stores, err := f.stores()
			if err != nil {
				return err
			}
			which := args[0]
			for _, s := range stores {
				e, err := pki.Trust(s.Locations, which)
				if err != nil {
					return err
				}
				which = e.Path // it may have left the rejected ones, which stores can share
				fmt.Fprintf(cmd.OutOrStdout(), "trusted %s, %s\n  now %s\n", pki.CommonName(e.Cert), pki.Thumbprint(e.Cert), e.Path)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "A running gateway accepts it from its next connection on.")
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

func newCertsReject() *cobra.Command {
	var f certFlags
	cmd := &cobra.Command{
		Use: "reject FILE|THUMBPRINT", Short: "Trust a certificate no more", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			stores, err := f.stores()
			if err != nil {
				return err
			}
			which, done := args[0], false
			var missing error
			for _, s := range stores {
				e, err := pki.Reject(s.Locations, which)
				if errors.Is(err, fs.ErrNotExist) {
					missing = err
					continue
				}
				if err != nil {
					return err
				}
				which, done = or(e.Path, which), true
				fmt.Fprintf(cmd.OutOrStdout(), "rejected %s, %s\n", pki.CommonName(e.Cert), pki.Thumbprint(e.Cert))
			}
			if !done {
				return missing
			}
			fmt.Fprintln(cmd.OutOrStdout(), "A running gateway refuses it from its next connection on.")
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

func newCertsRenew() *cobra.Command {
	var f certFlags
	var newKey bool
	cmd := &cobra.Command{
		Use: "renew", Short: "Replace the own certificate by one made from the CertificateSettings of today",
		Long: `Makes a new self-signed certificate from the CertificateSettings and puts it in the place
of the old one. The key stays, unless --new-key asks for another one. Clients have to trust
the new certificate; a running gateway shows it to new connections within seconds, and
those that exist go on.

A certificate that an authority issued is not replaced: have it renewed there.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stores, err := f.stores()
			if err != nil {
				return err
			}
			var done []string
			for _, s := range stores {
				if slices.Contains(done, s.Certificate) {
					continue
				}
				done = append(done, s.Certificate)
				if err := s.renew(cmd.OutOrStdout(), newKey); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&newKey, "new-key", false, "make a new key, too, of the KeyLength of today")
	return cmd
}

func (s *certStore) renew(out io.Writer, newKey bool) error {
	switch {
	case s.Certificate == "":
		return &configError{errors.New("users have certificates of their own; renew them where they were made")}
	case !s.generate:
		return &configError{fmt.Errorf("endpoint %s: GenerateCertificate is not true: install a new certificate by hand, or write true", s.name)}
	}
	own, err := pki.Renew(s.Locations, s.request, newKey)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "renewed %s, valid until %s, thumbprint %s\n", s.Certificate, own.Cert.NotAfter.UTC().Format(time.DateOnly), pki.Thumbprint(own.Cert))
	fmt.Fprintln(out, "A running gateway shows it to new connections by itself. Give it to the clients: edgeua certs export --out gateway.der")
	return nil
}

func newCertsExport() *cobra.Command {
	var f certFlags
	var file string
	cmd := &cobra.Command{
		Use: "export [THUMBPRINT]", Short: "Copy a certificate out (without an argument: the own one)",
		Long: `Prints the certificate as PEM, or writes it to the file --out: as PEM if its name ends in
.pem or .crt, as DER otherwise. Keys are never exported.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := f.find(args)
			if err != nil {
				return err
			}
			if file == "" {
				_, err := cmd.OutOrStdout().Write(pki.PEM(found.Cert.Raw))
				return err
			}
			data := found.Cert.Raw
			if ext := strings.ToLower(filepath.Ext(file)); ext == ".pem" || ext == ".crt" {
				data = pki.PEM(data)
			}
			if err := createFile(file, data, 0o644); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote %s, %s, thumbprint %s\n", file, pki.CommonName(found.Cert), pki.Thumbprint(found.Cert))
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&file, "out", "", "write to this `FILE`, which must not exist")
	return cmd
}

// createFile writes a file that must not exist yet. What could not be written completely is removed.
func createFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
