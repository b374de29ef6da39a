package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/config"
)

// everySetting has each setting of channels and devices in a line of its own. Lines that end with <!-- text --> take any
// text.
const everySetting = `<EdgeUa>
<Conversions>
<Conversion>
<Name>pt100</Name> <!-- text -->
<Scale>0.1</Scale>
<Offset>-50</Offset>
<Unit>CEL</Unit> <!-- text -->
<EULow>-50</EULow>
<EUHigh>150</EUHigh>
<Clamp>false</Clamp>
<NotAvailable>0x8000,0x7FFF</NotAvailable>
<NotAvailableStatus>BadSensorFailure</NotAvailableStatus>
<NaNStatus>BadSensorFailure</NaNStatus>
<RangeStatus>UncertainEngineeringUnitsExceeded</RangeStatus>
</Conversion>
<Conversion>
<Name>deci</Name> <!-- text -->
<RawLow>0</RawLow>
<RawHigh>10000</RawHigh>
<EULow>0</EULow>
<EUHigh>1000</EUHigh>
</Conversion>
<Conversion>
<Name>mode</Name> <!-- text -->
<Enum>0=Off;1=Manual;2=Automatic</Enum>
<EnumStrict>1</EnumStrict>
</Conversion>
</Conversions>
<Channel>
<Name>Bus1</Name> <!-- text -->
<Type>ModbusRtu</Type>
<Port>usb:0403:6001:A9ET5FV7</Port> <!-- text -->
<BaudRate>19200</BaudRate>
<DataBits>8</DataBits>
<Parity>E</Parity>
<StopBits>1</StopBits>
<FlowControl>none</FlowControl>
<Rs485>
<Mode>kernel</Mode>
<RtsOnSend>1</RtsOnSend>
<RtsAfterSend>0</RtsAfterSend>
<DelayBefore>0</DelayBefore>
<DelayAfter>0</DelayAfter>
<RxDuringTx>0</RxDuringTx>
</Rs485>
<LocalEcho>auto</LocalEcho>
<InterFrameDelay>0</InterFrameDelay>
<UnitChangeDelay>0</UnitChangeDelay>
<BroadcastTurnaround>100</BroadcastTurnaround>
<StartupDelay>0</StartupDelay>
<LowLatency>1</LowLatency>
</Channel>
<Channel>
<Name>Gateway7</Name> <!-- text -->
<Type>ModbusTcp</Type>
<Host>192.0.2.7</Host> <!-- text -->
<BackupHost>192.0.2.8</BackupHost> <!-- text -->
<TcpPort>502</TcpPort>
<Connections>1</Connections>
<MaxInFlight>1</MaxInFlight>
<ConnectTimeout>3000</ConnectTimeout>
<ConnectDelay>0</ConnectDelay>
<IdleClose>0</IdleClose>
<ReconnectAfterTimeouts>3</ReconnectAfterTimeouts>
<TransactionIdCheck>strict</TransactionIdCheck>
<BroadcastTurnaround>100</BroadcastTurnaround>
</Channel>
<Channel>
<Name>ScalePort</Name> <!-- text -->
<Type>Serial</Type>
<Port>/dev/serial/by-id/usb-Prolific-if00-port0</Port> <!-- text -->
<BaudRate>9600</BaudRate>
<StartupDelay>0</StartupDelay>
</Channel>
<Device>
<Name>Boiler</Name> <!-- text -->
<Channel>Bus1</Channel>
<Unit>17</Unit>
<Broadcast>0</Broadcast>
<Disabled>0</Disabled>
<ReadOnly>0</ReadOnly>
<Identify>0</Identify>
<Addressing>modicon6</Addressing>
<ByteOrder>ABCD</ByteOrder>
<BitOrder>lsb0</BitOrder>
<StringOrder>AB</StringOrder>
<Timeout>500</Timeout>
<Retries>1</Retries>
<TimeSuspend>10000</TimeSuspend>
<MaxSuspend>120000</MaxSuspend>
<DemoteAfter>3</DemoteAfter>
<MaxRegisters>125</MaxRegisters>
<MaxBits>2000</MaxBits>
<MaxGap>auto</MaxGap>
<OneTagPerRequest>0</OneTagPerRequest>
<Skip>
<Area>holding</Area>
<From>11175</From>
<To>11175</To>
</Skip>
<WriteFunction>auto</WriteFunction>
<WriteCoilFunction>auto</WriteCoilFunction>
<MaskWrite>auto</MaskWrite>
<ReadWriteFunction>auto</ReadWriteFunction>
<MergeWrites>0</MergeWrites>
<AfterWrite>readback</AfterWrite>
<HoldPolls>1</HoldPolls>
<StaleAfter>3</StaleAfter>
<Group>
<Name>Fast</Name> <!-- text -->
<Period>250</Period>
<Phase>0</Phase>
<PollMode>Subscribed</PollMode>
<Tag>
<Name>SupplyTemp</Name> <!-- text -->
<Address>300001</Address>
<Type>Int16</Type>
<Conversion>pt100</Conversion>
</Tag>
<Tag>
<Name>Power</Name> <!-- text -->
<Address>400101</Address>
<Type>Float32</Type>
<ByteOrder>CDAB</ByteOrder>
<Output>Double</Output>
<EULow>0</EULow>
<EUHigh>250</EUHigh>
</Tag>
<Tag>
<Name>Mode</Name> <!-- text -->
<Address>400121</Address>
<Type>UInt16</Type>
<Access>ReadWrite</Access>
<WriteMin>0</WriteMin>
<WriteMax>2</WriteMax>
</Tag>
<Tag>
<Name>Firmware</Name> <!-- text -->
<Address>400300</Address>
<Type>String</Type>
<Length>16</Length>
<Encoding>utf8</Encoding>
<StringOrder>BA</StringOrder>
</Tag>
<Tag>
<Name>Current</Name> <!-- text -->
<Address>400500</Address>
<Type>Int16</Type>
<ScaleFactorTag>CurrentSf</ScaleFactorTag>
</Tag>
<Tag>
<Name>CurrentSf</Name> <!-- text -->
<Address>400501</Address>
<Type>Int16</Type>
</Tag>
<Tag>
<Name>Status</Name> <!-- text -->
<Address>400502</Address>
<Type>Bits16</Type>
<Bits>0=Running;3=Alarm</Bits>
</Tag>
</Group>
</Device>
<Device>
<Name>Meter</Name> <!-- text -->
<Channel>Gateway7</Channel>
<Unit>1</Unit>
<Addressing>protocol0</Addressing>
<Simulated>1</Simulated>
<SimulatedStatus>Good</SimulatedStatus>
<Signal>
<Tag>Voltage</Tag>
<Kind>sine</Kind>
<Period>1000</Period>
<Offset>230</Offset>
<Amplitude>5</Amplitude>
</Signal>
<Group Name="G">
<Tag Name="Voltage" Address="i0" Type="Float32"/>
</Group>
</Device>
<Device>
<Name>Scale3</Name> <!-- text -->
<Channel>ScalePort</Channel>
<Frame>
<Kind>startend</Kind>
<Start>\x02</Start> <!-- text -->
<End>\r</End> <!-- text -->
<Max>64</Max>
</Frame>
<Checksum>
<Kind>none</Kind>
</Checksum>
<SilenceTimeout>3000</SilenceTimeout>
<Message>
<Name>Weight</Name> <!-- text -->
<Match>^(?P&lt;st&gt;ST|US|OL),(?P&lt;v&gt;[+-]\s*[0-9.]+)</Match> <!-- text -->
<Field>
<Name>Weight</Name> <!-- text -->
<From>v</From>
<Type>Float64</Type>
</Field>
<Status>
<When>st=OL</When>
<Field>Weight</Field>
<Code>UncertainEngineeringUnitsExceeded</Code>
</Status>
</Message>
<Poll>
<Name>Read</Name> <!-- text -->
<Send>SI\r\n</Send> <!-- text -->
<Period>500</Period>
<Timeout>300</Timeout>
<Retries>1</Retries>
<Expect>Weight</Expect>
</Poll>
<Command>
<Name>Tare</Name> <!-- text -->
<Send>T\r\n</Send> <!-- text -->
<Ack>^T S</Ack> <!-- text -->
<NakStatus>BadInvalidState</NakStatus>
<Timeout>1000</Timeout>
</Command>
</Device>
</EdgeUa>
`

// mistakesIn are those of a file.
func mistakesIn(t *testing.T, file, text string) []string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, report := config.LoadChannels(file, driverKinds())
	var all []string
	for _, p := range report.Problems {
		all = append(all, p.String())
	}
	return all
}

// A value that makes no sense, a setting that stands twice, and a word that nobody knows are errors with file, line and
// the value, whatever setting it is.
func TestMistakes_HaveFileLineAndValue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "edgeua.xml")
	if found := mistakesIn(t, file, everySetting); len(found) > 0 {
		t.Fatalf("the file itself is wrong: %s", strings.Join(found, "\n"))
	}
	setting := regexp.MustCompile(`^<(\w+)>([^<]*)</\w+>( <!-- text -->)?$`)
	const wrong = "?!"
	lines := strings.Split(everySetting, "\n")
	changed := func(i int, line string) string {
		all := append([]string(nil), lines...)
		all[i] = line
		return strings.Join(all, "\n")
	}
	tried := 0
	for i, line := range lines {
		match := setting.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		tried++
		at := fmt.Sprintf("%s:%d: error: ", file, i+1)
		name, value := match[1], match[2]
		mistakes := map[string][2]string{
			"stands twice": {line + line, name},
			"unknown":      {fmt.Sprintf("<X%s>%s</X%s>", name, value, name), "X" + name},
		}
		if match[3] == "" {
			mistakes["wrong value"] = [2]string{fmt.Sprintf("<%s>%s</%s>", name, wrong, name), wrong}
		}
		for what, m := range mistakes {
			found := mistakesIn(t, file, changed(i, m[0]))
			missing := what == "unknown" && strings.Contains(strings.Join(found, "\n"), ": "+name+" is missing") // and nothing else was looked at
			if !missing && !hasProblem(found, at, m[1]) {
				t.Errorf("%s %s: nothing in line %d about %q in\n%s", name, what, i+1, m[1], strings.Join(found, "\n"))
			}
		}
	}
	if tried < 120 {
		t.Errorf("only %d settings", tried)
	}
}

func hasProblem(found []string, at, value string) bool {
	for _, p := range found {
		if message, ok := strings.CutPrefix(p, at); ok && strings.Contains(message, value) {
			return true
		}
	}
	return false
}
