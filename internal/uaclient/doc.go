// Package uaclient is a small OPC UA client for connections that somebody else has opened: the calls of a server (reverse
// connect), or a socket that the caller dialled.
//
// It implements the client's side of Part 4 (1.05): GetEndpoints, CreateSession, ActivateSession and CloseSession with anonymous
// and user name tokens, Read, Write, Browse and BrowseNext, Call, and one Subscription at a time.
//
// A server is a stranger until its certificate is verified, and a stranger may run anything. So nothing that it sends is
// believed: sizes, counts, nesting and times are bounded, responses that were not asked for end the connection, and what cannot be
// decoded is an error of that one request.
//
// It leaves out dialling, reconnecting, and deciding which certificate to trust, which are the caller's; the services that change
// the address space; and complex types, whose ExtensionObjects stay as they are.
package uaclient
