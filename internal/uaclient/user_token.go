package uaclient

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/securechannel"
	"github.com/edgeua/edgeua/internal/uabinary"
)

// userToken says who the user is, in a way that the server offers for this endpoint. Part 4 (1.05), 7.40 (7.36 in 1.04)
func (c *Client) userToken(o *Options, created *uabinary.CreateSessionResponse) (uabinary.ExtensionObject, error) {
	kind := ua.UserTokenTypeAnonymous
	if o.User != "" {
		kind = ua.UserTokenTypeUserName
	}
	policy := tokenPolicy(created.ServerEndpoints, o, kind)
	switch {
	case policy == nil:
		return uabinary.ExtensionObject{}, failure(ua.StatusBadIdentityTokenInvalid, "server offers no such user token on this endpoint", nil)
	case kind == ua.UserTokenTypeAnonymous:
		return uabinary.ExtensionObjectOf(&uabinary.AnonymousIdentityToken{PolicyID: policy.PolicyID}), nil
	}
	token, err := c.userNameToken(o, policy, created.ServerNonce)
	if err != nil {
		return uabinary.ExtensionObject{}, err
	}
	return uabinary.ExtensionObjectOf(token), nil
}

// tokenPolicy finds how the endpoint in use takes tokens of that type, nil if it does not.
func tokenPolicy(endpoints []uabinary.EndpointDescription, o *Options, kind ua.UserTokenType) *uabinary.UserTokenPolicy {
	for i := range endpoints {
		e := &endpoints[i]
		if e.SecurityPolicyURI != o.SecurityPolicyURI || e.SecurityMode != o.Mode {
			continue
		}
		for j := range e.UserIdentityTokens {
			if e.UserIdentityTokens[j].TokenType == kind {
				return &e.UserIdentityTokens[j]
			}
		}
	}
	return nil
}

// userNameToken encrypts the password for the server. In clear it only goes through a channel that is encrypted itself.
// Part 4 (1.05), 7.40.4
func (c *Client) userNameToken(o *Options, offered *uabinary.UserTokenPolicy, nonce []byte) (*uabinary.UserNameIdentityToken, error) {
	token := &uabinary.UserNameIdentityToken{PolicyID: offered.PolicyID, UserName: o.User}
	uri := cmp.Or(offered.SecurityPolicyURI, o.SecurityPolicyURI)
	policy, ok := securechannel.PolicyByURI(uri)
	switch {
	case !ok:
		return nil, failure(ua.StatusBadSecurityPolicyRejected, "server wants the password encrypted by an unknown policy", nil)
	case policy.IsNone() && o.Mode != ua.MessageSecurityModeSignAndEncrypt:
		return nil, failure(ua.StatusBadSecurityPolicyRejected, "server wants the password in clear text on a connection without encryption", nil)
	case policy.IsNone():
		token.Password = []byte(o.Password)
		return token, nil
	}
	key, err := c.passwordKey(o)
	if err != nil {
		return nil, err
	}
	token.EncryptionAlgorithm = policy.EncryptionAlgorithm()
	token.Password, err = policy.EncryptSecret(key, []byte(o.Password), nonce)
	return token, err
}

// passwordKey returns the key for which passwords are encrypted: that of the certificate which the caller has verified.
func (c *Client) passwordKey(o *Options) (*rsa.PublicKey, error) {
	if key := c.channel.ServerKey(); key != nil {
		return key, nil
	}
	if len(o.ServerCertificate) == 0 {
		return nil, failure(ua.StatusBadCertificateInvalid, "no verified certificate to encrypt the password for", nil)
	}
	certificates, err := x509.ParseCertificates(o.ServerCertificate)
	if err != nil {
		return nil, failure(ua.StatusBadCertificateInvalid, "server certificate", err)
	}
	key, ok := certificates[0].PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, failure(ua.StatusBadCertificateInvalid, "server certificate without RSA key", nil)
	}
	return key, nil
}
