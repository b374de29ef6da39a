package server

import (
	"math"
	"time"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/gopcua/opcua/ua"
)

// The MonitoredItem service set (Part 4 (1.05), 5.13; 1.04: 5.12).

func (s *Server) handleCreateMonitoredItems(c *call, r *uabinary.Reader) {
	var req uabinary.CreateMonitoredItemsRequest
	if !c.parse(r, &req) || !c.checkItems(len(req.ItemsToCreate), req.TimestampsToReturn) {
		return
	}
	subs := &c.session.subs
	if !subs.with(req.SubscriptionID, func(*subscription, time.Duration) {}) {
		c.fault(ua.StatusBadSubscriptionIDInvalid)
		return
	}
	results := make([]uabinary.MonitoredItemCreateResult, len(req.ItemsToCreate))
	for i := range req.ItemsToCreate {
		results[i] = subs.createItem(c, req.SubscriptionID, &req.ItemsToCreate[i], req.TimestampsToReturn)
	}
	c.respond(&uabinary.CreateMonitoredItemsResponse{ResponseHeader: c.responseHeader(), Results: results})
}

// createItem checks one item, adds it to its Subscription and lets it take its
// first value.
func (subs *sessionSubscriptions) createItem(c *call, subscriptionID uint32, req *uabinary.MonitoredItemCreateRequest, timestamps ua.TimestampsToReturn) uabinary.MonitoredItemCreateResult {
	item, status := subs.server.newItem(c, req, timestamps)
	if status != ua.StatusOK {
		return uabinary.MonitoredItemCreateResult{StatusCode: status}
	}
	params, status := subs.server.reviseItem(item, &req.RequestedParameters)
	if status != ua.StatusOK {
		return uabinary.MonitoredItemCreateResult{StatusCode: status}
	}
	if status = subs.addItem(subscriptionID, item, params); status != ua.StatusOK {
		return uabinary.MonitoredItemCreateResult{StatusCode: status}
	}
	if req.MonitoringMode != ua.MonitoringModeDisabled {
		item.start()
	}
	return uabinary.MonitoredItemCreateResult{
		MonitoredItemID:         item.id,
		RevisedSamplingInterval: milliseconds(item.sampling),
		RevisedQueueSize:        params.queueSize,
	}
}

// newItem makes an item of a request if its node and attribute exist. Being
// denied to read them is what the item then reports (Part 4 (1.05), 5.13.2.1).
func (s *Server) newItem(c *call, req *uabinary.MonitoredItemCreateRequest, timestamps ua.TimestampsToReturn) (*monitoredItem, ua.StatusCode) {
	target := &req.ItemToMonitor
	node, rng, status := s.readable(c, target)
	denied := ua.StatusOK
	switch status {
	case ua.StatusBadUserAccessDenied: // addItem knows as well
		status = ua.StatusOK
	case ua.StatusBadNotReadable:
		denied = status
		node, status = s.node(target.NodeID)
	}
	if status != ua.StatusOK {
		return nil, status
	}
	if req.MonitoringMode > ua.MonitoringModeReporting {
		return nil, ua.StatusBadMonitoringModeInvalid
	}
	return &monitoredItem{
		node: node, attribute: target.AttributeID, rng: rng, denied: denied,
		mode: req.MonitoringMode, timestamps: timestamps,
	}, ua.StatusOK
}

// itemParameters are the revised MonitoringParameters of an item.
type itemParameters struct {
	clientHandle  uint32
	sampling      time.Duration // negative: the publishing interval
	filter        dataChangeFilter
	queueSize     uint32
	discardOldest bool
}

// reviseItem turns requested MonitoringParameters into those that hold
// (Part 4 (1.05), 7.21).
func (s *Server) reviseItem(item *monitoredItem, req *uabinary.MonitoringParameters) (itemParameters, ua.StatusCode) {
	numeric := item.node.Variable != nil && s.isNumber(item.node.Variable)
	filter, status := readFilter(&req.Filter, item.attribute, numeric, &s.limits().Encoding)
	if status != ua.StatusOK {
		return itemParameters{}, status
	}
	p := itemParameters{
		clientHandle: req.ClientHandle, filter: filter, discardOldest: req.DiscardOldest,
		queueSize: min(max(req.QueueSize, 1), s.limits().MaxQueueSize),
		sampling:  -1,
	}
	if req.SamplingInterval >= 0 { // NaN falls to the publishing interval too
		p.sampling = s.limits().reviseSampling(durationOf(req.SamplingInterval), item.node.Variable)
	}
	return p, ua.StatusOK
}

// reviseSampling finds the sampling interval: what the Variable and the server
// can do at best, then the next of the configured rates.
func (l *Limits) reviseSampling(requested time.Duration, v *addressspace.Variable) time.Duration {
	interval := max(requested, l.MinSamplingInterval)
	if v != nil && v.MinimumSamplingInterval > 0 {
		interval = max(interval, durationOf(v.MinimumSamplingInterval))
	}
	for _, rate := range l.AvailableSamplingRates { // ascending
		if rate >= interval {
			return rate
		}
	}
	if n := len(l.AvailableSamplingRates); n > 0 {
		return l.AvailableSamplingRates[n-1]
	}
	return min(interval, l.MaxPublishingInterval)
}

// isNumber tells whether the DataType of a Variable is a Number.
func (s *Server) isNumber(v *addressspace.Variable) bool {
	return s.space.IsSubtype(v.DataType, numberDataType)
}

// addItem puts the item into its Subscription within the limits.
func (subs *sessionSubscriptions) addItem(id uint32, item *monitoredItem, p itemParameters) ua.StatusCode {
	limits := subs.server.limits()
	subs.mu.Lock()
	defer subs.mu.Unlock()
	sub := subs.find(id)
	if sub == nil {
		return ua.StatusBadSubscriptionIDInvalid
	}
	if len(sub.items) >= limits.MaxMonitoredItemsPerSubscription || subs.items >= limits.MaxMonitoredItemsPerSession ||
		!reserve(&subs.server.totals.monitoredItems, 1, int64(limits.MaxMonitoredItems)) {
		return ua.StatusBadTooManyMonitoredItems
	}
	subs.items++
	item.sub = sub
	item.barred = item.bars(subs.user.Load())
	item.id = sub.newItemID()
	item.queue.size = p.queueSize
	item.set(p)
	sub.items[item.id] = item
	return ua.StatusOK
}

// newItemID gives out an id that no item of the Subscription has; never 0.
func (sub *subscription) newItemID() uint32 {
	for {
		if sub.nextItemID == math.MaxUint32 {
			sub.nextItemID = 0
		}
		sub.nextItemID++
		if _, taken := sub.items[sub.nextItemID]; !taken {
			return sub.nextItemID
		}
	}
}

// set applies parameters; called with mu held. An item whose Variable pushes
// nothing is sampled at the publishing cycle, and says so.
func (item *monitoredItem) set(p itemParameters) {
	item.clientHandle, item.filter, item.discardOldest = p.clientHandle, p.filter, p.discardOldest
	item.sampling = p.sampling
	if p.sampling < 0 {
		item.sampling = item.sub.interval
	}
	if !item.pushes() {
		item.sampling = max(item.sampling, item.sub.interval)
	}
}

func (s *Server) handleModifyMonitoredItems(c *call, r *uabinary.Reader) {
	var req uabinary.ModifyMonitoredItemsRequest
	if !c.parse(r, &req) || !c.checkItems(len(req.ItemsToModify), req.TimestampsToReturn) {
		return
	}
	results := make([]uabinary.MonitoredItemModifyResult, len(req.ItemsToModify))
	known := c.session.subs.with(req.SubscriptionID, func(sub *subscription, now time.Duration) {
		for i := range req.ItemsToModify {
			results[i] = sub.modifyItem(&req.ItemsToModify[i], req.TimestampsToReturn)
		}
		sub.arm(now)
	})
	if !known {
		c.fault(ua.StatusBadSubscriptionIDInvalid)
		return
	}
	c.respond(&uabinary.ModifyMonitoredItemsResponse{ResponseHeader: c.responseHeader(), Results: results})
}

func (sub *subscription) modifyItem(req *uabinary.MonitoredItemModifyRequest, timestamps ua.TimestampsToReturn) uabinary.MonitoredItemModifyResult {
	item := sub.items[req.MonitoredItemID]
	if item == nil {
		return uabinary.MonitoredItemModifyResult{StatusCode: ua.StatusBadMonitoredItemIDInvalid}
	}
	server := sub.owner.server
	params, status := server.reviseItem(item, &req.RequestedParameters)
	if status != ua.StatusOK {
		return uabinary.MonitoredItemModifyResult{StatusCode: status}
	}
	item.timestamps = timestamps
	item.set(params)
	if item.queue.size != params.queueSize {
		item.queue.resize(params.queueSize, params.discardOldest, &server.totals.queuedBytes)
	}
	return uabinary.MonitoredItemModifyResult{
		RevisedSamplingInterval: milliseconds(item.sampling),
		RevisedQueueSize:        params.queueSize,
	}
}

func (s *Server) handleSetMonitoringMode(c *call, r *uabinary.Reader) {
	var req uabinary.SetMonitoringModeRequest
	if !c.parse(r, &req) || !c.checkCount(len(req.MonitoredItemIDs), s.limits().MaxItemsPerCall) {
		return
	}
	if req.MonitoringMode > ua.MonitoringModeReporting {
		c.fault(ua.StatusBadMonitoringModeInvalid)
		return
	}
	results := make([]ua.StatusCode, len(req.MonitoredItemIDs))
	var started, stopped []*monitoredItem
	known := c.session.subs.with(req.SubscriptionID, func(sub *subscription, now time.Duration) {
		for i, id := range req.MonitoredItemIDs {
			item := sub.items[id]
			if item == nil {
				results[i] = ua.StatusBadMonitoredItemIDInvalid
				continue
			}
			was := item.mode
			item.setMode(req.MonitoringMode, now)
			switch {
			case was == ua.MonitoringModeDisabled && item.mode != was:
				started = append(started, item)
			case was != ua.MonitoringModeDisabled && item.mode == ua.MonitoringModeDisabled:
				stopped = append(stopped, item)
			}
		}
		sub.arm(now)
	})
	if !known {
		c.fault(ua.StatusBadSubscriptionIDInvalid)
		return
	}
	unwatchAll(stopped)
	for _, item := range started {
		item.start()
	}
	c.respond(&uabinary.SetMonitoringModeResponse{ResponseHeader: c.responseHeader(), Results: results})
}

// setMode changes the MonitoringMode (Part 4 (1.05), 5.13.1.3): a disabled item
// forgets what it queued, one in Sampling mode queues without reporting.
func (item *monitoredItem) setMode(mode ua.MonitoringMode, now time.Duration) {
	item.mode = mode
	switch {
	case mode == ua.MonitoringModeDisabled:
		item.clear()
		item.sub.setSampled(item, false)
		item.sub.ready.remove(item)
	case item.hasMore():
		item.sub.changed(item, now)
	default:
		item.sub.ready.remove(item)
	}
}

func (s *Server) handleDeleteMonitoredItems(c *call, r *uabinary.Reader) {
	var req uabinary.DeleteMonitoredItemsRequest
	if !c.parse(r, &req) || !c.checkCount(len(req.MonitoredItemIDs), s.limits().MaxItemsPerCall) {
		return
	}
	results := make([]ua.StatusCode, len(req.MonitoredItemIDs))
	var deleted []*monitoredItem
	known := c.session.subs.with(req.SubscriptionID, func(sub *subscription, _ time.Duration) {
		for i, id := range req.MonitoredItemIDs {
			item := sub.items[id]
			if item == nil {
				results[i] = ua.StatusBadMonitoredItemIDInvalid
				continue
			}
			sub.dropItem(item)
			deleted = append(deleted, item)
		}
	})
	if !known {
		c.fault(ua.StatusBadSubscriptionIDInvalid)
		return
	}
	unwatchAll(deleted)
	c.respond(&uabinary.DeleteMonitoredItemsResponse{ResponseHeader: c.responseHeader(), Results: results})
}

// handleSetTriggering refuses: items are linked to each other in no way here.
func (s *Server) handleSetTriggering(c *call, _ *uabinary.Reader) {
	c.fault(ua.StatusBadServiceUnsupported)
}

// checkItems answers a call over MonitoredItems that has a bad operation count
// or a bad TimestampsToReturn.
func (c *call) checkItems(n int, timestamps ua.TimestampsToReturn) bool {
	if timestamps > ua.TimestampsToReturnNeither {
		c.fault(ua.StatusBadTimestampsToReturnInvalid)
		return false
	}
	return c.checkCount(n, c.server.limits().MaxItemsPerCall)
}
