// Package layers keeps the plan of the house true: which package may import which, who may open
// sockets, and which parts of gopcua are for whom.
package layers

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/edgeua/edgeua/"

// rule says what the packages at and below a folder may use.
type rule struct {
	imports []string // folders of ours besides their own
	sockets bool     // may listen and dial
	http    bool     // may answer HTTP, on listeners that it is given
	client  bool     // may use gopcua's client; ua, id and schema are for all
}

// rules is the table of layers. A new folder needs a line here.
func rules() map[string]rule {
	return map[string]rule{
		"internal/uabinary":      {},
		"internal/uatcp":         {imports: []string{"internal/uabinary"}},
		"internal/securechannel": {imports: []string{"internal/uatcp", "internal/uabinary"}},
		// A peer for tests: it does by hand what a client does.
		"internal/securechannel/securechanneltest": {imports: []string{"internal/securechannel", "internal/uatcp", "internal/uabinary"}, sockets: true, client: true},
		"internal/uaclient":                        {imports: []string{"internal/securechannel", "internal/uatcp", "internal/uabinary"}},
		"internal/pki":                             {},
		"internal/xmltree":                         {},
		"internal/modbussim":                       {},
		"internal/logfile":                         {},
		"internal/ptyline":                         {},
		"addressspace":                             {imports: []string{"internal/uabinary"}},
		"server":                                   {imports: []string{"addressspace", "internal/pki", "internal/securechannel", "internal/uatcp", "internal/uabinary"}},
		"reverseconnect":                           {imports: []string{"internal/uatcp"}, sockets: true, client: true},
		"internal/registration":                    {imports: []string{"internal/securechannel", "internal/uabinary", "internal/uaclient"}},
		"internal/gds":                             {imports: []string{"internal/pki", "internal/securechannel", "internal/uabinary", "internal/uaclient"}},
		"internal/status":                          {imports: []string{"addressspace", "internal/uabinary"}, http: true},
		"drivers":                                  {imports: []string{"addressspace", "internal/uabinary", "internal/xmltree"}},
		"drivers/modbus":                           {imports: []string{"drivers", "addressspace", "internal/uabinary", "internal/xmltree"}, sockets: true},
		"drivers/driverstest":                      {imports: []string{"drivers", "addressspace", "internal/uabinary", "internal/xmltree"}},
		"drivers/framing":                          {},
		"drivers/instrument":                       {imports: []string{"drivers", "addressspace", "internal/uabinary", "internal/xmltree"}},
		"drivers/serial":                           {imports: []string{"drivers", "internal/xmltree"}},
		"drivers/taglist":                          {imports: []string{"internal/xmltree"}},
		"drivers/sysfs":                            {imports: []string{"drivers", "addressspace", "internal/uabinary", "internal/xmltree"}},
		"drivers/sniff":                            {imports: []string{"drivers", "drivers/framing", "drivers/serial"}},
		"drivers/socket":                           {imports: []string{"drivers", "internal/xmltree"}, sockets: true},
		"config":                                   {imports: []string{"drivers", "internal/xmltree"}},
		"drivers/simulated":                        {imports: []string{"drivers", "addressspace", "internal/uabinary", "internal/xmltree"}},
		"internal/commissioning":                   {imports: []string{"drivers", "internal/uabinary", "internal/xmltree"}},
		"internal/fieldsim":                        {imports: []string{"drivers", "internal/modbussim", "internal/ptyline", "internal/uabinary", "internal/xmltree"}, sockets: true},
		"cmd":                                      {imports: []string{""}, sockets: true},
		"examples":                                 {imports: []string{""}, sockets: true, client: true},
		"test":                                     {imports: []string{""}, sockets: true, client: true},
	}
}

// ruleFor finds the rule of the deepest folder that holds the package.
func ruleFor(all map[string]rule, folder string) (string, rule, bool) {
	for at := folder; at != "."; at = filepath.ToSlash(filepath.Dir(at)) {
		if r, ok := all[at]; ok {
			return at, r, true
		}
	}
	return "", rule{}, false
}

func within(folder, parent string) bool {
	return parent == "" || folder == parent || strings.HasPrefix(folder, parent+"/")
}

// listed is what `go list -json` says of a package.
type listed struct {
	Dir, ImportPath string
	Imports         []string
	GoFiles         []string
}

// packages lists our packages as they are built for gateways.
func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=Dir,ImportPath,Imports,GoFiles", module+"...")
	cmd.Env = append(cmd.Environ(), "GOOS=linux")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) < 10 {
		t.Fatalf("go list found %d packages", len(list))
	}
	return list
}

func TestImportsPointDown(t *testing.T) {
	all := rules()
	for _, p := range packages(t) {
		folder := strings.TrimPrefix(p.ImportPath, module)
		home, r, ok := ruleFor(all, folder)
		if !ok {
			t.Errorf("%s has no line in the table of layers", folder)
			continue
		}
		for _, path := range p.Imports {
			if problem := r.judge(home, path); problem != "" {
				t.Errorf("%s imports %s: %s", folder, path, problem)
			}
		}
	}
}

// judge says in words why a package under home may not import path.
func (r rule) judge(home, path string) string {
	if folder, ours := strings.CutPrefix(path, module); ours {
		switch {
		case within(folder, "cmd"):
			return "commands are imported by nobody"
		case within(folder, home) || slices.ContainsFunc(r.imports, func(allowed string) bool { return within(folder, allowed) }):
			return ""
		}
		return "not below it in the layers"
	}
	if part, gopcua := strings.CutPrefix(path, "github.com/gopcua/opcua"); gopcua && !r.client {
		switch part {
		case "/ua", "/id", "/schema":
			return ""
		}
		return "of gopcua only ua and id are for everybody"
	}
	if strings.HasPrefix(path, "net/http") && !r.sockets && !r.http {
		return "it has no business with sockets"
	}
	return ""
}

// Who only works on connections that it is given cannot dial a stranger.
func TestWhoOpensSockets(t *testing.T) {
	all := rules()
	for _, p := range packages(t) {
		folder := strings.TrimPrefix(p.ImportPath, module)
		_, r, ok := ruleFor(all, folder)
		if !ok || r.sockets || !slices.Contains(p.Imports, "net") {
			continue
		}
		for _, name := range p.GoFiles {
			for _, use := range socketUses(t, filepath.Join(p.Dir, name)) {
				t.Errorf("%s/%s uses %s: only drivers, reverseconnect and cmd open sockets", folder, name, use)
			}
		}
	}
}

// socketUses lists the functions and types of net in a file that open sockets.
func socketUses(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var uses []string
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := selector.X.(*ast.Ident); ok && pkg.Name == "net" {
			if name := selector.Sel.Name; strings.HasPrefix(name, "Dial") || name != "Listener" && strings.HasPrefix(name, "Listen") {
				uses = append(uses, "net."+name)
			}
		}
		return true
	})
	return uses
}

// The rules themselves: what must be refused is.
func TestRules(t *testing.T) {
	all := rules()
	for _, c := range []struct {
		from, path string
		fine       bool
	}{
		{"internal/uatcp", module + "internal/uabinary", true},
		{"internal/uabinary", module + "internal/uatcp", false},
		{"internal/uaclient", module + "internal/securechannel", true},
		{"internal/uaclient", module + "reverseconnect", false},
		{"internal/uaclient", "github.com/gopcua/opcua", false},
		{"server", module + "reverseconnect", false},
		{"server", module + "internal/uaclient", false},
		{"server", module + "config", false},
		{"server", module + "drivers", false},
		{"drivers/modbus", module + "internal/securechannel", false},
		{"drivers", module + "drivers/modbus", true}, // its own folder
		{"config", module + "server", false},
		{"cmd/edgeua", module + "server", true},
		{"test/bench", module + "cmd/edgeua", false},
		{"server", "github.com/gopcua/opcua/ua", true},
		{"server", "github.com/gopcua/opcua/uasc", false},
		{"reverseconnect", "github.com/gopcua/opcua", true},
		{"config", "net/http", false},
		{"internal/status", "net/http", true},
		{"internal/status", module + "reverseconnect", false},
	} {
		home, r, _ := ruleFor(all, c.from)
		if got := r.judge(home, c.path); (got == "") != c.fine {
			t.Errorf("%s importing %s: %q", c.from, c.path, got)
		}
	}
}
