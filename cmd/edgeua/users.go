package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/term"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/uabinary"
)

func newUsers() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "users",
		Short: "Look at users and their rights, make password hashes",
		Long: `Users, groups and rights stand in ` + config.UsersName + ` beside the main file. Without it
nobody can log in. One to start from:

  <TcUaSecurityConfig>
    <Groups>
      <Group Name="Viewers"><DefaultAccess Namespace="*" Access="0x10B"/></Group>
      <Group Name="Operators"><DefaultAccess Namespace="*" Access="0x10F"/></Group>
    </Groups>
    <Users>
      <User Name="operator" Auth="Server" Password="..." MemberOf="Operators"/>
      <User Name="Anonymous" Auth="None" MemberOf="Viewers"/>
    </Users>
  </TcUaSecurityConfig>

The Password is what edgeua users hash prints. The user Anonymous lets clients in without a
name, if EnableAnonymous is true in the main file as well. Access is a sum of 0x1 read
attributes, 0x2 read values, 0x4 write values and call, 0x8 browse, 0x100 events, 0x200
write attributes.`,
		Example: "  edgeua users list\n  edgeua users hash\n  edgeua users can operator 'ns=2;s=Boiler.SupplyTemp'",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newUsersList(), newUsersHash(), newUsersCan())
	return cmd
}

func newUsersList() *cobra.Command {
	var files configFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the users, how they log in, and what they may do with the devices", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := files.usable()
			if err != nil {
				return err
			}
			return listUsers(cmd.OutOrStdout(), cfg)
		},
	}
	files.add(cmd)
	return cmd
}

func listUsers(out io.Writer, cfg *config.Config) error {
	if cfg.Users == nil {
		fmt.Fprintln(out, "there is no "+config.UsersName+": nobody can log in")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "USER\tLOGS IN\tGROUPS\tMAY, WITH THE DEVICES")
	for i := range cfg.Users {
		u := &cfg.Users[i]
		fmt.Fprintf(w, "%q\t%s\t%s\t%s\n", u.Name, login(cfg, u), strings.Join(u.MemberOf, ", "), cfg.Rights(u.Name, cfg.Application.DevicesURI()))
	}
	return w.Flush()
}

// login says how a user logs in, or why not.
func login(cfg *config.Config, u *config.User) string {
	switch {
	case u.Name == config.AnonymousUser && u.Auth == config.AuthNone:
		return map[bool]string{true: "without a name", false: "no: EnableAnonymous is not true"}[cfg.Tokens.Anonymous]
	case u.Auth == config.AuthCertificate:
		return map[bool]string{true: "certificate", false: "no: EnableCertificate is not true"}[cfg.Tokens.Certificate]
	case !u.CanLogIn():
		return "no: Auth=" + string(u.Auth)
	case !cfg.Tokens.UserName:
		return "no: EnableUserPw is not true"
	case u.Hashed():
		return "password, hashed"
	}
	return "password, in clear text"
}

func newUsersHash() *cobra.Command {
	return &cobra.Command{
		Use: "hash", Short: "Turn a password into the hash for " + config.UsersName,
		Long: `Asks for a password, or reads the first line of standard input, and prints its bcrypt hash.
It goes into the attribute Password of a User with Auth="Server".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := newPassword(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return &configError{err}
			}
			hash, err := hashPassword(password)
			if err != nil {
				return &configError{err}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), hash)
			return err
		},
	}
}

// newPassword reads a password: twice from a terminal, or one line of anything else.
func newPassword(in io.Reader, prompt io.Writer) ([]byte, error) {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return []byte(strings.TrimRight(line, "\r\n")), nil
	}
	ask := func(text string) ([]byte, error) {
		fmt.Fprint(prompt, text)
		defer fmt.Fprintln(prompt)
		return term.ReadPassword(int(f.Fd()))
	}
	password, err := ask("Password: ")
	if err != nil {
		return nil, err
	}
	again, err := ask("Once more: ")
	if err == nil && !slices.Equal(password, again) {
		err = errors.New("the two passwords differ")
	}
	return password, err
}

// hashPassword refuses what cannot be a password; bcrypt takes 72 bytes at most.
func hashPassword(password []byte) (string, error) {
	const cost = 10 // 0.1 s on a desktop, about 1 s on a small ARM: a login waits for it
	if len(password) == 0 {
		return "", errors.New("the password is empty")
	}
	hash, err := bcrypt.GenerateFromPassword(password, cost)
	if errors.Is(err, bcrypt.ErrPasswordTooLong) {
		err = errors.New("the password is longer than 72 bytes")
	}
	return string(hash), err
}

func newUsersCan() *cobra.Command {
	var files configFlags
	cmd := &cobra.Command{
		Use: "can USER NODEID", Short: "Explain what a user may do with a node, and which group says so",
		Long: `Prints what USER may do with the node, and each group or entry of ` + config.UsersName + `
that grants something. Rights hold for all nodes of a namespace. NODEID is a NodeId such as
'ns=2;s=Boiler.SupplyTemp' (0 is OPC UA itself, 1 the server, 2 the devices) or the URI of
a namespace. Sessions without a user are the user ` + config.AnonymousUser + `.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := files.usable()
			if err != nil {
				return err
			}
			namespace, err := namespaceOf(cfg, args[1])
			if err != nil {
				return &configError{err}
			}
			return explainRights(cmd.OutOrStdout(), cfg, args[0], namespace)
		},
	}
	files.add(cmd)
	return cmd
}

// namespaceOf finds the namespace of a node. The indexes are those of the running server.
func namespaceOf(cfg *config.Config, node string) (string, error) {
	if strings.Contains(node, ":") && !strings.Contains(node, "=") {
		return node, nil
	}
	id, err := uabinary.ParseNodeID(node)
	if err != nil {
		return "", fmt.Errorf("%q is neither a NodeId such as 'ns=2;s=Boiler.SupplyTemp' nor the URI of a namespace", node)
	}
	namespaces := []string{"http://opcfoundation.org/UA/", cfg.Application.URI, cfg.Application.DevicesURI()}
	if int(id.Namespace) >= len(namespaces) {
		return "", fmt.Errorf("the namespace %d depends on what runs; write its URI instead of the NodeId", id.Namespace)
	}
	return namespaces[id.Namespace], nil
}

func explainRights(out io.Writer, cfg *config.Config, name, namespace string) error {
	fmt.Fprintf(out, "user %q, namespace %s\n", name, namespace)
	i := slices.IndexFunc(cfg.Users, func(u config.User) bool { return u.Name == name })
	switch {
	case cfg.Users == nil:
		return listUsers(out, cfg)
	case i < 0:
		fmt.Fprintf(out, "may do nothing: %s has no such user\n", config.UsersName)
		return nil
	}
	u := &cfg.Users[i]
	rights := cfg.Rights(name, namespace)
	fmt.Fprintf(out, "logs in: %s\nmay: %s\n", login(cfg, u), rights)
	if missing := config.AllRights &^ rights; missing != 0 {
		fmt.Fprintf(out, "may not: %s\n", missing)
	}
	for _, g := range cfg.Grants(name, namespace) {
		fmt.Fprintf(out, "  %s\n", g)
	}
	for _, group := range u.MemberOf {
		if !slices.ContainsFunc(cfg.Grants(name, namespace), func(g config.Grant) bool { return slices.Contains(g.Holder, group) }) {
			fmt.Fprintf(out, "  group %q grants nothing here\n", group)
		}
	}
	return nil
}
