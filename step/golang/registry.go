package golang

import (
	"context"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/gocodealone/wfctl/fault"
)

// Pool holds instances of one component, each with an interpreter of its own,
// so that calls run side by side and none sees another's variables.
type Pool struct {
	source *Source
	out    io.Writer
	limit  int32
	made   atomic.Int32
	idle   chan *Component
}

// NewPool loads a component and makes a pool of up to limit instances; 0 is
// one per processor.
func NewPool(s *Source, out io.Writer, limit int) (*Pool, error) {
	if limit <= 0 {
		limit = runtime.GOMAXPROCS(0)
	}
	p := &Pool{source: s, out: out, limit: int32(limit), idle: make(chan *Component, limit)}
	first, err := p.load()
	if err != nil {
		return nil, err
	}
	p.made.Store(1)
	p.idle <- first
	return p, nil
}

func (p *Pool) load() (*Component, error) {
	c, err := Load(p.source, p.out)
	if err == nil {
		err = c.Init(nil)
	}
	if err == nil {
		err = c.Start(context.Background())
	}
	return c, err
}

// Get takes an instance, making one where all are in use and there may be
// more.
func (p *Pool) Get(ctx context.Context) (*Component, error) {
	select {
	case c := <-p.idle:
		return c, nil
	default:
	}
	if p.made.Add(1) <= p.limit {
		c, err := p.load()
		if err != nil {
			p.made.Add(-1)
		}
		return c, err
	}
	p.made.Add(-1)
	select {
	case c := <-p.idle:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Put gives an instance back.
func (p *Pool) Put(c *Component) { p.idle <- c }

// Execute calls an instance.
func (p *Pool) Execute(ctx context.Context, input map[string]any) (map[string]any, error) {
	c, err := p.Get(ctx)
	if err != nil {
		return nil, err
	}
	defer p.Put(c)
	return c.Execute(ctx, input)
}

// Registry finds components by identifier. It is safe for concurrent use and
// made for reading.
type Registry struct {
	out   io.Writer
	limit int
	mu    sync.Mutex
	table atomic.Pointer[table]
}

// table is never changed, only replaced.
type table struct {
	pools map[string]*Pool
	ids   []string
}

// NewRegistry makes an empty registry; limit is that of its pools.
func NewRegistry(out io.Writer, limit int) *Registry {
	r := &Registry{out: out, limit: limit}
	r.table.Store(&table{})
	return r
}

// Get returns a component's pool.
func (r *Registry) Get(id string) (*Pool, error) {
	if p, ok := r.table.Load().pools[id]; ok {
		return p, nil
	}
	return nil, fault.New(fault.NotFound, "there is no component %q", id)
}

// IDs lists the components, sorted. The list is shared: it is only read.
func (r *Registry) IDs() []string { return r.table.Load().ids }

// LoadString loads a component under an identifier. One that is there with
// the same text stays; with another it is replaced, and calls that are under
// way end on the old one.
func (r *Registry) LoadString(id, text string) (*Pool, error) {
	if p, ok := r.table.Load().pools[id]; ok && p.source.text == text {
		return p, nil
	}
	s, err := Check(id, text)
	if err != nil {
		return nil, err
	}
	p, err := NewPool(s, r.out, r.limit)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	next := &table{pools: map[string]*Pool{id: p}}
	for name, other := range r.table.Load().pools {
		if name != id {
			next.pools[name] = other
		}
	}
	next.ids = sortedNames(next.pools)
	r.table.Store(next)
	return p, nil
}

// LoadFile loads a component from a file; it is read each time, so a change
// takes effect with the next call.
func (r *Registry) LoadFile(path string) (*Pool, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "read the component")
	}
	return r.LoadString(path, string(raw))
}
