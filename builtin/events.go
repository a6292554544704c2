package builtin

import (
	"context"
	"path/filepath"

	"github.com/gocodealone/wfctl/engine"
	"github.com/gocodealone/wfctl/event"
	eventpostgres "github.com/gocodealone/wfctl/event/postgres"
	eventsqlite "github.com/gocodealone/wfctl/event/sqlite"
	"github.com/gocodealone/wfctl/event/trace"
)

// openTrace sends runs to the collector that the variables of OpenTelemetry
// name.
func openTrace(ctx context.Context, getenv func(string) (string, bool)) (event.Sink, func(context.Context) error, error) {
	if !trace.Wanted(getenv) {
		return nil, nil, nil
	}
	s, err := trace.Open(ctx, version)
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// openEvents opens the history of runs: .wfctl/events.db, or the PostgreSQL
// database that WFCTL_EVENTS names.
func openEvents(ctx context.Context, src engine.EventSource) (event.Driver, error) {
	if url, ok := src.Getenv("WFCTL_EVENTS"); ok && url != "" {
		return eventpostgres.Open(ctx, url, "")
	}
	return eventsqlite.Open(ctx, filepath.Join(src.ProjectDir, ".wfctl", "events.db"))
}
