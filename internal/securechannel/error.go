package securechannel

import (
	"errors"

	"github.com/edgeua/edgeua/internal/uatcp"
	"github.com/gopcua/opcua/ua"
)

// Error is a failure found on this side with the StatusCode that the peer may know.
// errors.As finds Code as a ua.StatusCode.
type Error = uatcp.StatusError

// denied is the one answer to everything that fails before the peer is authenticated.
func denied(op string, err error) *Error {
	return &Error{Code: ua.StatusBadSecurityChecksFailed, Op: op, Err: err}
}

// distrusted turns the error of Config.Trust into the answer to the peer. These codes are only reported for certificates
// that are trusted as such; for all others the peer must not learn why. Part 4 (1.05), 6.1.3
func distrusted(err error) *Error {
	e := denied("client certificate", err)
	var code ua.StatusCode
	if !errors.As(err, &code) {
		return e
	}
	switch code {
	case ua.StatusBadCertificateTimeInvalid, ua.StatusBadCertificateIssuerTimeInvalid,
		ua.StatusBadCertificateURIInvalid,
		ua.StatusBadCertificateUseNotAllowed, ua.StatusBadCertificateIssuerUseNotAllowed,
		ua.StatusBadCertificateRevocationUnknown, ua.StatusBadCertificateIssuerRevocationUnknown:
		e.Code = code
	}
	return e
}
