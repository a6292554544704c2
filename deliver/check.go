package deliver

import "context"

// Check tells whether a place's sink is there. Its options are checked where
// the configuration is, against the sink's schema.
func (s *Sinks) Check(ctx context.Context, p Place) error {
	_, err := s.open(ctx, p.Sink)
	return err
}
