package temporal

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/client"
)

// figures collect what the SDK counts and measures, as Prometheus reads it.
type figures struct {
	of   *table
	tags string
}

// table holds all of them by name and tags.
type table struct {
	mu     sync.Mutex
	counts map[series]*atomic.Int64
	levels map[series]*level
	timers map[series]*timing
}

type series struct{ name, tags string }

func newFigures() *figures {
	return &figures{of: &table{counts: map[series]*atomic.Int64{}, levels: map[series]*level{}, timers: map[series]*timing{}}}
}

// WithTags implements client.MetricsHandler.
func (f *figures) WithTags(tags map[string]string) client.MetricsHandler {
	var parts []string
	if f.tags != "" {
		parts = append(parts, f.tags)
	}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		parts = append(parts, fmt.Sprintf("%s=%q", label(name), tags[name]))
	}
	return &figures{f.of, strings.Join(parts, ",")}
}

// label makes a name that Prometheus takes.
func label(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
}

func find[T any](t *table, m map[series]*T, s series) *T {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := m[s]
	if !ok {
		v = new(T)
		m[s] = v
	}
	return v
}

type counter struct{ n *atomic.Int64 }

// Inc implements client.MetricsCounter.
func (c counter) Inc(n int64) { c.n.Add(n) }

// Counter implements client.MetricsHandler.
func (f *figures) Counter(name string) client.MetricsCounter {
	return counter{find(f.of, f.of.counts, series{label(name), f.tags})}
}

type level struct {
	mu sync.Mutex
	v  float64
}

// Update implements client.MetricsGauge.
func (l *level) Update(v float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.v = v
}

// Gauge implements client.MetricsHandler.
func (f *figures) Gauge(name string) client.MetricsGauge {
	return find(f.of, f.of.levels, series{label(name), f.tags})
}

// bounds of the histograms, in seconds.
var bounds = [...]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600}

type timing struct {
	mu    sync.Mutex
	below [len(bounds)]int64
	n     int64
	sum   float64
}

// Record implements client.MetricsTimer.
func (t *timing) Record(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := d.Seconds()
	t.n++
	t.sum += s
	for i, bound := range bounds {
		if s <= bound {
			t.below[i]++
		}
	}
}

// Timer implements client.MetricsHandler.
func (f *figures) Timer(name string) client.MetricsTimer {
	return find(f.of, f.of.timers, series{label(name) + "_seconds", f.tags})
}

// text writes all figures in Prometheus's text format.
func (f *figures) text() string {
	var b strings.Builder
	t := f.of
	t.mu.Lock()
	defer t.mu.Unlock()
	each(&b, t.counts, "counter", func(s series, n *atomic.Int64) { fmt.Fprintf(&b, "%s%s %d\n", s.name, braces(s.tags, ""), n.Load()) })
	each(&b, t.levels, "gauge", func(s series, l *level) {
		l.mu.Lock()
		defer l.mu.Unlock()
		fmt.Fprintf(&b, "%s%s %g\n", s.name, braces(s.tags, ""), l.v)
	})
	each(&b, t.timers, "histogram", func(s series, h *timing) { h.text(&b, s) })
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	fmt.Fprintf(&b, "# TYPE wfctl_worker_memory_bytes gauge\nwfctl_worker_memory_bytes %d\n", mem.Sys)
	fmt.Fprintf(&b, "# TYPE wfctl_worker_goroutines gauge\nwfctl_worker_goroutines %d\n", runtime.NumGoroutine())
	return b.String()
}

// each visits the series in the order of their names, each name's type first.
func each[T any](b *strings.Builder, m map[series]*T, kind string, visit func(series, *T)) {
	last := ""
	for _, s := range slices.SortedFunc(maps.Keys(m), func(a, b series) int { return strings.Compare(a.name+" "+a.tags, b.name+" "+b.tags) }) {
		if s.name != last {
			fmt.Fprintf(b, "# TYPE %s %s\n", s.name, kind)
			last = s.name
		}
		visit(s, m[s])
	}
}

func braces(tags, more string) string {
	if tags != "" && more != "" {
		tags += ","
	}
	if tags+more == "" {
		return ""
	}
	return "{" + tags + more + "}"
}

func (t *timing) text(b *strings.Builder, s series) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, bound := range bounds {
		fmt.Fprintf(b, "%s_bucket%s %d\n", s.name, braces(s.tags, fmt.Sprintf("le=%q", fmt.Sprint(bound))), t.below[i])
	}
	fmt.Fprintf(b, "%s_bucket%s %d\n%s_sum%s %g\n%s_count%s %d\n", s.name, braces(s.tags, `le="+Inf"`), t.n,
		s.name, braces(s.tags, ""), t.sum, s.name, braces(s.tags, ""), t.n)
}
