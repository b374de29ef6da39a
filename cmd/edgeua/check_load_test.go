package main

import (
	"strings"
	"testing"
)

// The load of every serial line is in the summary; one that cannot be carried is a warning that says what to change.
func TestCheck_SaysTheLoadOfALine(t *testing.T) {
	edge := `<EdgeUa>
<Channel><Name>Bus1</Name><Type>ModbusRtu</Type><Port>/dev/ttyS0</Port><BaudRate>9600</BaudRate></Channel>
<Channel><Name>Net</Name><Type>ModbusTcp</Type><Host>192.0.2.7</Host></Channel>
<Device Name="A" Channel="Bus1" Unit="1" Addressing="protocol0">
<Group Name="Fast" Period="1000"><Tag Name="X" Address="h0[100]" Type="UInt16"/></Group>
<Group Name="Slow" Period="10000"><Tag Name="Y" Address="h1000" Type="UInt16"/></Group>
</Device>
<Device Name="B" Channel="Net" Unit="1" Addressing="protocol0"><Group Name="G"><Tag Name="X" Address="h0" Type="UInt16"/></Group></Device>
</EdgeUa>`
	// 213 characters of 1.146 ms, 8 ms of silence and 10 ms of thinking every second, and little for Y.
	main := files(t, map[string]string{"TcUaServerConfig.xml": mainFile("opc.tcp://127.0.0.1:4840", ""), "edgeua.xml": edge})
	edgeua(t, "check", "--config", main).want(t, exitOK,
		"  channel Bus1: Modbus RTU /dev/ttyS0 9600 8E1, 1 devices, 2 tags, bus load about 27 %\n",
		"  channel Net: Modbus TCP 192.0.2.7:502, 1 devices, 1 tags\n")
	main = files(t, map[string]string{"TcUaServerConfig.xml": mainFile("opc.tcp://127.0.0.1:4840", ""), "edgeua.xml": strings.Replace(edge, `"1000"`, `"250"`, 1)})
	edgeua(t, "check", "--config", main).want(t, exitOK,
		`edgeua.xml:2: warning: EdgeUa/Channel[Bus1]: the bus would be busy for about 105 % of the time; read group "Fast" of "A" less often, which alone makes 105 %`,
		"bus load about 105 %")
}
