// Package pki holds what an OPC UA application needs of X.509: its own ApplicationInstanceCertificate
// and private key (created on first start), the trust list and CRLs that an administrator keeps in
// directories, and the decision whether a peer's certificate is good.
//
// It implements OPC UA Part 6 (1.05), 6.2.2 (contents of an ApplicationInstanceCertificate) and Part 4
// (1.05), 6.1.3 (the order in which a certificate is checked and the StatusCode of each step).
//
// It leaves out: the comparison with the ApplicationDescription and with the host name of an
// EndpointUrl (they belong to the Session and to the client), ECC keys, OCSP, delta CRLs, and the
// Windows certificate stores. It knows no connections and starts no goroutine.
package pki
