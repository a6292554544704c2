package pluginhost

import (
	"bytes"
	"slices"
	"strings"
	"sync"

	"github.com/gocodealone/wfctl/secret"
)

const (
	// tailLines is how many of its last lines an error of a plugin shows, and
	// tailWidth how many bytes of each.
	tailLines = 20
	tailWidth = 2 << 10
)

// tail keeps the last lines that a plugin printed. Secrets are taken out
// before they are cut into lines: half of one would not be known.
type tail struct {
	log    func(string)
	masked *secret.Writer

	mu    sync.Mutex
	part  []byte
	lines []string
	// why is the line that begins a crash; what follows may push it out.
	why string
}

func newTail(secrets *secret.Redactor, log func(string)) *tail {
	t := &tail{log: log}
	t.masked = secrets.Writer(writerFunc(t.cut))
	return t
}

type writerFunc func([]byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) { return t.masked.Write(p) }

func (t *tail) cut(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		if room := tailWidth - len(t.part); room > 0 {
			t.part = append(t.part, line[:min(room, len(line))]...)
		}
		if rest = after; ended {
			t.add(strings.TrimRight(string(t.part), "\r"))
			t.part = t.part[:0]
		}
	}
	return len(p), nil
}

func (t *tail) add(line string) {
	if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
		t.why = line
	}
	if strings.TrimSpace(line) == "" {
		return
	}
	if t.lines = append(t.lines, line); len(t.lines) > tailLines {
		t.lines = slices.Delete(t.lines, 0, 1)
	}
	if t.log != nil {
		t.log(line)
	}
}

// last returns the lines, the cause of a crash always among them.
func (t *tail) last() []string {
	_ = t.masked.Flush() // cut does not fail
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := slices.Clone(t.lines)
	if len(t.part) > 0 {
		lines = append(lines, string(t.part))
	}
	if t.why != "" && !slices.Contains(lines, t.why) {
		lines = append([]string{t.why, "…"}, lines...)
	}
	return lines
}
