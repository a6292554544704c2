package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/gocodealone/wfctl/event"
)

// writer is the connection that appends, with its statements prepared.
type writer struct {
	conn                            *sql.Conn
	begin, commit, rollback, insert *sql.Stmt
	last, makeRun, open, close      *sql.Stmt
}

func newWriter(ctx context.Context, db *sql.DB) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: conn}
	for _, s := range []struct {
		to   **sql.Stmt
		text string
	}{
		{&w.begin, "BEGIN IMMEDIATE"},
		{&w.commit, "COMMIT"},
		{&w.rollback, "ROLLBACK"},
		{&w.insert, "INSERT INTO entry (id, at, data) VALUES (?, ?, ?)"},
		{&w.last, `SELECT coalesce((SELECT max(id) FROM entry WHERE id > r.id << 32 AND id < (r.id + 1) << 32), r.id << 32) FROM run r WHERE r.name = ?`},
		{&w.makeRun, "INSERT INTO run (name, started) VALUES (?, ?) RETURNING id << 32"},
		{&w.open, "UPDATE run SET opened = ?2, closed = NULL WHERE name = ?1"},
		{&w.close, "UPDATE run SET closed = ?2 WHERE name = ?1"},
	} {
		if *s.to, err = conn.PrepareContext(ctx, s.text); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return w, nil
}

// Append implements event.Driver.
func (d *driver) Append(ctx context.Context, batches []event.Batch) error {
	db, err := d.open(ctx, true)
	if err != nil {
		return err
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	if d.writer == nil {
		if d.writer, err = newWriter(ctx, db); err != nil {
			return d.explain(err)
		}
	}
	return d.explain(d.writer.append(ctx, batches))
}

// append writes all batches in one transaction: one fsync for all of them.
// Once it began it is not cut short: a context that ends between two
// statements would leave the connection in the transaction.
func (w *writer) append(ctx context.Context, batches []event.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if _, err := w.begin.ExecContext(ctx); err != nil {
		return err
	}
	last := map[string]int64{}
	for i := range batches {
		if err := w.batch(ctx, &batches[i], last); err != nil {
			_, undo := w.rollback.ExecContext(ctx)
			return errors.Join(err, undo)
		}
	}
	_, err := w.commit.ExecContext(ctx)
	if err != nil {
		_, undo := w.rollback.ExecContext(ctx)
		return errors.Join(err, undo)
	}
	return nil
}

func (w *writer) batch(ctx context.Context, b *event.Batch, last map[string]int64) error {
	id, ok := last[b.Run]
	if !ok {
		err := w.last.QueryRowContext(ctx, b.Run).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			err = w.makeRun.QueryRowContext(ctx, b.Run, b.At.UnixNano()).Scan(&id)
		}
		if err != nil {
			return err
		}
	}
	b.First = uint64(id&0xffffffff) + 1
	for _, e := range b.Events {
		id++
		raw, err := event.Encode(e)
		if err != nil {
			return err
		}
		if _, err := w.insert.ExecContext(ctx, id, b.At.UnixNano(), raw); err != nil {
			return err
		}
		if err := w.note(ctx, b.Run, e); err != nil {
			return err
		}
	}
	last[b.Run] = id
	return nil
}

// note keeps what the list of runs shows.
func (w *writer) note(ctx context.Context, run string, e event.Event) error {
	stmt := w.open
	switch e.(type) {
	case event.RunStarted:
	case event.RunFinished:
		stmt = w.close
	default:
		return nil
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = stmt.ExecContext(ctx, run, raw)
	return err
}
