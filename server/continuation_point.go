package server

// continuationPoint is the random name of a waiting browse.
type continuationPoint [16]byte

// continuations are the ContinuationPoints of one Session (Part 4 1.05, 7.9):
// valid there only, once only, and gone with it.
type continuations map[continuationPoint]browse

// holdBrowse makes a continuation point for b unless there are too many.
func (s *Server) holdBrowse(sess *session, b browse) ([]byte, bool) {
	sess.mu.Lock()
	defer sess.mu.Unlock()
	if sess.closed || len(sess.points) >= s.limits().MaxContinuationPoints {
		return nil, false
	}
	if s.points.Add(1) > int64(s.limits().MaxContinuationPointsAll) {
		s.points.Add(-1)
		return nil, false
	}
	name := randomBytes(len(continuationPoint{}))
	if sess.points == nil {
		sess.points = make(continuations)
	}
	sess.points[continuationPoint(name)] = b
	return name, true
}

// takeBrowse removes a continuation point of the Session and returns it.
func (s *Server) takeBrowse(sess *session, name []byte) (browse, bool) {
	if len(name) != len(continuationPoint{}) {
		return browse{}, false
	}
	sess.mu.Lock()
	defer sess.mu.Unlock()
	b, ok := sess.points[continuationPoint(name)]
	if ok {
		delete(sess.points, continuationPoint(name))
		s.points.Add(-1)
	}
	return b, ok
}

// releaseAll drops all continuation points of sess. The caller holds sess.mu.
func (s *Server) releaseAll(sess *session) {
	s.points.Add(-int64(len(sess.points)))
	clear(sess.points)
}
