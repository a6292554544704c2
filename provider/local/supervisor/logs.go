package supervisor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Log files: one per service, LogDir/NAME.log, with the older ones beside it.
const (
	logSize = 10 << 20
	logKeep = 3
	maxLine = 64 << 10
)

// LogPath is where the log of a service is.
func LogPath(dir, name string) string { return filepath.Join(dir, "logs", name+".log") }

// copyLines passes on what is read, line by line, until the end; an overlong
// line comes in pieces.
func copyLines(r io.Reader, line func(string)) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		br := bufio.NewReaderSize(r, maxLine)
		for {
			b, err := br.ReadSlice('\n')
			if len(b) > 0 {
				line(strings.TrimRight(string(b), "\r\n"))
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return
			}
		}
	}()
	return done
}

// logFile is a log that is written.
type logFile struct {
	path  string
	limit int64
	now   func() time.Time
	mu    sync.Mutex
	file  *os.File
	size  int64
}

func openLog(dir, name string, limit int64, now func() time.Time) (*logFile, error) {
	l := &logFile{path: LogPath(dir, name), limit: limit, now: now}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return nil, err
	}
	return l, l.open()
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	l.file, l.size = f, info.Size()
	return nil
}

// write appends a line. A log that cannot be written must not stop the
// service, so the line is lost.
func (l *logFile) write(source, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return
	}
	if l.size > l.limit {
		l.rotate()
	}
	n, _ := fmt.Fprintf(l.file, "%s %s %s\n", l.now().UTC().Format(logTime), source, text)
	l.size += int64(n)
}

const logTime = "2006-01-02T15:04:05.000000Z"

func (l *logFile) rotate() {
	_ = l.file.Close()
	for i := logKeep; i > 1; i-- {
		_ = os.Rename(fmt.Sprintf("%s.%d", l.path, i-1), fmt.Sprintf("%s.%d", l.path, i))
	}
	_ = os.Rename(l.path, l.path+".1")
	if l.open() != nil {
		l.file = nil
	}
}

func (l *logFile) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}

// tail keeps the last lines, for errors.
type tail struct {
	mu    sync.Mutex
	limit int
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines = append(t.lines, line); len(t.lines) > t.limit {
		t.lines = t.lines[1:]
	}
}

func (t *tail) last() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.lines...)
}

// LogLine is one line of a service's log.
type LogLine struct {
	Time   time.Time
	Source string
	Text   string
}

func parseLine(s string) LogLine {
	stamp, rest, ok := strings.Cut(s, " ")
	if !ok {
		return LogLine{Text: s}
	}
	t, err := time.Parse(logTime, stamp)
	if err != nil {
		return LogLine{Text: s}
	}
	source, text, _ := strings.Cut(rest, " ")
	return LogLine{Time: t, Source: source, Text: text}
}
