package ui_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/ui"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var at = time.Date(2026, 4, 24, 10, 0, 0, 0, time.UTC)

// aRun is one of each event.
func aRun() []event.Event {
	return []event.Event{
		event.RunStarted{Run: "r1", Command: "infra apply", Project: "shop", Environment: "local", At: at},
		event.PlanReady{Hash: "h", Counts: map[string]int{"create": 3}},
		event.Notice{Level: "info", Message: "An earlier run was interrupted."},
		event.Notice{Level: "warning", Message: "old key", Hint: "use the new one"},
		event.NodeStarted{Address: "db", Action: "create", Type: "infra.database", Name: "shop-db", At: at},
		event.NodeProgress{Address: "db", Message: "initdb \x1b[31m", Fraction: -1},
		event.NodeLog{Address: "db", Line: "ready"},
		event.NodeWarning{Address: "db", Message: "size is ignored", Hint: "leave it out"},
		event.NodeFinished{Address: "db", Action: "create", Outcome: event.Done, Took: 1234 * time.Millisecond, At: at},
		event.NodeFinished{Address: "web", Action: "replace", Outcome: event.Failed, Error: "it broke", Took: 95 * time.Second, At: at},
		event.NodeFinished{Address: "gate.up", Action: "update", Outcome: event.Skipped, Reason: "skipped: web failed", At: at},
		event.RunFinished{Run: "r1", Done: 1, Failed: 1, Skipped: 1, Took: 12 * time.Millisecond, At: at},
	}
}

func TestLines(t *testing.T) {
	for name, verbose := range map[string]bool{"lines.txt": false, "lines_verbose.txt": true} {
		var b strings.Builder
		r := ui.Lines(&b, ui.Style{}, verbose)
		for _, e := range aRun() {
			r.Emit(e)
		}
		r.Close()
		golden(t, name, b.String())
	}
}

func TestJSONIsOneEventALine(t *testing.T) {
	var b strings.Builder
	r := ui.JSON(&b)
	defer r.Close()
	for _, e := range aRun() {
		r.Emit(e)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != len(aRun()) {
		t.Fatalf("%d lines, want %d", len(lines), len(aRun()))
	}
	for i, e := range aRun() {
		var doc struct{ Event string }
		if err := json.Unmarshal([]byte(lines[i]), &doc); err != nil || doc.Event != e.Kind() {
			t.Errorf("line %d: %q, want event %q (%v)", i, lines[i], e.Kind(), err)
		}
	}
}

// screen is what a terminal shows of what was written: enough of one for
// "up N lines" and "erase below".
type screen struct {
	mu    sync.Mutex
	lines []string
	raw   bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw.Write(p)
	text := string(p)
	for text != "" {
		if strings.HasPrefix(text, "\x1b[") {
			i := strings.IndexAny(text, "AJm")
			switch text[i] {
			case 'A':
				n := 0
				for _, d := range text[2:i] {
					n = n*10 + int(d-'0')
				}
				if n > len(s.lines) {
					return 0, errors.New("the cursor left the screen")
				}
				s.lines = s.lines[:len(s.lines)-n]
			case 'J', 'm':
			}
			text = text[i+1:]
			continue
		}
		end := strings.IndexByte(text, '\n')
		if end < 0 {
			return 0, errors.New("a line without an end: " + text)
		}
		s.lines = append(s.lines, text[:end])
		text = text[end+1:]
	}
	return len(p), nil
}

func (s *screen) shows() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func TestLive(t *testing.T) {
	var s screen
	r := ui.Live(&s, ui.Style{}, false, func() int { return 40 })
	events := aRun()
	for _, e := range events[:7] {
		r.Emit(e)
	}
	if got := s.shows(); !strings.Contains(got, "db  creating") || !strings.HasSuffix(got, "ready") {
		t.Errorf("while it runs:\n%s", got)
	}
	r.Emit(event.NodeProgress{Address: "db", Message: strings.Repeat("long ", 40), Fraction: -1})
	for line := range strings.SplitSeq(s.shows(), "\n") {
		if strings.Contains(line, "creating") && len([]rune(line)) >= 40 {
			t.Errorf("%q does not fit the terminal", line)
		}
	}
	for _, e := range events[7:] {
		r.Emit(e)
	}
	r.Close()
	r.Close()
	r.Emit(event.Notice{Level: "info", Message: "after the end"})
	golden(t, "live.txt", s.shows()+"\n")
}

func TestLiveBlockStaysSmall(t *testing.T) {
	var s screen
	r := ui.Live(&s, ui.Style{}, false, func() int { return 0 })
	for i := range 200 {
		r.Emit(event.NodeStarted{Address: "n" + strings.Repeat("x", i), Action: "create", At: at})
	}
	if got := strings.Count(s.shows(), "\n") + 1; got != 13 {
		t.Errorf("%d lines on the screen", got)
	}
	if !strings.HasSuffix(s.shows(), "… and 188 more") {
		t.Errorf("the screen ends in\n%s", s.shows())
	}
	r.Close()
	if s.shows() != "" {
		t.Errorf("left on the screen: %q", s.shows())
	}
}

func TestRenderersAreSafeTogether(t *testing.T) {
	for name, r := range map[string]ui.Renderer{
		"lines": ui.Lines(io.Discard, ui.Style{}, true), "json": ui.JSON(io.Discard),
		"live": ui.Live(&screen{}, ui.Style{}, false, func() int { return 80 }),
	} {
		t.Run(name, func(*testing.T) {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for _, e := range aRun() {
						r.Emit(e)
					}
				})
			}
			wg.Wait()
			r.Close()
		})
	}
}

func TestConfirm(t *testing.T) {
	for typed, want := range map[string]bool{
		"yes\n": true, "yes": true, "  yes \r\n": true, "y\n": false, "YES\n": false, "yes please\n": false, "\n": false, "": false, "no\nyes\n": false,
	} {
		var out strings.Builder
		ok, err := ui.Confirm(t.Context(), strings.NewReader(typed), &out, "Destroy it?")
		if err != nil || ok != want {
			t.Errorf("%q: %v, %v", typed, ok, err)
		}
		if out.String() != "Destroy it? Only 'yes' is accepted: " {
			t.Errorf("asked %q", out.String())
		}
	}
}

func TestConfirmEndsWithItsContext(t *testing.T) {
	in, writer := io.Pipe()
	defer writer.Close() //nolint:errcheck // ends the reader behind
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ok, err := ui.Confirm(ctx, in, io.Discard, "?")
	if ok || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestConfirmTellsOfABrokenTerminal(t *testing.T) {
	in, writer := io.Pipe()
	_ = writer.CloseWithError(errors.New("hung up"))
	if ok, err := ui.Confirm(t.Context(), in, io.Discard, "?"); ok || err == nil {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := ui.Table(&b, [][]string{{"NAME", "STATE"}, {"a\x1b[0m", "up"}, {"longer", ""}}); err != nil {
		t.Fatal(err)
	}
	if want := "NAME    STATE\na�[0m   up\nlonger\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
