package server

import (
	"slices"
	"time"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// Limits bounds everything a client can make the server hold or do. A zero
// field takes the default named beside it; no bound is ever absent. What the
// address space has a node for is published there (Part 5, 6.3.2 and 6.3.11).
type Limits struct {
	// Transport and SecureChannel.
	MaxConnections           int           // TransportConnections together, of which those of Listen are refused beyond it: 40
	MaxConnectionsPerAddress int           // of Listen, per remote address (far IPv6: per /64): a quarter of MaxConnections, at least 10
	AcceptRate               float64       // accepted connections per second: 10; half of it from one address (far IPv6: one /64)
	AcceptBurst              int           // accepted at once after a pause: 20
	MaxSecureChannels        int           // all channels, reverse ones too: MaxSessions + 1
	ChannelIdleTime          time.Duration // life of a channel without a Session: 60 s
	HelloTimeout             time.Duration // inbound: silence until HEL: 10 s
	OpenTimeout              time.Duration // Acknowledge to OpenSecureChannel: 10 s
	FrameTimeout             time.Duration // one frame, first byte to last, until a Session is active: 10 s
	WriteTimeout             time.Duration // one response: 30 s
	MinTokenLifetime         time.Duration // 60 s
	MaxTokenLifetime         time.Duration // 1 h
	BufferSize               uint32        // chunk size in either direction, bytes: 65535
	MaxMessageSize           uint32        // bytes, once a Session is active: 1 MiB
	MaxChunkCount            uint32        // once a Session is active: 64
	MaxHandshakeMessageSize  uint32        // bytes, before that: 64 KiB
	MaxHandshakeChunkCount   uint32        // before that: 4
	MaxResponseSize          uint32        // bytes of one response before encryption: 4 MiB
	ResponseBytesTotal       int64         // responses over 64 KiB that clients have not taken, all channels: 8 MiB
	ReassemblyBytesTotal     int64         // incomplete messages of all channels: 8 MiB, and at least MaxMessageSize
	UnauthenticatedBytes     int64         // frames of strangers, all channels: 256 KiB
	Handshakes               securechannel.HandshakeConfig
	Encoding                 uabinary.Limits // 64 KiB Strings, 512 KiB ByteStrings, 65535 elements, 4 MiB in all

	// Sessions.
	MaxSessions           int           // 20
	MaxRequestAge         time.Duration // of the timestamp in a RequestHeader; 0: any, as clocks of gateways and clients differ
	MaxSessionsPerChannel int           // 5
	MaxSessionsPerClient  int           // per application URI; 0: as MaxSessions
	MinSessionTimeout     time.Duration // 10 s
	MaxSessionTimeout     time.Duration // 1 h
	ActivationTime        time.Duration // CreateSession to ActivateSession: 30 s
	MaxBadLogins          int           // per client within BadLoginWindow: 5
	BadLoginWindow        time.Duration // 60 s
	MaxCallsAside         int           // Reads, Writes and Calls that wait for a device, per Session: 4

	// Operations of one call (Part 5, 6.3.11).
	MaxNodesPerRead          int // 1000
	MaxNodesPerWrite         int // 500
	MaxNodesPerBrowse        int // 500
	MaxNodesPerTranslate     int // 500
	MaxNodesPerRegister      int // 500
	MaxNodesPerMethodCall    int // 100
	MaxItemsPerCall          int // monitored items per call: 1000
	MaxPublishAcks           int // acknowledgements per Publish: 1000
	MaxSubscriptionsPerCall  int // ids per SetPublishingMode and DeleteSubscriptions: 100
	MaxLocales               int // locale ids per call: 16
	MaxPathElements          int // elements of one RelativePath: 32
	MaxTranslateVisits       int // nodes visited by one Translate call: 10000
	MaxBrowseResults         int // references per Browse operation: 1000
	MaxBrowseBytes           int // results of one Browse call, bytes: 1 MiB
	MaxContinuationPoints    int // per Session: 10
	MaxContinuationPointsAll int // all Sessions: 100, and at least MaxContinuationPoints

	// Subscriptions and MonitoredItems.
	MaxSubscriptions                 int           // all Sessions: 40
	MaxSubscriptionsPerSession       int           // 10
	MaxMonitoredItems                int           // all Subscriptions: 10000
	MaxMonitoredItemsPerSession      int           // MaxMonitoredItems
	MaxMonitoredItemsPerSubscription int           // per Subscription: 2000
	MaxQueueSize                     uint32        // values of one MonitoredItem: 100
	MinSamplingInterval              time.Duration // 50 ms
	AvailableSamplingRates           []time.Duration
	MinPublishingInterval            time.Duration // 100 ms
	MaxPublishingInterval            time.Duration // 1 h
	MinKeepAliveInterval             time.Duration // 0: one publishing interval
	MaxKeepAliveCount                uint32        // 100
	MinSubscriptionLifetime          time.Duration // 10 s
	MaxSubscriptionLifetime          time.Duration // 1 h
	MaxLifetimeCount                 uint32        // 15000
	MaxPublishRequestsPerSession     int           // 20
	MaxRetransmissionQueue           int           // NotificationMessages per Subscription: 40
	MaxRetransmissionBytes           int           // per Session: 512 KiB
	MaxRetransmissionBytesTotal      int64         // 4 MiB
	MaxNotificationsPerPublish       int           // 1000
	NotificationBytesTotal           int64         // queued values of all items: 8 MiB
}

// withDefaults fills in what is zero and puts crossed bounds in order.
func (l Limits) withDefaults() Limits {
	l.transportDefaults()
	l.sessionDefaults()
	l.operationDefaults()
	l.subscriptionDefaults()
	return l
}

func (l *Limits) transportDefaults() {
	or(&l.MaxSessions, 20)
	or(&l.MaxConnections, 40)
	or(&l.MaxConnectionsPerAddress, max(10, l.MaxConnections/4))
	or(&l.AcceptRate, 10)
	or(&l.AcceptBurst, 20)
	or(&l.MaxSecureChannels, l.MaxSessions+1)
	or(&l.ChannelIdleTime, time.Minute)
	or(&l.HelloTimeout, 10*time.Second)
	or(&l.OpenTimeout, 10*time.Second)
	or(&l.FrameTimeout, 10*time.Second)
	or(&l.WriteTimeout, 30*time.Second)
	or(&l.MinTokenLifetime, time.Minute)
	or(&l.MaxTokenLifetime, time.Hour)
	or(&l.BufferSize, 65535)
	or(&l.MaxMessageSize, 1<<20)
	or(&l.MaxChunkCount, 64)
	or(&l.MaxHandshakeMessageSize, 64<<10)
	or(&l.MaxHandshakeChunkCount, 4)
	or(&l.MaxResponseSize, 4<<20)
	or(&l.ResponseBytesTotal, 8<<20)
	or(&l.ReassemblyBytesTotal, max(8<<20, int64(l.MaxMessageSize)))
	or(&l.UnauthenticatedBytes, 256<<10)
	or(&l.Encoding.MaxStringLength, 64<<10)
	or(&l.Encoding.MaxByteStringLength, 512<<10)
	or(&l.Encoding.MaxArrayLength, 65535)
	or(&l.Encoding.MaxAlloc, 4<<20)
}

func (l *Limits) sessionDefaults() {
	or(&l.MaxSessionsPerChannel, 5)
	or(&l.MinSessionTimeout, 10*time.Second)
	or(&l.MaxSessionTimeout, time.Hour)
	or(&l.ActivationTime, 30*time.Second)
	or(&l.MaxBadLogins, 5)
	or(&l.BadLoginWindow, time.Minute)
	or(&l.MaxCallsAside, 4)
	l.MaxSessionTimeout = max(l.MaxSessionTimeout, l.MinSessionTimeout)
}

func (l *Limits) operationDefaults() {
	or(&l.MaxNodesPerRead, 1000)
	or(&l.MaxNodesPerWrite, 500)
	or(&l.MaxNodesPerBrowse, 500)
	or(&l.MaxNodesPerTranslate, 500)
	or(&l.MaxNodesPerRegister, 500)
	or(&l.MaxNodesPerMethodCall, 100)
	or(&l.MaxItemsPerCall, 1000)
	or(&l.MaxPublishAcks, 1000)
	or(&l.MaxSubscriptionsPerCall, 100)
	or(&l.MaxLocales, 16)
	or(&l.MaxPathElements, 32)
	or(&l.MaxTranslateVisits, 10000)
	or(&l.MaxBrowseResults, 1000)
	or(&l.MaxBrowseBytes, 1<<20)
	or(&l.MaxContinuationPoints, 10)
	or(&l.MaxContinuationPointsAll, max(100, l.MaxContinuationPoints))
}

func (l *Limits) subscriptionDefaults() {
	or(&l.MaxSubscriptions, 40)
	or(&l.MaxSubscriptionsPerSession, 10)
	or(&l.MaxMonitoredItems, 10000)
	or(&l.MaxMonitoredItemsPerSession, l.MaxMonitoredItems)
	or(&l.MaxMonitoredItemsPerSubscription, 2000)
	or(&l.MaxQueueSize, 100)
	or(&l.MinSamplingInterval, 50*time.Millisecond)
	or(&l.MinPublishingInterval, 100*time.Millisecond)
	or(&l.MaxPublishingInterval, time.Hour)
	or(&l.MaxKeepAliveCount, 100)
	or(&l.MinSubscriptionLifetime, 10*time.Second)
	or(&l.MaxSubscriptionLifetime, time.Hour)
	or(&l.MaxLifetimeCount, 15000)
	or(&l.MaxPublishRequestsPerSession, 20)
	or(&l.MaxRetransmissionQueue, 40)
	or(&l.MaxRetransmissionBytes, 512<<10)
	or(&l.MaxRetransmissionBytesTotal, 4<<20)
	or(&l.MaxNotificationsPerPublish, 1000)
	or(&l.NotificationBytesTotal, 8<<20)
	l.MaxPublishingInterval = max(l.MaxPublishingInterval, l.MinPublishingInterval)
	l.MaxSubscriptionLifetime = max(l.MaxSubscriptionLifetime, l.MinSubscriptionLifetime)
	l.AvailableSamplingRates = slices.Clone(l.AvailableSamplingRates)
	slices.Sort(l.AvailableSamplingRates)
}

// or sets *v to the default when it is zero.
func or[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
