package temporal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/gocodealone/wfctl/pipeline"
)

// closed is what a worker lacks of runs that it met: keys, or their record. It is
// logged once in a while, and a worker that met it is not ready.
type closed struct {
	log io.Writer
	now func() time.Time
	// what says it of one of them, by name.
	what string

	mu   sync.Mutex
	last map[string]time.Time
}

// remembered is how long a worker counts as one that lacks a key.
const remembered = 2 * time.Minute

// What is said of a key, and of a record.
const (
	lacksKey = "wfctl: a run was sealed with the key %s, which this worker does not have: the run waits for one that does. " +
		"Give this one that key too (WFCTL_TEMPORAL_KEY or --key-file), behind its own.\n"
	lacksRecord = "wfctl: the record of run %s is in another database than the one of this worker (WFCTL_EVENTS): the run is left to other workers.\n"
)

// met notes that one of them was missed.
func (c *closed) met(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = map[string]time.Time{}
	}
	now := c.now()
	if c.log != nil && now.Sub(c.last[key]) > time.Minute {
		_, _ = fmt.Fprintf(c.log, c.what, key)
	}
	c.last[key] = now
}

// lately are the keys that were missed not long ago.
func (c *closed) lately() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var keys []string
	for key, at := range c.last {
		if c.now().Sub(at) < remembered {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// strict is a converter whose workflows stop where something cannot be opened,
// signals too, which the SDK would drop: the task is tried again, by another
// worker, and the run is none the worse for it.
type strict struct{ converter.DataConverter }

// WithContext implements workflow.ContextAware. An activity is tried again
// anyway.
func (s strict) WithContext(context.Context) converter.DataConverter { return s.DataConverter }

// WithWorkflowContext implements workflow.ContextAware.
func (s strict) WithWorkflowContext(workflow.Context) converter.DataConverter {
	return stopping(s)
}

type stopping struct{ converter.DataConverter }

// FromPayload implements converter.DataConverter.
func (s stopping) FromPayload(p *commonpb.Payload, into any) error {
	return stopAt(s.DataConverter.FromPayload(p, into))
}

// FromPayloads implements converter.DataConverter.
func (s stopping) FromPayloads(p *commonpb.Payloads, into ...any) error {
	return stopAt(s.DataConverter.FromPayloads(p, into...))
}

func stopAt(err error) error {
	var task *converter.WorkflowTaskFailureError
	if errors.As(err, &task) {
		panic(err) // the SDK fails the task with it
	}
	return err
}

// A worker's identity shows the names of its keys, which say nothing of them,
// so that who starts a run or a worker finds out before anything waits.
var keysShown = regexp.MustCompile(` \(keys ([0-9a-f]{8}(?: [0-9a-f]{8})*)\)$`)

func (c *codec) identity(name string) string {
	ids := []string{c.id}
	for id := range c.opens {
		if id != c.id {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids[1:])
	return fmt.Sprintf("%s (keys %s)", name, strings.Join(ids, " "))
}

// live is how lately a worker must have asked for work to count: it asks
// anew every minute.
const live = 75 * time.Second

// Attendance implements pipeline.Cluster.
func (c *cluster) Attendance(ctx context.Context) (pipeline.Attendance, error) {
	a := pipeline.Attendance{Queue: c.o.Queue, Namespace: c.o.Namespace}
	d, err := c.client.DescribeTaskQueue(ctx, c.o.Queue, enums.TASK_QUEUE_TYPE_WORKFLOW)
	if err != nil {
		return a, c.failed(err)
	}
	mine, err := newCodec(c.o.Keys, nil)
	if err != nil {
		return a, err
	}
	for _, p := range d.GetPollers() {
		if time.Since(p.GetLastAccessTime().AsTime()) > live {
			continue
		}
		a.Workers++
		shown := keysShown.FindStringSubmatch(p.GetIdentity())
		if shown == nil {
			continue
		}
		theirs := strings.Fields(shown[1])
		if !slices.Contains(theirs, mine.id) {
			a.Blind = append(a.Blind, p.GetIdentity())
		}
		if mine.opens[theirs[0]] == nil {
			a.Foreign = append(a.Foreign, p.GetIdentity())
		}
	}
	return a, nil
}

// quiet leaves out of the SDK's log what met has said better.
type quiet struct{ slog.Handler }

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	said := false
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			var task *converter.WorkflowTaskFailureError
			said = said || errors.As(err, &task)
		}
		return !said
	})
	if said {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
