package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// LogQuery chooses lines: the last Tail (0: all) since Since, and with Follow
// all that come after, until the context ends.
type LogQuery struct {
	Tail   int
	Since  time.Time
	Follow bool
}

// followEvery is how often a followed log is looked at.
const followEvery = 100 * time.Millisecond

// ReadLog reads the log of a service from its files, so it needs no running
// supervisor. Where there is no log there is no line.
func ReadLog(ctx context.Context, dir, name string, q LogQuery, line func(LogLine) error) error {
	r := &logReader{path: LogPath(dir, name), query: q}
	defer r.close()
	window := &window{limit: q.Tail, line: line}
	if err := r.open(); err != nil { // before the older ones: a rotation in between is seen
		return err
	}
	if err := r.older(true, window.add); err != nil {
		return err
	}
	if err := r.drain(window.add); err != nil {
		return err
	}
	if err := window.flush(); err != nil || !q.Follow {
		return err
	}
	return r.follow(ctx, line)
}

// window holds lines back until it is known which are the last.
type window struct {
	limit int
	line  func(LogLine) error
	held  []LogLine
}

func (w *window) add(l LogLine) error {
	if w.limit <= 0 {
		return w.line(l)
	}
	if w.held = append(w.held, l); len(w.held) > w.limit {
		w.held = w.held[1:]
	}
	return nil
}

func (w *window) flush() error {
	for _, l := range w.held {
		if err := w.line(l); err != nil {
			return err
		}
	}
	return nil
}

// logReader reads one log, over rotations.
type logReader struct {
	path   string
	query  LogQuery
	file   *os.File
	offset int64
}

func (r *logReader) open() error {
	f, err := os.Open(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	r.file, r.offset = f, 0
	return err
}

func (r *logReader) close() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}

// is tells whether the open file is the one that info is of.
func (r *logReader) is(info fs.FileInfo) bool {
	if r.file == nil {
		return false
	}
	mine, err := r.file.Stat()
	return err == nil && os.SameFile(mine, info)
}

// older reads rotated files: those before the open one, or, when that was
// rotated itself, those after it.
func (r *logReader) older(before bool, line func(LogLine) error) error {
	var missed []*os.File
	defer func() {
		for _, f := range missed {
			_ = f.Close()
		}
	}()
	for i := 1; i <= logKeep; i++ {
		f, err := os.Open(fmt.Sprintf("%s.%d", r.path, i))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		if info, err := f.Stat(); err != nil || r.is(info) {
			_ = f.Close()
			if !before {
				break
			}
			continue
		}
		missed = append(missed, f)
	}
	for _, f := range slices.Backward(missed) {
		if _, err := eachLine(f, r.query.Since, line); err != nil {
			return err
		}
	}
	return nil
}

// drain passes on what the open file has gained.
func (r *logReader) drain(line func(LogLine) error) error {
	if r.file == nil {
		return nil
	}
	n, err := eachLine(io.NewSectionReader(r.file, r.offset, 1<<62), r.query.Since, line)
	r.offset += n
	return err
}

func (r *logReader) follow(ctx context.Context, line func(LogLine) error) error {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil // being stopped is how following ends
		case <-ticker.C:
		}
		info, err := os.Stat(r.path)
		rotated := err == nil && !r.is(info)
		if err := r.drain(line); err != nil {
			return err
		}
		if !rotated {
			continue
		}
		if r.file != nil {
			if err := r.older(false, line); err != nil {
				return err
			}
		}
		r.close()
		if err := r.open(); err != nil {
			return err
		}
		if err := r.drain(line); err != nil {
			return err
		}
	}
}

// eachLine passes on whole lines and returns how many bytes those were.
func eachLine(from io.Reader, since time.Time, line func(LogLine) error) (int64, error) {
	br := bufio.NewReader(from)
	var read int64
	for {
		s, err := br.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return read, nil // what has no end yet is read when it has
		}
		if err != nil {
			return read, err
		}
		read += int64(len(s))
		l := parseLine(strings.TrimSuffix(s, "\n"))
		if l.Time.Before(since) {
			continue
		}
		if err := line(l); err != nil {
			return read, err
		}
	}
}
