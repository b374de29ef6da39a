// Package configtest makes main files that differ from a plain one in one element each: one for every row of the table
// [config.Elements]. Tests show with them that no element is read and then forgotten.
package configtest

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// Case is one element with a value that asks for something else than its absence and than the shipped file.
type Case struct {
	Element     config.Element
	Value       string
	Plain, With string // main files without and with the value
}

// Cases gives one Case for each element that has a value of its own; blocks only hold others.
func Cases() []Case {
	var all []Case
	for _, e := range config.Elements() {
		if e.Kind == config.Block {
			continue
		}
		plain := base(e.Path)
		with := base(e.Path)
		value := other(e)
		with.Set(e.Path, value)
		all = append(all, Case{e, value, plain.String(), with.String()})
	}
	return all
}

// Load reads a main file from a directory that stays the same for all files of a test, with one user beside it.
func Load(t testing.TB, dir, text string) (*config.Config, *xmltree.Report) {
	t.Helper()
	const users = `<TcUaSecurityConfig><Users><User Name="op" IsRoot="true" Auth="Server" Password="$2a$04$PmW.2EW5h4RNNpmnZsaSnu8uOmHH9t2Ay5FaQDBW1IxUJqbxHRVJe"/><User Name="Anonymous" IsRoot="true" Auth="None"/></Users></TcUaSecurityConfig>`
	for name, content := range map[string]string{config.MainName: text, config.UsersName: users, config.EdgeName: "<EdgeUa/>"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config.Load(config.Options{Main: filepath.Join(dir, config.MainName), Hostname: "gw-7"})
}

// Node is an element of a file under construction.
type Node struct {
	name, text string
	children   []*Node
}

// New returns a main file with nothing in it.
func New() *Node { return &Node{name: "OpcServerConfig"} }

// Set gives the first element of a path a text, and makes what is missing on the way.
func (n *Node) Set(path, text string) *Node {
	for step := range strings.SplitSeq(path, "/") {
		i := slices.IndexFunc(n.children, func(c *Node) bool { return c.name == step })
		if i < 0 {
			n.children = append(n.children, &Node{name: step})
			i = len(n.children) - 1
		}
		n = n.children[i]
	}
	n.text = text
	return n
}

// Add appends another element to the first block of a path, and returns it.
func (n *Node) Add(path, text string) *Node {
	parent, name := filepath.Split(path)
	at := n.Set(strings.TrimSuffix(parent, "/"), "")
	at.children = append(at.children, &Node{name: name, text: text})
	return at.children[len(at.children)-1]
}

// Remove takes all elements of a path away.
func (n *Node) Remove(path string) {
	parent, name := filepath.Split(path)
	at := n.Set(strings.TrimSuffix(parent, "/"), "")
	at.children = slices.DeleteFunc(at.children, func(c *Node) bool { return c.name == name })
}

// String is the file.
func (n *Node) String() string {
	var b strings.Builder
	n.write(&b)
	return b.String()
}

func (n *Node) write(b *strings.Builder) {
	b.WriteString("<" + n.name + ">")
	xml.EscapeText(b, []byte(n.text)) // a Builder takes everything
	for _, c := range n.children {
		c.write(b)
	}
	b.WriteString("</" + n.name + ">\n")
}

// base is a plain file in which the element of a path can have an effect.
func base(path string) *Node {
	const main, endpoint = "UaServerConfig/", "UaServerConfig/UaEndpoint/"
	n := New()
	n.Set(main+"ServerUri", "urn:gw-7:plant")
	n.Set(main+"ServerName", "Plant")
	n.Set(endpoint+"Url", "opc.tcp://gw-7:4840")
	n.Set(endpoint+"SecuritySetting/SecurityPolicy", "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256")
	n.Set(endpoint+"SecuritySetting/MessageSecurityMode", "SignAndEncrypt")
	const trusted = "OpenSSLStore/CertificateTrustListLocation"
	if within := main + "DefaultApplicationCertificateStore/"; strings.HasPrefix(path, within) {
		n.Set(within+trusted, "trusted")
		store(n, within+"ServerCertificate/")
		windows(n, path, within, within+"ServerCertificate/")
	} else {
		n.Set(endpoint+"CertificateStore/"+trusted, "trusted")
		store(n, endpoint+"CertificateStore/")
		windows(n, path, endpoint+"CertificateStore/")
	}
	switch {
	case strings.HasSuffix(path, "DiscoveryRegistration/RegistrationInterval"):
		n.Set(main+"DiscoveryRegistration/Url", "opc.tcp://lds:4840")
	case strings.Contains(path, "AdditionalServerEntries/"):
		n.Set(main+"AdditionalServerEntries/ApplicationDescription/ApplicationUri", "urn:b")
	case strings.HasSuffix(path, "/UaAppTraceMaxEntries"), strings.HasSuffix(path, "/UaAppTraceMaxBackup"), strings.HasSuffix(path, "/DisableFileTrace"):
		n.Set(main+"Trace/UaAppTraceFile", "trace.log")
	case strings.HasSuffix(path, "/UaStackTraceLevel"):
		n.Set(main+"Trace/UaStackTraceEnabled", "true")
	case strings.HasSuffix(path, "/UaStackTraceEnabled"):
		n.Set(main+"Trace/UaStackTraceLevel", "DEBUG")
	}
	return n
}

func store(n *Node, at string) {
	n.Set(at+"OpenSSLStore/ServerCertificate", "own.der")
	n.Set(at+"OpenSSLStore/ServerPrivateKey", "own.pem")
	n.Set(at+"GenerateCertificate", "true")
}

// windows makes room for a store of Windows, which counts only without the other one.
func windows(n *Node, path string, stores ...string) {
	for _, at := range stores {
		if strings.HasPrefix(path, at+"WindowsStore/") {
			n.Remove(at + "OpenSSLStore")
		}
	}
}

// other is a value for an element that neither its absence nor the shipped file stands for.
func other(e config.Element) string {
	for suffix, value := range map[string]string{
		"/UaEndpoint/Url":                        "opc.tcp://other:4850",
		"/UaEndpoint/StackUrl":                   "opc.tcp://192.0.2.4:4840",
		"/UaEndpoint/SerializerType":             "Xml",
		"/ReverseConnect/Url":                    "opc.tcp://client:48060",
		"/AlternativeEndpointUrls/Url":           "opc.tcp://proxy:4840",
		"/DiscoveryRegistration/Url":             "opc.tcp://lds:4840",
		"/SecuritySetting/SecurityPolicy":        "http://opcfoundation.org/UA/SecurityPolicy#Aes256_Sha256_RsaPss",
		"/SecuritySetting/MessageSecurityMode":   "Sign",
		"/UserIdentityTokens/SecurityPolicy":     "http://opcfoundation.org/UA/SecurityPolicy#Aes256_Sha256_RsaPss",
		"/CertificateSettings/KeyLength":         "3072",
		"/CertificateSettings/YearsValidFor":     "3",
		"/CertificateSettings/Country":           "NO",
		"/CertificateSettings/IPAddress":         "192.0.2.9",
		"/UaServerConfig/ServerUri":              "urn:other",
		"/GenerateCertificate":                   "false",
		"/Trace/UaStackTraceLevel":               "DEBUG",
		"/RegistrationInterval":                  "45000",
		"/AvailableSamplingRates/SamplingRate":   "75",
		"/ApplicationDescription/DiscoveryUrl":   "opc.tcp://b:4840",
		"/ApplicationDescription/ApplicationUri": "urn:c",
	} {
		if strings.HasSuffix("/"+e.Path, suffix) {
			return value
		}
	}
	switch e.Kind {
	case config.Bool, config.NotFalse:
		return map[bool]string{true: "false", false: "true"}[e.Absent == "true"]
	case config.Integer:
		return "1234"
	case config.Number:
		return "12.5"
	case config.Path:
		return "/other/place"
	case config.Word:
		i := slices.IndexFunc(e.Words, func(w string) bool { return w != e.Absent && w != e.Shipped })
		return e.Words[i]
	}
	return "Other"
}
