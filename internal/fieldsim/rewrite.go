package fieldsim

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/edgeua/edgeua/internal/xmltree"
)

// Rewrite returns an edgeua.xml in which the channels of the stands are where the stands answer. All else in it, comments
// included, stays byte by byte.
func Rewrite(file string, data []byte, stands []*Stand) ([]byte, error) {
	root, err := xmltree.Parse(file, data, xmltree.Limits{})
	if err != nil {
		return nil, err
	}
	spans, err := channelSpans(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	channels := root.All("Channel")
	if len(spans) != len(channels) {
		return nil, fmt.Errorf("%s: %d channels in %d places", file, len(channels), len(spans))
	}
	var out bytes.Buffer
	done := 0
	for i, e := range channels {
		for _, s := range stands {
			if s.Channel == setting(e, "Name") {
				out.Write(data[done:spans[i].from])
				s.write(&out, e)
				done = spans[i].to
			}
		}
	}
	out.Write(data[done:])
	return out.Bytes(), nil
}

type span struct{ from, to int }

// channelSpans finds where the Channel elements of the root begin and end.
func channelSpans(data []byte) ([]span, error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) {
		return nil, errors.New("only files in UTF-8 can be rewritten")
	}
	var all []span
	depth := 0
	for {
		from := int(d.InputOffset())
		token, err := d.RawToken()
		switch {
		case err == io.EOF:
			return all, nil
		case err != nil:
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth++; depth == 2 && t.Name.Local == "Channel" {
				all = append(all, span{from: from})
			}
		case xml.EndElement:
			if depth--; depth == 1 && t.Name.Local == "Channel" {
				all[len(all)-1].to = int(d.InputOffset())
			}
		}
	}
}

func setting(e *xmltree.Element, name string) string {
	if v, ok := e.Attr(name); ok {
		return strings.TrimSpace(v)
	}
	if c := e.Child(name); c != nil {
		return strings.TrimSpace(c.Text)
	}
	return ""
}

// replaced are the settings that say where a channel is, or belong to hardware that is not there.
func replaced(name string) bool {
	switch name {
	case "Host", "BackupHost", "TcpPort", "UdpPort", "Tls", "Port", "Rs485", "FlowControl":
		return true
	}
	return false
}

// write writes a channel as it was, but at another place.
func (s *Stand) write(out *bytes.Buffer, e *xmltree.Element) {
	const indent = "\n    "
	out.WriteString("<Channel")
	attrs(out, e)
	out.WriteString(">")
	element := func(name, text string) {
		fmt.Fprintf(out, "%s<%s>", indent, name)
		_ = xml.EscapeText(out, []byte(text)) // a Buffer does not fail
		fmt.Fprintf(out, "</%s>", name)
	}
	for _, c := range e.Children {
		if !replaced(c.Name) {
			element(c.Name, strings.TrimSpace(c.Text))
		}
	}
	port := "TcpPort"
	if s.Kind == "Modbus UDP" {
		port = "UdpPort"
	}
	if s.Path != "" {
		element("Port", s.Path)
	} else {
		element("Host", s.Host)
		element(port, strconv.Itoa(s.Port))
	}
	out.WriteString("\n  </Channel>")
}

func attrs(out *bytes.Buffer, e *xmltree.Element) {
	for _, a := range e.Attrs {
		if !replaced(a.Name) {
			fmt.Fprintf(out, " %s=\"", a.Name)
			_ = xml.EscapeText(out, []byte(a.Value)) // a Buffer does not fail
			out.WriteString("\"")
		}
	}
}
