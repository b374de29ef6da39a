package server

import (
	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/uabinary"
)

type sessionSubscriptions struct{}

func (s *Server) sessionClosed(*session, bool) {}
func (s *Server) sessionDetached(*session)     {}

func (s *Server) handleCreateSubscription(c *call, _ *uabinary.Reader) {
	c.fault(ua.StatusBadServiceUnsupported)
}
func (s *Server) handleModifySubscription(c *call, _ *uabinary.Reader) {
	c.fault(ua.StatusBadServiceUnsupported)
}
func (s *Server) handleSetPublishingMode(c *call, _ *uabinary.Reader) {
	c.fault(ua.StatusBadServiceUnsupported)
}
func (s *Server) handleDeleteSubscriptions(c *call, _ *uabinary.Reader) {
	c.fault(ua.StatusBadServiceUnsupported)
}
func (s *Server) handlePublish(c *call, _ *uabinary.Reader) { c.fault(ua.StatusBadServiceUnsupported) }
func (s *Server) handleRepublish(c *call, _ *uabinary.Reader) {
	c.fault(ua.StatusBadServiceUnsupported)
}
func (s *Server) handleCreateMonitoredItems(c *call, _ *uabinary.Reader) {
	c.fault(ua.StatusBadServiceUnsupported)
}
func (s *Server) handleModifyMonitoredItems(c *call, _ *uabinary.Reader) {
	c.fault(ua.StatusBadServiceUnsupported)
}
func (s *Server) handleSetMonitoringMode(c *call, _ *uabinary.Reader) {
	c.fault(ua.StatusBadServiceUnsupported)
}
func (s *Server) handleSetTriggering(c *call, _ *uabinary.Reader) {
	c.fault(ua.StatusBadServiceUnsupported)
}
func (s *Server) handleDeleteMonitoredItems(c *call, _ *uabinary.Reader) {
	c.fault(ua.StatusBadServiceUnsupported)
}
