package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/xmltree"
)

// surroundings are what a piece of edgeua.xml in a page needs to stand in.
const (
	someChannel = `<Channel><Name>%s</Name><Type>ModbusTcp</Type><Host>192.0.2.7</Host></Channel>`
	someLine    = `<Channel><Name>%s</Name><Type>Serial</Type><Port>/dev/ttyS0</Port></Channel>`
	someDevice  = `<Device Name="Boiler" Channel="C" Unit="1" Addressing="protocol0">%s<Group Name="G">
<Tag Name="SupplyTemp" Address="h0" Type="Float32"/><Tag Name="Mode" Address="h2" Type="UInt16"/>
<Tag Name="Pump1.Run" Address="c0"/><Tag Name="Pump1.Running" Address="d0"/></Group></Device>`
)

// What the pages show of edgeua.xml is accepted as it stands there.
func TestDocumentation_ConfigurationIsAccepted(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^ *```(?:xml|console)\n(.*?)^ *```$")
	seen := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range blocks.FindAllStringSubmatch(string(text), -1) {
			block := match[1]
			if _, proposal, found := strings.Cut(block, "for edgeua.xml:\n"); found {
				block = proposal
			}
			if document := surrounded(block); document != "" {
				seen++
				accepted(t, page, document)
			}
		}
	}
	if seen < 6 {
		t.Errorf("only %d pieces of configuration were found", seen)
	}
}

// surrounded makes a whole file of a piece; empty if it is no piece of edgeua.xml.
func surrounded(block string) string {
	root, err := xmltree.Parse("block", []byte("<EdgeUa>"+block+"</EdgeUa>"), xmltree.Limits{})
	if err != nil || len(root.Children) == 0 {
		return ""
	}
	switch root.Children[0].Name {
	case "Simulated", "Signal": // of a device
		return "<EdgeUa>" + fmt.Sprintf(someChannel, "C") + fmt.Sprintf(someDevice, block) + "</EdgeUa>"
	case "Channel", "Device", "Conversions":
	default:
		return ""
	}
	var channels strings.Builder
	has := map[string]bool{}
	for _, c := range root.All("Channel") {
		has[strings.TrimSpace(c.Child("Name").Text)] = true
	}
	for _, d := range root.All("Device") {
		if name := strings.TrimSpace(d.Child("Channel").Text); !has[name] {
			has[name] = true
			channel := someChannel
			if d.Child("Frame") != nil || d.Child("Profile") != nil {
				channel = someLine
			}
			fmt.Fprintf(&channels, channel, name)
		}
	}
	return "<EdgeUa>" + channels.String() + block + "</EdgeUa>"
}

func accepted(t *testing.T, page, document string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"edgeua.xml": document, "boiler.csv": tagsCSV} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, report := config.LoadChannels(filepath.Join(dir, "edgeua.xml"), driverKinds()); report.HasErrors() {
		t.Errorf("%s: %v\n%s", page, report.Problems, document)
	}
}
