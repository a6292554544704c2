package state

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/gocodealone/wfctl/fault"
)

// When a log is condensed: when it is this many times what it describes, and
// large enough to care. A first apply never is, so nothing is written twice.
const (
	compactRatio = 4
	compactFloor = 1 << 20
)

// keptLines is how much of the history a snapshot keeps.
const keptLines = 2000

// large tells whether a log has outgrown what it describes.
func (t *table) large() bool { return t.logBytes > compactFloor+compactRatio*t.liveBytes }

// compactIfLarge condenses the log where that is worth it. When it fails the
// log is as good as before, only longer; the next release tries again.
func (l *Log) compactIfLarge(ctx context.Context) {
	l.mu.Lock()
	large := l.table.large()
	l.mu.Unlock()
	if large {
		_ = l.compact(ctx)
	}
}

// compact replaces the entries by a snapshot. The lease must be held.
func (l *Log) compact(ctx context.Context) error {
	l.io.Lock()
	defer l.io.Unlock()
	lines, err := l.recentLines(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.table.history = lines
	seq := l.table.seq
	data, err := l.table.snapshot()
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if err := l.driver.Compact(ctx, seq, data); err != nil {
		return storage(err, "condense the state")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.table.logBytes, l.table.floor = 0, seq
	return nil
}

// recentLines packs the newest part of the history.
func (l *Log) recentLines(ctx context.Context) ([]byte, error) {
	ring := make([]HistoryEntry, 0, keptLines)
	next := 0
	err := l.history(ctx, func(h HistoryEntry) bool {
		if len(ring) < keptLines {
			ring = append(ring, h)
		} else {
			ring[next] = h
			next = (next + 1) % keptLines
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return packHistory(append(ring[next:len(ring):len(ring)], ring[:next]...))
}

func packHistory(lines []HistoryEntry) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	enc := json.NewEncoder(z)
	for _, h := range lines {
		if err := enc.Encode(h); err != nil {
			return nil, fault.Wrap(fault.Internal, err, "encode the history")
		}
	}
	if err := z.Close(); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "pack the history")
	}
	return b.Bytes(), nil
}

// unpackHistory tells packed lines; more is false when tell wants no more.
func unpackHistory(packed []byte, tell func(HistoryEntry) bool) (more bool, err error) {
	if len(packed) == 0 {
		return true, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return false, damaged(err.Error())
	}
	for dec := json.NewDecoder(z); ; {
		var h HistoryEntry
		switch err := dec.Decode(&h); {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, damaged(err.Error())
		}
		if !tell(h) {
			return false, nil
		}
	}
}
