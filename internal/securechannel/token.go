package securechannel

import (
	"crypto/cipher"
	"time"

	"github.com/gopcua/opcua/ua"
)

// securityToken is one set of keys of a SecureChannel. Part 4 (1.05), 5.6.2
type securityToken struct {
	id       uint32
	created  time.Time
	lifetime time.Duration
	in       *symmetric // owned by the reading goroutine
	out      *symmetric // guarded by conversation.mu
}

// newToken derives the keys from both nonces. Part 6 (1.05), 6.7.6
func (p *Policy) newToken(id uint32, peerNonce, ownNonce []byte, mode ua.MessageSecurityMode, lifetime time.Duration) *securityToken {
	return &securityToken{
		id:       id,
		created:  time.Now(),
		lifetime: lifetime,
		in:       p.newSymmetric(ownNonce, peerNonce, mode, cipher.NewCBCDecrypter),
		out:      p.newSymmetric(peerNonce, ownNonce, mode, cipher.NewCBCEncrypter),
	}
}

// end is when messages are refused: a token is honoured for a quarter of its lifetime longer, for messages that are
// still under way. Part 4 (1.05), 5.6.2.1
func (t *securityToken) end() time.Time { return t.created.Add(t.lifetime + t.lifetime/4) }

// renewal is when a client asks for the next token. Part 4 (1.05), 5.6.2.1
func (t *securityToken) renewal() time.Time { return t.created.Add(t.lifetime / 4 * 3) }

// expired reports whether the lifetime proper has passed.
func (t *securityToken) expired(now time.Time) bool { return now.After(t.created.Add(t.lifetime)) }

// tokens are the one or two tokens that a SecureChannel has. A renewed token waits in next until the peer
// uses it; that makes it the current one and ends the old. Part 6 (1.05), 6.7.4
//
//	issue -> {current}          renew -> {current, next}          first message with next -> {next as current}
//
// Written by the reading goroutine with conversation.mu held.
type tokens struct {
	current, next *securityToken
	eager         bool // the client: it sends with next at once
}

// find returns the token with that identifier unless it has ended.
func (t *tokens) find(id uint32, now time.Time) *securityToken {
	for _, token := range [...]*securityToken{t.current, t.next} {
		if token != nil && token.id == id && now.Before(token.end()) {
			return token
		}
	}
	return nil
}

// newest returns the token that lives longest.
func (t *tokens) newest() *securityToken {
	if t.next != nil {
		return t.next
	}
	return t.current
}

// sending returns the token for messages to the peer, nil when there is none left. The client uses a new one at once;
// the server stays with the old one until that expires or the client has used the new one. Part 4 (1.05), 5.6.2.1
func (t *tokens) sending(now time.Time) *securityToken {
	token := t.current
	if t.next != nil && (t.eager || token.expired(now)) {
		token = t.next
	}
	if !now.Before(token.end()) {
		return nil
	}
	return token
}
