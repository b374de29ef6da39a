package config

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"text/template"
)

// The files to start from, with comments for an administrator.
var (
	//go:embed starter/TcUaServerConfig.xml
	starterMain string
	//go:embed starter/edgeua.xml
	starterEdge string
	//go:embed starter/TcUaSecurityConfig.xml
	starterUsers string
)

// Starter is what the files of a new gateway depend on. Nothing in them is permissive.
type Starter struct {
	URL          string   // of the endpoint
	Addresses    []string // IP addresses for the certificate
	Clients      []string // reverse-connect clients
	User         string   // a first user; empty: there is only an example, in a comment
	PasswordHash string   // bcrypt
}

// StarterFile is one file of a new gateway.
type StarterFile struct {
	Name    string
	Data    []byte
	Private bool // holds secrets
}

// Files writes the files, in the order in which they should be created.
func (s Starter) Files() ([]StarterFile, error) {
	files := []StarterFile{
		{Name: MainName, Data: []byte(starterMain)}, {Name: EdgeName, Data: []byte(starterEdge)},
		{Name: UsersName, Data: []byte(starterUsers), Private: true},
	}
	fill := Starter{URL: escape(s.URL), User: escape(s.User), PasswordHash: escape(s.PasswordHash)}
	for _, a := range s.Addresses {
		fill.Addresses = append(fill.Addresses, escape(a))
	}
	for _, c := range s.Clients {
		fill.Clients = append(fill.Clients, escape(c))
	}
	for i := range files {
		t, err := template.New(files[i].Name).Parse(string(files[i].Data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", files[i].Name, err)
		}
		var b bytes.Buffer
		if err := t.Execute(&b, fill); err != nil {
			return nil, fmt.Errorf("%s: %w", files[i].Name, err)
		}
		files[i].Data = b.Bytes()
	}
	return files, nil
}

// escape makes text safe inside an element or an attribute.
func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;").Replace(text)
}
