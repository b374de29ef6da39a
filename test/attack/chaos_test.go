package attack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/edgeua/edgeua/server"
)

// shared is what the clients of the chaos test know of each other: the Session
// that all of them use, move and close.
type shared struct {
	mu            sync.Mutex
	token         uabinary.NodeID // guarded by mu
	nonce         []byte          // guarded by mu
	subscriptions []uint32        // guarded by mu; of anybody
}

func (sh *shared) session() (uabinary.NodeID, []byte) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.token, sh.nonce
}

func (sh *shared) set(token uabinary.NodeID, nonce []byte) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.token, sh.nonce = token, nonce
}

func (sh *shared) add(subscription uint32) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.subscriptions = append(sh.subscriptions, subscription)
}

// any is a Subscription that somebody had, or never was.
func (sh *shared) any(r *rand.Rand) uint32 {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if len(sh.subscriptions) == 0 || r.IntN(8) == 0 {
		return r.Uint32N(50)
	}
	recent := sh.subscriptions[max(0, len(sh.subscriptions)-6):]
	return recent[r.IntN(len(recent))]
}

// rioter is one client of the chaos test: it does what comes to its mind.
type rioter struct {
	*client
	siege *siege
	rand  *rand.Rand
	all   *shared
	from  string
	own   *securechannel.Identity
}

// create, modify, delete, close and transfer race each other.
func TestA44_Chaos(t *testing.T) {
	s := besiege(t, func(c *server.Config) {
		c.Limits.AcceptRate, c.Limits.AcceptBurst = 1000, 1000
		c.Limits.MaxSessions, c.Limits.MaxSessionsPerChannel = 1000, 10
		c.Limits.WriteTimeout = 2 * time.Second
		c.Limits.Handshakes = securechannel.HandshakeConfig{Rate: 1000, Queue: 100}
	})
	var all sync.WaitGroup
	common := &shared{}
	for i := range 6 {
		r := &rioter{siege: s, rand: rand.New(rand.NewPCG(44, uint64(i))), all: common, from: fmt.Sprintf("127.0.0.%d", 2+i)}
		if i%3 == 0 {
			r.own = insiderIdentity()
		}
		all.Go(func() { r.riot(250) })
	}
	for range 3 {
		pause(200 * time.Millisecond)
		s.enter(entryDuring)
	}
	all.Wait()
	s.over()
}

func (r *rioter) riot(deeds int) {
	defer r.flee()
	for range deeds {
		if r.client == nil && !r.arrive() {
			continue
		}
		if err := r.deed(); err != nil {
			r.flee() // the server may have had enough of it
		}
	}
}

func (r *rioter) arrive() bool {
	nc, err := r.siege.dialFrom(r.from)
	if err != nil {
		return false
	}
	if r.client, err = openOn(nc, r.own); err != nil {
		r.client = nil
		return false
	}
	return true
}

// flee ends the connection, in one way or another.
func (r *rioter) flee() {
	if r.client == nil {
		return
	}
	if r.rand.IntN(2) == 0 {
		r.Close()
	}
	r.Net.Close()
	r.client = nil
}

var errLeave = errors.New("it goes")

// deed does one thing of many, right or wrong.
func (r *rioter) deed() error {
	switch r.rand.IntN(16) {
	case 0, 1:
		return r.newSession()
	case 2, 3:
		return r.takeSession()
	case 4:
		req := &uabinary.CloseSessionRequest{DeleteSubscriptions: r.rand.IntN(2) == 0}
		return r.do(&req.RequestHeader, req, &uabinary.CloseSessionResponse{})
	case 5, 6:
		return r.newSubscription()
	case 7, 8:
		return r.newItems()
	case 9:
		return r.changeItems()
	case 10:
		req := &uabinary.DeleteSubscriptionsRequest{SubscriptionIDs: []uint32{r.all.any(r.rand), r.all.any(r.rand)}}
		return r.do(&req.RequestHeader, req, &uabinary.DeleteSubscriptionsResponse{})
	case 11, 12:
		return r.publishSome()
	case 13:
		return r.values()
	case 14:
		return r.nonsense()
	}
	if r.rand.IntN(4) == 0 {
		return errLeave
	}
	req := &uabinary.RepublishRequest{SubscriptionID: r.all.any(r.rand), RetransmitSequenceNumber: r.rand.Uint32N(20)}
	return r.do(&req.RequestHeader, req, &uabinary.RepublishResponse{})
}

// do asks and takes whatever is answered; answers to Publish may come between.
func (r *rioter) do(h *uabinary.RequestHeader, req, resp uabinary.Structure) error {
	r.handle++
	h.AuthenticationToken, h.RequestHandle = r.token, r.handle
	if err := r.sendBody(uabinary.AppendMessage(nil, req)); err != nil {
		return err
	}
	wanted := r.RequestID
	for {
		r.Net.SetReadDeadline(time.Now().Add(patience))
		got, body, err := r.Receive()
		if err != nil {
			return err
		}
		if got != wanted {
			continue
		}
		rd := uabinary.NewReader(body, nil)
		switch rd.MessageType() {
		case resp.EncodingID():
			resp.Parse(rd)
			return rd.Err()
		case id.ServiceFault_Encoding_DefaultBinary:
			return nil
		}
		r.siege.t.Errorf("I1: %T was answered with something else", req)
		return errLeave
	}
}

func (r *rioter) newSession() error {
	req := r.createRequest()
	var resp uabinary.CreateSessionResponse
	if err := r.do(&req.RequestHeader, req, &resp); err != nil || resp.AuthenticationToken.IsNull() {
		return err
	}
	r.token, r.nonce = resp.AuthenticationToken, resp.ServerNonce
	if r.rand.IntN(5) > 0 {
		return r.activateOnce()
	}
	return nil
}

func (r *rioter) activateOnce() error {
	token := anonymousToken()
	if r.rand.IntN(4) == 0 {
		token = uabinary.ExtensionObjectOf(r.userToken(operator, password))
	}
	req := &uabinary.ActivateSessionRequest{ClientSignature: r.signature(), UserIdentityToken: token}
	var resp uabinary.ActivateSessionResponse
	if err := r.do(&req.RequestHeader, req, &resp); err != nil {
		return err
	}
	if len(resp.ServerNonce) > 0 {
		r.nonce = resp.ServerNonce
		r.all.set(r.token, r.nonce)
	}
	return nil
}

// takeSession moves the Session of whoever activated last to this channel.
func (r *rioter) takeSession() error {
	token, nonce := r.all.session()
	if token.IsNull() {
		return nil
	}
	r.token, r.nonce = token, nonce
	return r.activateOnce()
}

func (r *rioter) newSubscription() error {
	req := &uabinary.CreateSubscriptionRequest{
		RequestedPublishingInterval: float64(r.rand.IntN(100)), RequestedLifetimeCount: r.rand.Uint32N(100),
		RequestedMaxKeepAliveCount: r.rand.Uint32N(5), PublishingEnabled: r.rand.IntN(4) > 0, Priority: uint8(r.rand.IntN(256)),
	}
	var resp uabinary.CreateSubscriptionResponse
	err := r.do(&req.RequestHeader, req, &resp)
	if resp.SubscriptionID > 0 {
		r.all.add(resp.SubscriptionID)
	}
	return err
}

func (r *rioter) target() uabinary.ReadValueID {
	v := valueOf([]string{"Counter", "Counter", "Number", "Text", "Blob", "Array", "Nothing"}[r.rand.IntN(7)])
	switch r.rand.IntN(8) {
	case 0:
		v.AttributeID = ua.AttributeID(r.rand.Uint32N(30))
	case 1:
		v.NodeID = uabinary.NumericID(0, []uint32{id.Server_ServerStatus_CurrentTime, id.Server_ServerDiagnostics_ServerDiagnosticsSummary, id.Server_ServerStatus}[r.rand.IntN(3)])
	case 2:
		v.IndexRange = []string{"0:1", "1", "5:1", "x"}[r.rand.IntN(4)]
	}
	return v
}

func (r *rioter) newItems() error {
	req := &uabinary.CreateMonitoredItemsRequest{SubscriptionID: r.all.any(r.rand), TimestampsToReturn: ua.TimestampsToReturn(r.rand.IntN(5))}
	for i := range 1 + r.rand.IntN(30) {
		req.ItemsToCreate = append(req.ItemsToCreate, uabinary.MonitoredItemCreateRequest{
			ItemToMonitor: r.target(), MonitoringMode: ua.MonitoringMode(r.rand.IntN(4)),
			RequestedParameters: uabinary.MonitoringParameters{
				ClientHandle: uint32(i), SamplingInterval: float64(r.rand.IntN(100) - 10), QueueSize: r.rand.Uint32N(20), DiscardOldest: i%2 == 0,
			},
		})
	}
	return r.do(&req.RequestHeader, req, &uabinary.CreateMonitoredItemsResponse{})
}

func (r *rioter) changeItems() error {
	subscription, items := r.all.any(r.rand), make([]uint32, 10)
	for i := range items {
		items[i] = r.rand.Uint32N(60)
	}
	switch r.rand.IntN(5) {
	case 0:
		req := &uabinary.DeleteMonitoredItemsRequest{SubscriptionID: subscription, MonitoredItemIDs: items}
		return r.do(&req.RequestHeader, req, &uabinary.DeleteMonitoredItemsResponse{})
	case 1:
		req := &uabinary.SetMonitoringModeRequest{SubscriptionID: subscription, MonitoringMode: ua.MonitoringMode(r.rand.IntN(3)), MonitoredItemIDs: items}
		return r.do(&req.RequestHeader, req, &uabinary.SetMonitoringModeResponse{})
	case 2:
		req := &uabinary.SetPublishingModeRequest{PublishingEnabled: r.rand.IntN(2) == 0, SubscriptionIDs: []uint32{subscription, r.all.any(r.rand)}}
		return r.do(&req.RequestHeader, req, &uabinary.SetPublishingModeResponse{})
	case 3:
		req := &uabinary.ModifySubscriptionRequest{SubscriptionID: subscription, RequestedPublishingInterval: float64(r.rand.IntN(200)), RequestedMaxKeepAliveCount: 2, RequestedLifetimeCount: 10}
		return r.do(&req.RequestHeader, req, &uabinary.ModifySubscriptionResponse{})
	}
	req := &uabinary.ModifyMonitoredItemsRequest{SubscriptionID: subscription}
	for _, item := range items {
		req.ItemsToModify = append(req.ItemsToModify, uabinary.MonitoredItemModifyRequest{
			MonitoredItemID:     item,
			RequestedParameters: uabinary.MonitoringParameters{SamplingInterval: float64(r.rand.IntN(100) - 10), QueueSize: r.rand.Uint32N(20)},
		})
	}
	return r.do(&req.RequestHeader, req, &uabinary.ModifyMonitoredItemsResponse{})
}

func (r *rioter) publishSome() error {
	for range 1 + r.rand.IntN(30) {
		ack := uabinary.SubscriptionAcknowledgement{SubscriptionID: r.all.any(r.rand), SequenceNumber: r.rand.Uint32N(10)}
		if err := r.publish(ack); err != nil {
			return err
		}
	}
	return nil
}

func (r *rioter) values() error {
	if r.rand.IntN(2) == 0 {
		req := &uabinary.ReadRequest{NodesToRead: []uabinary.ReadValueID{r.target(), r.target(), r.target()}}
		return r.do(&req.RequestHeader, req, &uabinary.ReadResponse{})
	}
	value := []any{r.rand.Float64(), strings.Repeat("z", r.rand.IntN(5000)), random(1 + r.rand.IntN(5000)), make([]float64, r.rand.IntN(500))}[r.rand.IntN(4)]
	req := &uabinary.WriteRequest{NodesToWrite: repeat(2, uabinary.WriteValue{
		NodeID: r.target().NodeID, AttributeID: ua.AttributeIDValue, Value: uabinary.DataValue{Value: uabinary.VariantOf(value)},
	})}
	return r.do(&req.RequestHeader, req, &uabinary.WriteResponse{})
}

func (r *rioter) nonsense() error {
	switch r.rand.IntN(5) {
	case 0:
		return r.Send(uatcp.TypeMessage, uatcp.Intermediate, r.RequestID+100, random(1000))
	case 1:
		return r.Send(uatcp.TypeMessage, uatcp.Abort, r.RequestID+100, nil)
	case 2:
		_, err := r.Net.Write(random(100))
		return err
	case 3:
		r.Net.SetDeadline(time.Now().Add(patience))
		return r.Renew()
	}
	req := &uabinary.BrowseRequest{RequestedMaxReferencesPerNode: 1, NodesToBrowse: []uabinary.BrowseDescription{{
		NodeID: uabinary.NumericID(0, r.rand.Uint32N(3000)), BrowseDirection: ua.BrowseDirection(r.rand.IntN(4)),
	}}}
	return r.do(&req.RequestHeader, req, &uabinary.BrowseResponse{})
}
