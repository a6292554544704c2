package apply

import (
	"context"

	"github.com/gocodealone/wfctl/resource"
)

// NoJournal is the journal of a teardown whose state cannot be used: what it
// does is found out anew by the next one.
type NoJournal struct{}

// Intent implements Journal, as all below do.
func (NoJournal) Intent(context.Context, resource.Intent) error { return nil }

// Assigned has nothing to note.
func (NoJournal) Assigned(context.Context, string, string) error { return nil }

// Result has nothing to note.
func (NoJournal) Result(context.Context, string, resource.Record) error { return nil }

// ResultSoon has nothing to note.
func (NoJournal) ResultSoon(context.Context, string, resource.Record) error { return nil }

// Forget has nothing to note.
func (NoJournal) Forget(context.Context, string, resource.Key) error { return nil }

// Abandon has nothing to note.
func (NoJournal) Abandon(context.Context, string) error { return nil }

// Move has nothing to note.
func (NoJournal) Move(context.Context, resource.Key, resource.Key) error { return nil }
