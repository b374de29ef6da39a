package uabinary

import (
	"fmt"
	"testing"
	"time"

	"github.com/gopcua/opcua/ua"
)

// benchTime is fixed so that both codecs see the same bytes.
var benchTime = time.Date(2024, 5, 17, 11, 30, 0, 0, time.UTC)

func readRequest(nodes int) *ReadRequest {
	req := &ReadRequest{
		RequestHeader:      RequestHeader{AuthenticationToken: OpaqueID(0, make([]byte, 32)), Timestamp: DateTimeOf(benchTime), RequestHandle: 4711, TimeoutHint: 5000},
		TimestampsToReturn: ua.TimestampsToReturnBoth,
	}
	for i := range nodes {
		req.NodesToRead = append(req.NodesToRead, ReadValueID{
			NodeID: StringID(2, fmt.Sprintf("Boiler.Group%d.SupplyTemp%d", i/10, i)), AttributeID: ua.AttributeIDValue,
		})
	}
	return req
}

func measuredValue(i int) DataValue {
	return DataValue{Value: DoubleVariant(float64(i) * 1.5), SourceTimestamp: DateTimeOf(benchTime), ServerTimestamp: DateTimeOf(benchTime)}
}

func readResponse(values int) *ReadResponse {
	resp := &ReadResponse{ResponseHeader: ResponseHeader{Timestamp: DateTimeOf(benchTime), RequestHandle: 4711}}
	for i := range values {
		resp.Results = append(resp.Results, measuredValue(i))
	}
	return resp
}

func dataChange(values int) *DataChangeNotification {
	n := &DataChangeNotification{}
	for i := range values {
		n.MonitoredItems = append(n.MonitoredItems, MonitoredItemNotification{ClientHandle: uint32(i), Value: measuredValue(i)})
	}
	return n
}

func browseResponse(references int) *BrowseResponse {
	result := BrowseResult{}
	for i := range references {
		name := fmt.Sprintf("SupplyTemp%d", i)
		result.References = append(result.References, ReferenceDescription{
			ReferenceTypeID: NumericID(0, 47), IsForward: true,
			NodeID:     ExpandedNodeID{NodeID: StringID(2, "Boiler."+name)},
			BrowseName: QualifiedName{NamespaceIndex: 2, Name: name}, DisplayName: LocalizedText{Locale: "en", Text: name},
			NodeClass: ua.NodeClassVariable, TypeDefinition: ExpandedNodeID{NodeID: NumericID(0, 63)},
		})
	}
	return &BrowseResponse{Results: []BrowseResult{result}}
}

// benchMessages is what the server spends its time on.
var benchMessages = []struct {
	name   string
	ours   Structure
	theirs func() any
}{
	{"ReadRequest100", readRequest(100), func() any { return new(ua.ReadRequest) }},
	{"ReadResponse100", readResponse(100), func() any { return new(ua.ReadResponse) }},
	{"DataChangeNotification100", dataChange(100), func() any { return new(ua.DataChangeNotification) }},
	{"BrowseResponse100", browseResponse(100), func() any { return new(ua.BrowseResponse) }},
}

// BenchmarkAppend encodes into a buffer that is large enough.
func BenchmarkAppend(b *testing.B) {
	for _, m := range benchMessages {
		b.Run(m.name, func(b *testing.B) {
			buf := m.ours.Append(nil)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				buf = m.ours.Append(buf[:0])
			}
		})
	}
}

// BenchmarkParse decodes into a used structure, borrowing text.
func BenchmarkParse(b *testing.B) {
	for _, m := range benchMessages {
		b.Run(m.name, func(b *testing.B) {
			encoded := m.ours.Append(nil)
			r := NewReader(encoded, nil)
			r.Borrow = true
			b.SetBytes(int64(len(encoded)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(encoded)
				m.ours.Parse(r)
			}
		})
	}
}

// BenchmarkAgainstGopcua times both codecs in turn on the same message and
// reports how many times faster ours is.
func BenchmarkAgainstGopcua(b *testing.B) {
	for _, m := range benchMessages {
		encoded := m.ours.Append(nil)
		theirs := m.theirs()
		if _, err := ua.Decode(encoded, theirs); err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, 0, len(encoded))
		b.Run("Encode/"+m.name, func(b *testing.B) {
			race(b, func() { buf = m.ours.Append(buf[:0]) }, func() { _, _ = ua.Encode(theirs) })
		})
		r := NewReader(encoded, nil)
		r.Borrow = true
		b.Run("Decode/"+m.name, func(b *testing.B) {
			race(b, func() { r.Reset(encoded); m.ours.Parse(r) }, func() { _, _ = ua.Decode(encoded, m.theirs()) })
		})
	}
}

// race runs ours ten times for each time it runs theirs, so that reading the
// clock does not count.
func race(b *testing.B, ours, theirs func()) {
	const batch = 10
	var oursTime, theirsTime time.Duration
	for b.Loop() {
		start := time.Now()
		for range batch {
			ours()
		}
		middle := time.Now()
		theirs()
		oursTime += middle.Sub(start)
		theirsTime += time.Since(middle)
	}
	perOurs := float64(oursTime.Nanoseconds()) / batch / float64(b.N)
	perTheirs := float64(theirsTime.Nanoseconds()) / float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(perOurs, "ours-ns")
	b.ReportMetric(perTheirs, "gopcua-ns")
	b.ReportMetric(perTheirs/perOurs, "times-faster")
}
