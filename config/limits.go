package config

import (
	"slices"
	"strings"
	"time"
)

// NoLimit is what a 0 that means "no limit" in the file becomes: larger than anything a gateway can hold, and far from
// overflowing an int of 32 bits.
const NoLimit = 1 << 30

// NoLimitTime is the same for times: about 12 days.
const NoLimitTime = NoLimit * time.Millisecond

// Limits bounds what clients can make the server hold or do, as far as TcUaServerConfig.xml can set it. Zero fields
// are left to the server; "no limit" is [NoLimit].
type Limits struct {
	MaxConnections    int // TCP connections the listeners accept; follows from MaxSessions
	MaxSecureChannels int // MaxSessions and a spare one

	MaxRequestAge        time.Duration // 0: not checked
	MaxSessions          int
	MaxSessionsPerClient int
	MinSessionTimeout    time.Duration
	MaxSessionTimeout    time.Duration

	MaxContinuationPoints int // of Browse, per session
	MaxBrowseResults      int // references per browse operation
	MaxNodesPerBrowse     int // operations per call
	MaxNodesPerTranslate  int // operations per call

	MinPublishingInterval            time.Duration
	MaxPublishingInterval            time.Duration
	MinKeepAliveInterval             time.Duration // 0: one publishing interval
	MinSubscriptionLifetime          time.Duration
	MaxSubscriptionLifetime          time.Duration
	MaxRetransmissionQueue           int // messages
	MaxNotificationsPerPublish       int
	MaxDataQueueSize                 int // values per monitored item
	MaxSubscriptions                 int
	MaxSubscriptionsPerSession       int
	MaxMonitoredItems                int
	MaxMonitoredItemsPerSubscription int
	MaxMonitoredItemsPerSession      int
	MinSamplingInterval              time.Duration
	SamplingIntervals                []time.Duration // ascending; a requested interval becomes one of them

	MaxStringLength     int // bytes
	MaxByteStringLength int // bytes
	MaxArrayLength      int // elements
	MaxAlloc            int // bytes of memory for the array elements of one message
	MaxMessageSize      int // bytes
	MaxChunkCount       int // chunks of one message
}

func readLimits(s section) Limits {
	l := Limits{
		MaxRequestAge:                    s.millis("MaxRequestAge"),
		MaxSessions:                      s.orNoLimit("MaxSessionCount"),
		MaxSessionsPerClient:             s.orNoLimit("MaxSessionsPerClient"),
		MinSessionTimeout:                max(s.millis("MinSessionTimeout"), time.Millisecond),
		MaxSessionTimeout:                s.orNoLimitTime("MaxSessionTimeout"),
		MaxContinuationPoints:            s.orDefault("MaxBrowseContinuationPoints"),
		MaxBrowseResults:                 s.orDefault("MaxBrowseResults"),
		MaxNodesPerBrowse:                s.orNoLimit("MaxNodesToBrowse"),
		MaxNodesPerTranslate:             s.orNoLimit("MaxNodesPerTranslateBrowsePathsToNodeIds"),
		MinPublishingInterval:            s.millis("MinPublishingInterval"),
		MaxPublishingInterval:            s.orNoLimitTime("MaxPublishingInterval"),
		MinKeepAliveInterval:             s.millis("MinKeepAliveInterval"),
		MinSubscriptionLifetime:          s.millis("MinSubscriptionLifetime"),
		MaxSubscriptionLifetime:          s.orNoLimitTime("MaxSubscriptionLifetime"),
		MaxRetransmissionQueue:           retransmissionQueue(s),
		MaxNotificationsPerPublish:       s.orNoLimit("MaxNotificationsPerPublish"),
		MaxDataQueueSize:                 s.orDefault("MaxDataQueueSize"),
		MaxSubscriptions:                 s.orNoLimit("MaxSubscriptionCount"),
		MaxSubscriptionsPerSession:       s.orNoLimit("MaxSubscriptionsPerSession"),
		MaxMonitoredItems:                s.orNoLimit("MaxMonitoredItemCount"),
		MaxMonitoredItemsPerSubscription: s.orNoLimit("MaxMonitoredItemPerSubscriptionCount"),
		MaxMonitoredItemsPerSession:      s.orNoLimit("MaxMonitoredItemPerSessionCount"),
	}
	// The original accepts two connections more than sessions.
	l.MaxConnections = min(max(40, l.MaxSessions+2), 1000)
	l.MaxSecureChannels = min(l.MaxSessions+1, l.MaxConnections)
	l.crossed(s)
	l.sampling(s)
	l.messages(s.block("Serializer"))
	return l
}

// crossed repairs a lower bound above its upper bound.
func (l *Limits) crossed(s section) {
	for _, b := range []struct {
		low       time.Duration
		high      *time.Duration
		name, bad string
	}{
		{l.MinSessionTimeout, &l.MaxSessionTimeout, "MaxSessionTimeout", "MinSessionTimeout"},
		{l.MinPublishingInterval, &l.MaxPublishingInterval, "MaxPublishingInterval", "MinPublishingInterval"},
		{l.MinSubscriptionLifetime, &l.MaxSubscriptionLifetime, "MaxSubscriptionLifetime", "MinSubscriptionLifetime"},
	} {
		if b.low > *b.high {
			s.report.Warn(s.at(b.name), "%d ms is less than %s, %d ms, which counts for both", b.high.Milliseconds(), b.bad, b.low.Milliseconds())
			*b.high = b.low
		}
	}
}

func (l *Limits) sampling(s section) {
	if c := s.child("MinSupportedSampleRate"); c != nil {
		if f, ok := parseNumber(c.Text); ok {
			l.MinSamplingInterval = time.Duration(f * float64(time.Millisecond))
		}
	}
	rates := s.block("AvailableSamplingRates")
	for _, e := range rates.all("SamplingRate") {
		if ms, ok := parseInteger(e.Text); ok {
			l.SamplingIntervals = append(l.SamplingIntervals, time.Duration(ms)*time.Millisecond)
		}
	}
	if rates.element == nil { // what the original offers then
		for text := range strings.FieldsSeq(s.rule("AvailableSamplingRates").Absent) {
			ms, _ := parseInteger(text)
			l.SamplingIntervals = append(l.SamplingIntervals, time.Duration(ms)*time.Millisecond)
		}
	}
	slices.Sort(l.SamplingIntervals)
	l.SamplingIntervals = slices.Compact(l.SamplingIntervals)
	if l.MinSamplingInterval == 0 && len(l.SamplingIntervals) > 0 {
		l.MinSamplingInterval = l.SamplingIntervals[0]
	}
}

// messages reads what bounds one message. A chunk of 16 KiB is the smallest that still reaches MaxMessageSize.
func (l *Limits) messages(s section) {
	const smallestBuffer, smallestChunk = 8192, 16384 // Part 6 (1.05), 7.1.2.3: buffers hold at least 8192 bytes
	l.MaxStringLength = s.orDefault("MaxStringLength")
	l.MaxByteStringLength = s.orDefault("MaxByteStringLength")
	l.MaxArrayLength = s.orDefault("MaxArrayLength")
	l.MaxAlloc = s.orDefault("MaxAlloc")
	l.MaxMessageSize = s.orDefault("MaxMessageSize")
	if l.MaxMessageSize < smallestBuffer {
		s.report.Warn(s.at("MaxMessageSize"), "%d bytes is too small for any client; %d counts", l.MaxMessageSize, smallestBuffer)
		l.MaxMessageSize = smallestBuffer
	}
	l.MaxChunkCount = max(64, l.MaxMessageSize/smallestChunk)
}

// retransmissionQueue accepts both spellings; the correct one wins.
func retransmissionQueue(s section) int {
	const right, wrong = "MaxRetransmissionQueueSize", "MaxRetransmitionQueueSize"
	misspelt := s.child(wrong)
	if misspelt == nil {
		return s.orDefault(right)
	}
	n, ok := parseInteger(misspelt.Text)
	switch c := s.child(right); {
	case c == nil && ok && n > 0:
		return n
	case c != nil && strings.TrimSpace(c.Text) != strings.TrimSpace(misspelt.Text):
		s.report.Warn(misspelt, "differs from %s in line %d, which counts", right, c.Line)
	}
	return s.orDefault(right)
}

func (s section) millis(name string) time.Duration {
	return time.Duration(s.number(name)) * time.Millisecond
}

func (s section) orNoLimit(name string) int {
	if n := s.number(name); n != 0 {
		return min(n, NoLimit)
	}
	return NoLimit
}

func (s section) orNoLimitTime(name string) time.Duration {
	return time.Duration(s.orNoLimit(name)) * time.Millisecond
}

// orDefault reads a number whose 0 means the default.
func (s section) orDefault(name string) int {
	if n := s.number(name); n != 0 {
		return min(n, NoLimit)
	}
	n, _ := parseInteger(s.rule(name).Absent)
	return n
}
