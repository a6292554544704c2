package ui

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gocodealone/wfctl/event"
)

// A Renderer shows the events of a run. Close ends what it has on the screen;
// events may still come and are shown as lines.
type Renderer interface {
	event.Sink
	Close()
}

// JSON writes one event per line.
func JSON(w io.Writer) Renderer { return &jsonRenderer{w: w} }

type jsonRenderer struct {
	mu sync.Mutex
	w  io.Writer
}

// Emit implements event.Sink.
func (r *jsonRenderer) Emit(e event.Event) {
	raw, err := event.Encode(e)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = r.w.Write(append(raw, '\n'))
}

// Close implements Renderer.
func (r *jsonRenderer) Close() {}

// Lines writes plain lines: for logs and pipes. Output of what runs is shown
// only when verbose.
func Lines(w io.Writer, s Style, verbose bool) Renderer {
	return &lineRenderer{w: w, style: s, verbose: verbose}
}

type lineRenderer struct {
	mu      sync.Mutex
	w       io.Writer
	style   Style
	verbose bool
}

// Emit implements event.Sink.
func (r *lineRenderer) Emit(e event.Event) {
	text := line(e, r.style, r.verbose)
	if text == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = io.WriteString(r.w, text)
}

// Close implements Renderer.
func (r *lineRenderer) Close() {}

// line is an event as text that ends in a newline; "" for what is not shown.
func line(e event.Event, s Style, verbose bool) string {
	switch e := e.(type) {
	case event.NodeStarted:
		return fmt.Sprintf("%s: %s…\n", e.Address, ing(e.Action))
	case event.NodeProgress:
		return fmt.Sprintf("%s: %s\n", e.Address, printable(e.Message))
	case event.NodeLog:
		if verbose {
			return fmt.Sprintf("%s | %s\n", e.Address, printable(e.Line))
		}
	case event.NodeWarning:
		return withHint(fmt.Sprintf("%s %s: %s\n", s.paint(yellow, "warning:"), e.Address, block(e.Message, "  ")), e.Hint, s)
	case event.NodeFinished:
		return finished(e, s)
	case event.Notice:
		if e.Level == "warning" {
			return withHint(fmt.Sprintf("%s %s\n", s.paint(yellow, "warning:"), block(e.Message, "  ")), e.Hint, s)
		}
		return block(e.Message, "  ") + "\n"
	case event.RunFinished:
		return fmt.Sprintf("%d done, %d failed, %d not started, in %s\n", e.Done, e.Failed, e.Skipped, took(e.Took))
	}
	return ""
}

func withHint(text, hint string, s Style) string {
	if hint == "" {
		return text
	}
	return text + "  " + s.paint(yellow, "hint:") + " " + block(hint, "        ") + "\n"
}

func finished(e event.NodeFinished, s Style) string {
	switch e.Outcome {
	case event.Failed:
		return fmt.Sprintf("%s: %s after %s\n", e.Address, s.paint(red, e.Action+" failed"), took(e.Took))
	case event.Skipped:
		return fmt.Sprintf("%s: %s\n", e.Address, s.paint(yellow, printable(e.Reason)))
	}
	return fmt.Sprintf("%s: %s in %s\n", e.Address, s.paint(green, ed(e.Action)), took(e.Took))
}

// ing and ed are what an action is called while it runs and when it is done.
func ing(action string) string {
	if action == "run" {
		return "running"
	}
	return strings.TrimSuffix(action, "e") + "ing"
}

func ed(action string) string {
	if action == "run" {
		return "done"
	}
	return strings.TrimSuffix(action, "e") + "ed"
}

func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// liveLimit is how many running changes are shown: a block taller than the
// terminal could not be drawn over.
const liveLimit = 12

// Live keeps a line per running change at the bottom of a terminal, above
// which what is done scrolls away. width tells the terminal's columns.
func Live(w io.Writer, s Style, verbose bool, width func() int) Renderer {
	r := &liveRenderer{w: w, style: s, verbose: verbose, width: width, running: map[string]*running{}, stop: make(chan struct{}), stopped: make(chan struct{})}
	go r.tick()
	return r
}

// running is a change that is under way.
type running struct {
	address, action, message string
	since                    time.Time
}

type liveRenderer struct {
	w       io.Writer
	style   Style
	verbose bool
	width   func() int

	mu      sync.Mutex
	running map[string]*running
	drawn   int // lines on the screen that the next drawing replaces
	frame   int
	closed  bool
	stop    chan struct{}
	stopped chan struct{}
}

// tick redraws, so that the seconds run.
func (r *liveRenderer) tick() {
	defer close(r.stopped)
	ticker := time.NewTicker(120 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-ticker.C:
			r.mu.Lock()
			r.frame++
			if len(r.running) > 0 {
				r.draw("")
			}
			r.mu.Unlock()
		}
	}
}

// Emit implements event.Sink.
func (r *liveRenderer) Emit(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		_, _ = io.WriteString(r.w, line(e, r.style, r.verbose))
		return
	}
	above := ""
	switch e := e.(type) {
	case event.NodeStarted:
		r.running[e.Address] = &running{address: e.Address, action: e.Action, since: e.At}
	case event.NodeProgress:
		if n := r.running[e.Address]; n != nil {
			n.message = e.Message
		}
	case event.NodeLog:
		if n := r.running[e.Address]; n != nil && !r.verbose {
			n.message = e.Line
		}
		above = line(e, r.style, r.verbose)
	case event.NodeFinished:
		delete(r.running, e.Address)
		above = line(e, r.style, r.verbose)
	default:
		above = line(e, r.style, r.verbose)
	}
	r.draw(above)
}

// draw replaces the block at the bottom, with text scrolling away above it.
func (r *liveRenderer) draw(above string) {
	var b strings.Builder
	if r.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", r.drawn)
	}
	b.WriteString(above)
	r.drawn = 0
	list := make([]*running, 0, len(r.running))
	for _, n := range r.running {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b *running) int {
		if c := a.since.Compare(b.since); c != 0 {
			return c
		}
		return strings.Compare(a.address, b.address)
	})
	more := len(list) - liveLimit
	for _, n := range list[:min(len(list), liveLimit)] {
		b.WriteString(r.status(n) + "\n")
		r.drawn++
	}
	if more > 0 {
		fmt.Fprintf(&b, "  … and %d more\n", more)
		r.drawn++
	}
	_, _ = io.WriteString(r.w, b.String())
}

// status is one line of the block, cut to the terminal.
func (r *liveRenderer) status(n *running) string {
	spinner := []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
	text := fmt.Sprintf("%c %s  %s  %s", spinner[r.frame%len(spinner)], n.address, ing(n.action), took(time.Since(n.since).Round(time.Second)))
	if n.message != "" {
		text += "  " + printable(n.message)
	}
	if width := r.width(); width > 1 && utf8.RuneCountInString(text) >= width {
		text = string([]rune(text)[:width-1])
	}
	return text
}

// Close implements Renderer.
func (r *liveRenderer) Close() {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.closed = true
	clear(r.running)
	r.draw("")
	r.mu.Unlock()
	close(r.stop)
	<-r.stopped
}
