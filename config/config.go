// Package config turns the files of an administrator into one checked [Config].
//
// It reads TcUaServerConfig.xml as TwinCAT's OPC UA server does, with its tolerance (first duplicate wins, unknown
// elements do no harm, a broken endpoint is left out while another remains), TcUaSecurityConfig.xml beside it for the
// users, and edgeua.xml strictly for what is ours: devices and the tuning of reverse connections. Every problem of all
// files is reported in one pass with file, line and path. There is no schema by the makers of the first two files; the
// table of [Elements] is what this package knows about them.
//
// Left out: reading certificates and keys (internal/pki), the content of a channel (drivers), and writing files.
package config

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/drivers"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// Names of the files that are looked for beside the main one.
const (
	EdgeName  = "edgeua.xml"
	UsersName = "TcUaSecurityConfig.xml"
)

// StateName is the directory, beside the main file, of what the server writes for itself.
const StateName = "edgeua-state"

// Options says which files to read and what the build can do.
type Options struct {
	Main         string         // path of TcUaServerConfig.xml, its directory, or a TcUaConfigLocation.xml
	Users        string         // path of TcUaSecurityConfig.xml; empty: beside Main
	Dir          string         // what [ApplicationPath] and relative paths mean; empty: the directory of Main
	Edge         string         // path of edgeua.xml; empty: beside Main
	EdgeRequired bool           // a missing edgeua.xml refuses the start
	Kinds        []drivers.Kind // the words allowed in the Type of a Channel
	Hostname     string         // for [NodeName]; empty: ask the operating system
}

// Config is everything the files say, checked and with every default filled in. Paths of certificates are absolute.
type Config struct {
	Sources         []Source // the files read, in that order
	Application     Application
	LocaleIDs       []string // LocaleIdArray
	ServerProfiles  []string // ServerProfileArray
	Limits          Limits
	Endpoints       []Endpoint // at least one
	Tokens          Tokens
	UserTrust       Trust  // of user certificates; no directory: none is accepted
	Users           []User // nil: there is no users file
	Groups          []Group
	MaxSockets      int    // reverse connections together; 0: as many as there are clients
	StateDir        string // of what the server writes for itself, beside the main file
	MetricsAddress  string // host:port for HTTP; empty: no metrics
	Channels        []drivers.Channel
	Registration    Registration
	Redundancy      Redundancy
	OtherServers    []OtherServer
	AllowDeprecated bool       // Basic128Rsa15 and Basic256
	LogLevel        slog.Level // of the log file, mapped from Trace
	LogFile         LogFile
}

// Source is one file that was read.
type Source struct {
	Path     string
	Modified time.Time
}

// Application is the identity of the server and its BuildInfo.
type Application struct {
	URI  string // ServerUri: ApplicationUri, namespace 1, certificate, ReverseHello
	Name string // ServerName
	// Texts of BuildInfo; empty: those of the build.
	ProductURI, ManufacturerName, ProductName, SoftwareVersion, BuildNumber string
}

// Endpoint is one UaEndpoint.
type Endpoint struct {
	Line            int    // of its start tag
	URL             string // as advertised, and the EndpointUrl of the ReverseHello
	ListenAddress   string // host:port for net.Listen, no host: all interfaces; empty: no listener
	AlternativeURLs []string
	Visible         bool // listed by GetEndpoints
	Discovery       bool // its URL is listed by FindServers
	// SignatureWithChain: the signature of a session covers the complete chain of the client.
	SignatureWithChain bool
	Security           []SecuritySetting
	Trust              Trust
	Certificate        Certificate
	Overwrites         Overwrites
	ReverseClients     []ReverseClient
	// DirectoryClients are those whose URL a GDS knows.
	DirectoryClients []ReverseClient
}

// SecuritySetting allows one SecurityPolicy in some modes.
type SecuritySetting struct {
	PolicyURI string
	Modes     []ua.MessageSecurityMode
}

// Trust says which client certificates are accepted.
type Trust struct {
	All                                                bool   // AutomaticallyTrustAllClientCertificates
	Certificates, CRLs, IssuerCertificates, IssuerCRLs string // directories (a CRL location may be a file); empty: none
	Rejected                                           string // directory for refused certificates; empty: not kept
	MaxRejected                                        int    // files kept there
}

// Certificate is the server's own certificate and, when Generate is set, what to create if it is missing.
type Certificate struct {
	File      string // DER
	KeyFile   string // PEM
	Generate  bool
	SendChain bool // send the CA certificates along
	Settings  CertificateSettings
}

// CertificateSettings describes a certificate to create.
type CertificateSettings struct {
	CommonName, DomainComponent, Organization, OrganizationUnit, Locality, State, Country string
	Validity                                                                              time.Duration
	KeyBits                                                                               int
	DNSNames                                                                              []string
	IPAddresses                                                                           []string // literals
}

// Overwrites are the security checks an administrator switched off (SecurityCheckOverwrites).
type Overwrites struct {
	IgnoreTime, IgnoreIssuerTime, IgnoreRevocationUnknown, IgnoreIssuerRevocationUnknown        bool
	IgnoreKeyTooLong, IgnoreApplicationURI, IgnoreNonceLength, IgnoreTokenPolicyID, IgnoreUsage bool
}

// Tokens says which kinds of UserIdentityToken are offered.
type Tokens struct {
	Anonymous   bool // both switches: EnableAnonymous, and the user Anonymous in the users file
	UserName    bool
	Certificate bool
	PolicyURI   string // protects passwords on endpoints without security
}

// loader is one run of Load.
type loader struct {
	opts    Options
	parse   func(file string) (*xmltree.Element, error) // reads one file
	report  *xmltree.Report
	rules   map[string]Element
	dir     string // of the main file, absolute
	expand  *strings.Replacer
	cfg     *Config
	refused bool     // nothing may be started
	urls    []string // every reverse URL of the main file, the dropped ones too
}

// Load reads all files. The report holds every problem found, in order. The Config is nil when nothing may be started;
// it can be usable although the report has errors: a broken endpoint or reverse URL has then been left out.
func Load(opts Options) (*Config, *xmltree.Report) {
	return load(opts, parseFile)
}

func parseFile(file string) (*xmltree.Element, error) { return xmltree.Load(file, xmltree.Limits{}) }

// load is Load with the reading of files as a seam for tests.
func load(opts Options, parse func(file string) (*xmltree.Element, error)) (*Config, *xmltree.Report) {
	l := &loader{opts: opts, parse: parse, report: &xmltree.Report{}, cfg: &Config{}}
	l.load()
	l.report.Sort()
	if l.refused {
		return nil, l.report
	}
	return l.cfg, l.report
}

func (l *loader) load() {
	if !l.locate() {
		return
	}
	root, _ := l.read(l.opts.Main, "OpcServerConfig", true)
	if root == nil {
		return
	}
	main := section{loader: l, element: root.Child("UaServerConfig"), path: "UaServerConfig"}
	if main.element == nil {
		l.refuse(root, "there is no <UaServerConfig> inside; nothing is configured")
		return
	}
	l.application(main)
	l.check(root)
	l.cfg.Limits = readLimits(main)
	l.cfg.LocaleIDs = main.block("AvailableLocaleIds").list("LocaleId")
	l.cfg.ServerProfiles = main.block("AvailableServerProfiles").list("ServerProfileUri")
	l.cfg.LogLevel, l.cfg.LogFile = logLevel(main.block("Trace")), logFile(main.block("Trace"))
	l.cfg.AllowDeprecated = main.flag("AllowDeprecatedSecurityPolicies")
	l.endpoints(main)
	l.identities(main)
	l.discovery(main)
	l.siblings()
	l.edge()
}

// locate finds the directory that placeholders and relative paths refer to, and the host name.
func (l *loader) locate() bool {
	if !l.followMain() {
		return false
	}
	main, err := filepath.Abs(l.opts.Main)
	if err == nil && l.opts.Hostname == "" {
		l.opts.Hostname, err = os.Hostname()
	}
	if err != nil {
		l.report.Add(xmltree.Problem{File: l.opts.Main, Severity: xmltree.Error, Message: err.Error()})
		l.refused = true
		return false
	}
	l.dir = filepath.Dir(main)
	if l.opts.Dir != "" {
		l.dir = l.opts.Dir
	}
	l.cfg.StateDir = filepath.Join(l.dir, StateName)
	l.rules = map[string]Element{}
	for _, e := range Elements() {
		l.rules[e.Path] = e
	}
	return true
}

// read parses a file whose root must have that name. One that is there but cannot be used refuses the start; missing
// tells of one that is not there and not required.
func (l *loader) read(file, rootName string, required bool) (root *xmltree.Element, missing bool) {
	root, err := l.parse(file)
	switch {
	case err == nil && root.Name == rootName:
		l.source(file)
		return root, false
	case err == nil:
		l.report.Error(root, "the root element of this file must be <%s>; this is another file", rootName)
	case errors.Is(err, fs.ErrNotExist) && !required:
		return nil, true
	case errors.Is(err, fs.ErrNotExist) && file == l.opts.Main:
		l.report.Add(xmltree.Problem{File: file, Severity: xmltree.Error, Message: "is not there; name another place with --config, or have edgeua init write a configuration"})
	default:
		l.report.AddError(err)
	}
	l.refused = true
	return nil, false
}

// source notes a file that was read.
func (l *loader) source(file string) {
	if info, err := os.Stat(file); err == nil {
		l.cfg.Sources = append(l.cfg.Sources, Source{Path: file, Modified: info.ModTime()})
	}
}

// refuse reports an error that nothing can be started with.
func (l *loader) refuse(e *xmltree.Element, format string, args ...any) {
	l.report.Error(e, format, args...)
	l.refused = true
}

// application reads the identity; the placeholders of everything else need ServerName.
func (l *loader) application(main section) {
	l.expand = l.expander("[ServerName]")
	a := &l.cfg.Application
	a.Name = main.text("ServerName")
	l.expand = l.expander(a.Name)
	a.URI = main.text("ServerUri")
	a.ProductURI = main.text("ProductUri")
	a.ProductName = main.text("ProductName")
	if a.ProductURI == "" { // names of generations up to 1.3
		a.ProductURI = main.text("ApplicationUri")
	}
	if a.ProductName == "" {
		a.ProductName = main.text("ApplicationName")
	}
	a.ManufacturerName = main.text("ManufacturerName")
	a.SoftwareVersion = main.text("SoftwareVersion")
	a.BuildNumber = main.text("BuildNumber")
	l.checkServerURI(main)
}

// siblings names the files of a TwinCAT installation that have no effect here.
func (l *loader) siblings() {
	for _, s := range []struct{ name, instead string }{
		{"TcUaDaConfig.xml", "devices are configured in " + EdgeName},
		{"TcUaHaConfig.xml", "this version keeps no history"},
		{"TcUaAcConfig.xml", "this version has no alarms"},
		{"TcUaNodesetConfig.xml", "this version loads no node sets"},
		{"TcUaEventLogConfig.xml", "this version has no events"},
	} {
		file := filepath.Join(filepath.Dir(l.opts.Main), s.name)
		if _, err := os.Stat(file); err == nil {
			l.report.Add(xmltree.Problem{File: file, Message: "is not used: " + s.instead})
		}
	}
}

// reverseClients returns all targets of all endpoints.
func (c *Config) reverseClients() []*ReverseClient {
	var all []*ReverseClient
	for i := range c.Endpoints {
		for j := range c.Endpoints[i].ReverseClients {
			all = append(all, &c.Endpoints[i].ReverseClients[j])
		}
	}
	return slices.Clip(all)
}
