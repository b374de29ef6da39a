package sniff

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/edgeua/edgeua/drivers/framing"
	"github.com/edgeua/edgeua/drivers/serial"
)

// Snippet is what edgeua.xml needs to read the line as guessed: a channel, and the beginning of its devices.
func (g *Guess) Snippet(c serial.Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<Channel>
  <Name>Line1</Name> <Type>%s</Type>
  <Port>%s</Port>
  <BaudRate>%d</BaudRate> <DataBits>%d</DataBits> <Parity>%c</Parity> <StopBits>%d</StopBits>
</Channel>
`, g.Type, escape(c.Port), c.BaudRate, c.DataBits, c.Parity, c.StopBits)
	if g.Type != "Serial" {
		for _, unit := range g.Units {
			fmt.Fprintf(&b, `<Device>
  <Name>Unit%d</Name> <Channel>Line1</Channel> <Unit>%[1]d</Unit> <Addressing>protocol0</Addressing>
</Device>
`, unit)
		}
		return b.String()
	}
	if g.Profile != "" {
		fmt.Fprintf(&b, `<Device>
  <Name>Instrument</Name> <Channel>Line1</Channel> <Profile>%s</Profile>
</Device>
`, g.Profile)
		return b.String()
	}
	fmt.Fprintf(&b, `<Device>
  <Name>Instrument</Name> <Channel>Line1</Channel>
  <Frame%s/>
%s%s</Device>
`, g.frame(), g.checksum(), g.message())
	return b.String()
}

// message takes the one number out of each frame, or else the frame as it is.
func (g *Guess) message() string {
	switch {
	case g.Number:
		return fmt.Sprintf(`  <Message Name="Reading" Match="(?P&lt;value&gt;%s)">
    <Field Name="Value" From="value" Type="Float64"/>
  </Message>
`, numberPattern)
	case g.Text:
		return "  <Message Name=\"Telegram\"> <Field Name=\"Text\" Type=\"String\"/> </Message>\n"
	}
	return "  <Message Name=\"Telegram\" Format=\"binary\"> <Field Name=\"Bytes\" From=\"0+\" Type=\"Bytes\"/> </Message>\n"
}

func (g *Guess) frame() string {
	var b strings.Builder
	attr := func(name, value string) {
		if value != "" && value != "0" {
			fmt.Fprintf(&b, ` %s="%s"`, name, escape(value))
		}
	}
	attr("Kind", string(g.Frame.Kind))
	attr("Start", marks(g.Frame.Start))
	attr("End", marks(g.Frame.End))
	attr("Trailer", fmt.Sprint(g.Frame.Trailer))
	attr("Size", fmt.Sprint(g.Frame.Size))
	attr("Gap", fmt.Sprint(g.Frame.Gap.Milliseconds()))
	return b.String()
}

func marks(all [][]byte) string {
	words := make([]string, len(all))
	for i, m := range all {
		words[i] = framing.Escape(m)
	}
	return strings.Join(words, "|")
}

func (g *Guess) checksum() string {
	s := &g.Checksum
	if !s.Active() {
		return ""
	}
	after := ""
	if len(s.After) > 0 {
		after = fmt.Sprintf(` After="%s"`, escape(framing.Escape(s.After)))
	}
	covers := "body"
	switch {
	case s.Start && s.End:
		covers = "all"
	case s.Start:
		covers = "start"
	case s.End:
		covers = "end"
	}
	return fmt.Sprintf("  <Checksum Kind=\"%s\" Encoding=\"%s\"%s Covers=\"%s\"/>\n", s.Sum, s.Encoding, after, covers)
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // writing into memory does not fail
	return b.String()
}
