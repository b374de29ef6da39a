// Package gds finds reverse-connect clients in a Global Discovery Server.
//
// A client that is known by its ApplicationUri only is looked up with QueryApplications under the capability RCP; its
// addresses are the DiscoveryUrls that begin with rcp+. Part 12 (1.05), 4.4, 6.5.5 and 6.5.10 (6.3.10 in 1.04). The GDS
// is spoken to with security only, and has to be trusted like a client.
//
// Lookup asks again every hour and when a client cannot be reached, and keeps the last answer in a file for the time
// when the GDS is away.
//
// It leaves out registration at a GDS and certificate management.
package gds
