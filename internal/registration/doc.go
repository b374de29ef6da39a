// Package registration makes a server known to Local Discovery Servers, as Part 12 (1.05), 4.3.2 and Part 4 (1.05), 5.5.5
// and 5.5.6 ask: RegisterServer2, or else RegisterServer, over a secure channel to a discovery server that is trusted,
// again and again while the server runs, and once more when it ends.
//
// Only the addresses that are configured are ever dialled, whatever a discovery server says of itself. Left out is
// multicast DNS, which is the discovery server's business.
package registration
