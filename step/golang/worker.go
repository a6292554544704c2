package golang

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/fault"
)

// A request is what the host asks of a worker: a line of JSON.
type request struct {
	ID    string         `json:"id"`
	Text  string         `json:"text"`
	Input map[string]any `json:"input"`
	// Memory is how many bytes the component may hold.
	Memory int64 `json:"memory"`
}

// A response is a line of JSON: of a log, or of the end.
type response struct {
	Log    *string        `json:"log,omitempty"`
	Output map[string]any `json:"output,omitempty"`
	Error  *failure       `json:"error,omitempty"`
}

type failure struct {
	Code    fault.Code `json:"code"`
	Message string     `json:"message"`
	Hint    string     `json:"hint,omitempty"`
}

// outOfMemory is the exit status of a worker whose component held too much.
const outOfMemory = 77

// Serve is the worker's side: it runs components that the host sends until
// its input ends, which it does when the host does, however that ends. It
// returns then also while a component runs; the end of the process ends that.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	s := &server{enc: json.NewEncoder(out)}
	s.registry = NewRegistry(&logWriter{server: s}, 1)
	asked, ended := make(chan request), make(chan error, 1)
	go func() { ended <- read(in, asked) }()
	for {
		select {
		case err := <-ended:
			return err
		case req := <-asked:
			answer := make(chan response, 1)
			go func() { answer <- s.handle(ctx, req) }()
			select {
			case err := <-ended:
				return err
			case r := <-answer:
				s.answer(r)
			}
		}
	}
}

// read passes on what the host asks.
func read(in io.Reader, asked chan<- request) error {
	lines := bufio.NewReaderSize(in, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var req request
		if err := json.Unmarshal(line, &req); err != nil {
			return fault.Wrap(fault.Internal, err, "read what the host asks")
		}
		asked <- req
	}
}

type server struct {
	registry *Registry
	mu       sync.Mutex
	enc      *json.Encoder
}

func (s *server) answer(r response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.enc.Encode(r) // a host that is gone is noticed by the next read
}

func (s *server) handle(ctx context.Context, req request) response {
	done := make(chan struct{})
	defer close(done)
	go watchMemory(req.Memory, done)
	pool, err := s.registry.LoadString(req.ID, req.Text)
	if err == nil {
		var out map[string]any
		if out, err = pool.Execute(ctx, req.Input); err == nil {
			if out == nil {
				out = map[string]any{}
			}
			if _, jsonErr := json.Marshal(out); jsonErr != nil {
				err = fault.New(fault.Provider, "%s returns what is no JSON: %v", req.ID, jsonErr)
			} else {
				return response{Output: out}
			}
		}
	}
	f := &failure{Code: fault.CodeOf(err), Message: err.Error()}
	var known *fault.Error
	if errors.As(err, &known) {
		f.Hint = known.Hint
	} else {
		f.Code = fault.Provider // the component's own
	}
	return response{Error: f}
}

// How often the memory is looked at. Interpreted code allocates some hundred
// megabytes a second at most.
const memoryInterval = 2 * time.Millisecond

// watchMemory ends the process when it holds more than the component may: an
// interpreter cannot be made to let go.
func watchMemory(limit int64, done <-chan struct{}) {
	debug.SetMemoryLimit(limit)
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	ticker := time.NewTicker(memoryInterval)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		metrics.Read(sample)
		if int64(sample[0].Value.Uint64()) > limit {
			os.Exit(outOfMemory)
		}
	}
}

// logWriter passes on what a component prints, line by line.
type logWriter struct {
	server *server
	mu     sync.Mutex
	part   string
	lines  int
}

const lineLimit, linesLimit = 16 << 10, 10000

// Write implements io.Writer.
func (l *logWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.part + string(p)
	for {
		line, rest, ok := strings.Cut(text, "\n")
		if !ok {
			break
		}
		text = rest
		l.line(line)
	}
	if len(text) > lineLimit {
		l.line(text)
		text = ""
	}
	l.part = text
	return len(p), nil
}

func (l *logWriter) line(line string) {
	if l.lines++; l.lines > linesLimit {
		return
	}
	if l.lines == linesLimit {
		line = "… more than can be kept"
	}
	l.server.answer(response{Log: &line})
}
