package pki

import (
	"fmt"

	"github.com/gopcua/opcua/ua"
)

// CertificateError says at which step of Part 4 (1.05), 6.1.3 a certificate failed. It is for the log: which
// codes a peer may hear is decided by the SecureChannel.
type CertificateError struct {
	Code ua.StatusCode // the status of the step that failed
	Err  error         // which certificate and why
}

// Error names the status and the reason.
func (e *CertificateError) Error() string {
	return fmt.Sprintf("%s: %v", codeName(e.Code), e.Err)
}

// Unwrap gives both the StatusCode and the cause to errors.As and errors.Is.
func (e *CertificateError) Unwrap() []error { return []error{e.Code, e.Err} }

// codeName is the plain name of a status, without gopcua's prefix and number.
func codeName(code ua.StatusCode) string {
	if d, ok := ua.StatusCodes[code]; ok {
		return d.Name[len("Status"):]
	}
	return fmt.Sprintf("0x%08X", uint32(code))
}

func fail(code ua.StatusCode, format string, args ...any) error {
	return &CertificateError{Code: code, Err: fmt.Errorf(format, args...)}
}
