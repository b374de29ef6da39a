package instrument

import (
	"strings"
	"testing"
)

// What is asked of a line is in the summary of its channel, and too much of it is a warning that names the poll.
func TestLoadOfPolls(t *testing.T) {
	const port = `<Channel Name="Line1" Type="Serial" Port="/dev/ttyS0" BaudRate="1200"/>`
	const device = `<Device Name="Dev" Channel="Line1" {dev}><Frame {frame}/><Message Name="M" {message}><Field Name="F" Type="String"/></Message>
		<Poll Name="Slow" Send="x\r\n" Period="10000" Expect="M"/><Poll Name="Fast" Send="WEIGHT?\r\n" Period="{period}" Expect="M"/>
		<Poll Name="Once" Send="{once}" Period="0" Expect="M"/></Device>`
	const delimited = `Kind="delimiter" End="\r"`
	for _, c := range []struct{ channel, dev, frame, message, period, load, warning string }{
		// 9 and 20 characters of 8.33 ms and 10 ms of thinking each second, and 2 %.
		{port, "", delimited, "", "1000", "27 %", ""},
		{port, "", delimited, `Length="2"`, "1000", "11 %", ""},
		{port, "", `Kind="fixed" Size="60"`, "", "1000", "64 %", ""},
		{port, "", `Kind="idle" Gap="300"`, "", "1000", "60 %", ""},
		{port, "", delimited, "", "250", "103 %", `edge.xml:1: warning: EdgeUa/Channel[Line1]: the bus would be busy for about 103 % of the time; send poll "Fast" of "Dev" less often, which alone makes 101 %`},
		{strings.Replace(port, "/>", ` InterFrameDelay="500"/>`, 1), "", delimited, "", "1000", "82 %", `which alone makes 75 %`},
		{port, `Disabled="1"`, delimited, "", "250", "", ""},
		{strings.Replace(strings.Replace(port, `Port="/dev/ttyS0" BaudRate="1200"`, `Host="192.0.2.7" TcpPort="4001"`, 1), `"Serial"`, `"SerialTcp"`, 1), "", delimited, "", "20", "", ""},
	} {
		text := strings.NewReplacer("{dev}", c.dev, "{frame}", c.frame, "{message}", c.message, "{period}", c.period, "{once}", strings.Repeat("x", 1000)).Replace(c.channel + device)
		channel, r := parse(t, text)
		summary := channel.Summary()
		if c.load == "" && strings.Contains(summary, "load") || c.load != "" && !strings.HasSuffix(summary, ", bus load about "+c.load) {
			t.Errorf("%s: want %s in %s", text, c.load, summary)
		}
		var problems []string
		for _, p := range r.Problems {
			problems = append(problems, p.String())
		}
		if got := strings.Join(problems, "\n"); c.warning == "" && got != "" || !strings.Contains(got, c.warning) {
			t.Errorf("%s: %s", text, got)
		}
	}
}
