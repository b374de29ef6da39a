package server

import (
	"testing"
	"time"

	"github.com/gopcua/opcua/id"
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/addressspace"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// masks are the rights over the devices by user; over namespace 0 everybody may
// browse and read.
type masks map[string]Rights

func (m masks) config(cfg *Config) {
	cfg.Users = append(cfg.Users, User{Name: "eve", Password: "secret"})
	cfg.Rights = func(user, uri string) Rights {
		if uri == "urn:test:devices" {
			return m[user]
		}
		return RightBrowse | RightReadAttributes | RightReadValue
	}
}

func TestRights_EachBitIsOneKindOfAccess(t *testing.T) {
	const every = RightReadAttributes | RightReadValue | RightWriteValue | RightBrowse | RightHistoryRead | RightHistoryModify | RightWriteAttributes
	for _, tt := range []struct {
		name    string
		without Rights
	}{
		{"all", 0}, {"no attributes", RightReadAttributes}, {"no value", RightReadValue},
		{"no write", RightWriteValue}, {"no browse", RightBrowse}, {"nothing", every},
		{"no history", RightHistoryRead | RightHistoryModify},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := masks{AnonymousUser: every &^ tt.without}
			r := newMethodRig(t, m.config)
			c := r.session(ua.MessageSecurityModeNone)
			want := func(needed Rights) ua.StatusCode {
				if tt.without&needed != 0 {
					return ua.StatusBadUserAccessDenied
				}
				return ua.StatusOK
			}

			results := c.read(valueOf("Int16"), uabinary.ReadValueID{NodeID: uabinary.StringID(2, "Int16"), AttributeID: ua.AttributeIDDisplayName})
			c.want(want(RightReadValue), results[0].Status)
			c.want(want(RightReadAttributes), results[1].Status)
			c.want(want(RightWriteValue), c.write(writeOf("Int16", int16(3)))[0])
			called, code := c.methods(method("Add", 1.0, 2.0))
			c.wantOK(code)
			c.want(want(RightWriteValue), called[0].StatusCode)
			c.want(want(RightBrowse), c.children(uabinary.StringID(2, "Device")).StatusCode)

			shown := len(c.children(uabinary.NumericID(0, id.ObjectsFolder)).References)
			path, translated := c.pathTo(uabinary.NumericID(0, id.ObjectsFolder), "Device"), ua.StatusOK
			if tt.without&RightBrowse != 0 {
				shown, translated = shown+1, ua.StatusBadNoMatch
			}
			if shown != 2 { // Server and Device
				t.Errorf("%d children of Objects", shown)
			}
			c.want(translated, path)
		})
	}
}

func TestRights_UserAttributesShowThem(t *testing.T) {
	m := masks{AnonymousUser: RightReadAttributes | RightReadValue | RightHistoryRead, "joe": AllRights &^ RightReadValue}
	r := newMethodRig(t, m.config)
	attributes := func(c *client) (access uint8, executable bool) {
		results := c.read(
			uabinary.ReadValueID{NodeID: uabinary.StringID(2, "Int16"), AttributeID: ua.AttributeIDUserAccessLevel},
			uabinary.ReadValueID{NodeID: uabinary.StringID(2, "Add"), AttributeID: ua.AttributeIDUserExecutable},
		)
		access, _ = results[0].Value.Any().(uint8)
		executable, _ = results[1].Value.Any().(bool)
		return access, executable
	}
	c := r.session(ua.MessageSecurityModeNone)
	if access, executable := attributes(c); access != accessRead || executable {
		t.Errorf("anonymous: UserAccessLevel %b, UserExecutable %v", access, executable)
	}
	c.wantOK(c.login(c.userToken("joe", "secret")))
	if access, executable := attributes(c); access != accessWrite || !executable {
		t.Errorf("joe: UserAccessLevel %b, UserExecutable %v", access, executable)
	}
}

func TestRights_ANamespaceYoungerThanTheLogin(t *testing.T) {
	m := masks{AnonymousUser: AllRights}
	r := newRig(t, func(cfg *Config) {
		m.config(cfg)
		known := cfg.Rights
		cfg.Rights = func(user, uri string) Rights {
			if uri == "urn:test:late" {
				return 0
			}
			return known(user, uri)
		}
	})
	c := r.session(ua.MessageSecurityModeNone)
	late := r.space.AddNamespace("urn:test:late")
	_, err := r.space.AddObject(addressspace.ObjectOptions{
		ID: uabinary.StringID(late, "Late"), BrowseName: uabinary.QualifiedName{NamespaceIndex: late, Name: "Late"},
		Parent: uabinary.NumericID(0, id.ObjectsFolder),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := c.read(uabinary.ReadValueID{NodeID: uabinary.StringID(late, "Late"), AttributeID: ua.AttributeIDNodeClass})
	c.want(ua.StatusBadUserAccessDenied, got[0].Status)
}

func TestRights_ItemsFollowTheUserOfTheSession_Part4_573(t *testing.T) {
	m := masks{AnonymousUser: 0, "joe": AllRights, "eve": RightReadAttributes}
	inTime(t, m.config, func(t *testing.T, r *rig) {
		s := r.subscriber()
		sub := s.subscribe(100)
		access := item("Int16", attribute(ua.AttributeIDUserAccessLevel), handle(2))
		s.monitor(sub, item("Int16", handle(1)), access)
		wantValues(t, s.cycle(), map[uint32]any{1: ua.StatusBadUserAccessDenied, 2: ua.StatusBadUserAccessDenied})

		r.set("Int16", int16(1)) // nothing of it is told
		s.wantOK(s.become("joe"))
		wantValues(t, s.cycle(), map[uint32]any{1: int16(1), 2: uint8(accessRead | accessWrite)})
		r.set("Int16", int16(2))
		told := s.cycle()
		wantValues(t, told, map[uint32]any{1: int16(2)})

		r.set("Int16", int16(3)) // queued for joe, and joe leaves
		s.wantOK(s.become("eve"))
		r.set("Int16", int16(4))
		wantValues(t, s.cycle(), map[uint32]any{1: ua.StatusBadUserAccessDenied, 2: uint8(0)})
		_, code := s.republish(sub, told.sequence())
		s.want(ua.StatusBadMessageNotAvailable, code)

		s.wantOK(s.become("joe"))
		wantValues(t, s.cycle(), map[uint32]any{1: int16(4), 2: uint8(accessRead | accessWrite)})
		s.publish()
		s.quietFor(500 * time.Millisecond)
	})
}

// children browses the hierarchy one level down.
func (c *client) children(node uabinary.NodeID) uabinary.BrowseResult {
	c.t.Helper()
	return c.browse(0, uabinary.BrowseDescription{
		NodeID: node, ReferenceTypeID: uabinary.NumericID(0, id.HierarchicalReferences), IncludeSubtypes: true,
		BrowseDirection: ua.BrowseDirectionForward,
	})[0]
}

// pathTo translates a path of one step into namespace 2.
func (c *client) pathTo(start uabinary.NodeID, name string) ua.StatusCode {
	c.t.Helper()
	req := &uabinary.TranslateBrowsePathsToNodeIDsRequest{BrowsePaths: []uabinary.BrowsePath{{
		StartingNode: start,
		RelativePath: uabinary.RelativePath{Elements: []uabinary.RelativePathElement{{
			TargetName: uabinary.QualifiedName{NamespaceIndex: 2, Name: name},
		}}},
	}}}
	var resp uabinary.TranslateBrowsePathsToNodeIDsResponse
	c.wantOK(c.do(&req.RequestHeader, req, &resp))
	return resp.Results[0].StatusCode
}

// become changes the user of a Session without security.
func (s *subscriber) become(name string) ua.StatusCode {
	s.t.Helper()
	token := s.userToken(name, "secret")
	req := &uabinary.ActivateSessionRequest{UserIdentityToken: uabinary.ExtensionObjectOf(token)}
	var resp uabinary.ActivateSessionResponse
	code := s.call(&req.RequestHeader, req, &resp)
	s.nonce = resp.ServerNonce
	return code
}

// wantValues compares the values, or the status where one is Bad, by client handle.
func wantValues(t *testing.T, p *publication, want map[uint32]any) {
	t.Helper()
	got := make(map[uint32]any)
	for _, v := range p.values() {
		if _, twice := got[v.ClientHandle]; twice {
			t.Errorf("item %d has two values", v.ClientHandle)
		}
		got[v.ClientHandle] = v.Value.Value.Any()
		if isBad(v.Value.Status) {
			got[v.ClientHandle] = v.Value.Status
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for h, v := range want {
		if got[h] != v {
			t.Errorf("item %d: got %v, want %v", h, got[h], v)
		}
	}
}

// A Write waits for its device while the Session gets another user: what has
// not been written by then is not.
func TestRights_AWriteThatWaitedIsHeldAgainstBothUsers(t *testing.T) {
	m := masks{AnonymousUser: AllRights, "eve": RightReadValue}
	r := newMethodRig(t, m.config)
	s := r.subscriber()
	call := &uabinary.CallRequest{MethodsToCall: []uabinary.CallMethodRequest{method("Wait"), method("Wait")}}
	s.send(&call.RequestHeader, call)
	<-r.calls // the first one waits
	sent := s.handle
	s.sendBecome("eve")
	s.readActivation()
	r.done <- struct{}{}
	var answer uabinary.CallResponse
	s.readReply(&answer)
	if answer.ResponseHeader.RequestHandle != sent {
		t.Fatalf("answer to %d, want %d", answer.ResponseHeader.RequestHandle, sent)
	}
	s.want(ua.StatusOK, answer.Results[0].StatusCode)
	s.want(ua.StatusBadUserAccessDenied, answer.Results[1].StatusCode)
}

func (s *subscriber) sendBecome(name string) {
	s.t.Helper()
	req := &uabinary.ActivateSessionRequest{UserIdentityToken: uabinary.ExtensionObjectOf(s.userToken(name, "secret"))}
	s.send(&req.RequestHeader, req)
}

func (s *subscriber) readActivation() {
	s.t.Helper()
	var resp uabinary.ActivateSessionResponse
	s.readReply(&resp)
	s.nonce = resp.ServerNonce
}

// readReply reads the next answer, which has to be of that type.
func (s *subscriber) readReply(resp uabinary.Structure) {
	s.t.Helper()
	rd := uabinary.NewReader(<-s.replies, nil)
	if rd.MessageType() != resp.EncodingID() {
		s.t.Fatal("unexpected answer")
	}
	if resp.Parse(rd); rd.Err() != nil {
		s.t.Fatal(rd.Err())
	}
}
