// Package securechannel is OPC UA Secure Conversation: one SecureChannel on one TransportConnection, as server (Open, Channel)
// and as client (Connect, ClientChannel). What both do alike is the conversation.
//
// It implements Part 6 (1.05), 6.7 (messages, chunks, sequence numbers, keys) and Part 4 (1.05), 5.6
// (OpenSecureChannel, CloseSecureChannel; 5.5 in 1.04) with the security policies None, Basic256Sha256,
// Aes128_Sha256_RsaOaep and Aes256_Sha256_RsaPss of Part 7.
//
// Whatever a peer sends before it is authenticated is checked in an order that spends nothing on strangers: size,
// policy, thumbprint, form of the certificate, rate, trust, and only then the private key. All of these failures get the same answer.
//
// It leaves out the deprecated policies with SHA-1 signatures, the policies based on elliptic curves and
// Diffie-Hellman, and more than one SecureChannel per connection.
package securechannel
