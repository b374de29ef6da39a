// Package status shows what a running gateway does: as nodes below the Server
// object, which OPC UA clients read and subscribe to, and as metrics, which a
// Prometheus or VictoriaMetrics collects over HTTP. Both tell the same numbers.
//
// It takes plain structs and knows nothing of how they come about. It keeps no
// history and draws no page.
package status
