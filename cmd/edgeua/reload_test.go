package main

import (
	"fmt"
	"strings"
)

// deviceFile is a file of ours with a channel and a device for each name, which
// has one tag with the address behind the name. Nobody answers on the channels.
func deviceFile(namesAndAddresses ...string) string {
	var b strings.Builder
	b.WriteString("<EdgeUa>\n")
	for i := 0; i < len(namesAndAddresses); i += 2 {
		name, address := namesAndAddresses[i], namesAndAddresses[i+1]
		fmt.Fprintf(&b, `<Channel><Name>%s</Name><Type>ModbusTcp</Type><Host>127.0.0.1</Host><TcpPort>1</TcpPort></Channel>
<Device><Name>%[1]s</Name><Channel>%[1]s</Channel><Unit>1</Unit><Addressing>protocol0</Addressing>
<Group Name="G" Period="100"><Tag Name="T" Address="%s" Type="Int16"/></Group></Device>
`, name, address)
	}
	return b.String() + "</EdgeUa>"
}
