package migrate

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"

	"github.com/gocodealone/wfctl/fault"
)

const createLease = `CREATE TABLE IF NOT EXISTS wfctl_migration_lease (
	id INTEGER PRIMARY KEY,
	token TEXT NOT NULL,
	holder TEXT NOT NULL,
	expires_at TIMESTAMPTZ NOT NULL
)`

// A lease is held by one migrator of a database at a time. On Postgres it is
// a row with a time that the holder keeps moving on, so that no session has
// to stay the same: PgBouncer gives each transaction another. On SQLite it is
// a lock of the operating system on a file beside the database.
type lease struct {
	// lost is cancelled when the lease is no longer held for certain.
	lost    context.Context //nolint:containedctx // a signal, handed on to what runs under the lease
	release func()
	// check fails in a transaction whose holder lost the lease meanwhile.
	check func(ctx context.Context, tx *sql.Tx) error
}

var errLeaseLost = errors.New("the lease on the migrations was lost: another process may have taken over")

// acquire waits for the lease.
func (m *Migrator) acquire(ctx context.Context) (*lease, error) {
	if m.db.dialect == goose.DialectSQLite3 {
		return m.acquireFile(ctx)
	}
	return m.acquireRow(ctx)
}

func (m *Migrator) acquireFile(ctx context.Context) (*lease, error) {
	waiting, cancel := context.WithTimeout(ctx, m.o.LockTimeout)
	defer cancel()
	path := m.db.file + ".migrating"
	for {
		lock := flock.New(path)
		_, err := lock.TryLockContext(waiting, m.o.poll)
		switch {
		case ctx.Err() != nil:
			return nil, fault.Wrap(fault.Interrupted, ctx.Err(), "wait for another migration")
		case waiting.Err() != nil:
			return nil, m.locked("another process")
		case err != nil:
			return nil, fault.Wrap(fault.Environment, err, "lock %s", m.db.where)
		}
		if !named(lock, path) {
			_ = lock.Unlock() // the one before removed the file at its end
			continue
		}
		return &lease{
			lost:    ctx,
			release: func() { _ = os.Remove(path); _ = lock.Unlock() },
			check:   func(context.Context, *sql.Tx) error { return nil },
		}, nil
	}
}

// named tells whether the file that is locked still has its name.
func named(lock *flock.Flock, path string) bool {
	mine, err := lock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}

func (m *Migrator) locked(holder string) error {
	return fault.New(fault.Locked, "%s is being migrated by %s, for longer than %s", m.db.where, holder, m.o.LockTimeout).
		WithHint("wait until it is done; a holder that died loses its lease after %s", m.o.LeaseTime)
}

const (
	takeLease = `INSERT INTO wfctl_migration_lease AS l (id, token, holder, expires_at)
		VALUES (1, $1, $2, clock_timestamp() + make_interval(secs => $3))
		ON CONFLICT (id) DO UPDATE SET token = excluded.token, holder = excluded.holder, expires_at = excluded.expires_at
		WHERE l.expires_at < clock_timestamp()`
	keepLease  = `UPDATE wfctl_migration_lease SET expires_at = clock_timestamp() + make_interval(secs => $2) WHERE id = 1 AND token = $1`
	checkLease = `SELECT 1 FROM wfctl_migration_lease WHERE id = 1 AND token = $1 FOR SHARE`
	dropLease  = `DELETE FROM wfctl_migration_lease WHERE id = 1 AND token = $1`
)

func (m *Migrator) acquireRow(ctx context.Context) (*lease, error) {
	token := rand.Text()
	waiting, cancel := context.WithTimeout(ctx, m.o.LockTimeout)
	defer cancel()
	told := false
	for {
		res, err := m.db.ExecContext(waiting, takeLease, token, m.o.Holder, m.o.LeaseTime.Seconds())
		if err == nil {
			if n, _ := res.RowsAffected(); n == 1 {
				return m.keep(ctx, token), nil
			}
		} else if waiting.Err() == nil {
			return nil, fault.Wrap(fault.Environment, m.db.clean(err), "take the lease on the migrations of %s", m.db.where)
		}
		holder := m.holder(waiting)
		if !told && waiting.Err() == nil {
			told = true
			m.notice(fmt.Sprintf("%s is being migrated by %s; waiting", m.db.where, holder))
		}
		select {
		case <-waiting.Done():
			if ctx.Err() != nil {
				return nil, fault.Wrap(fault.Interrupted, ctx.Err(), "wait for another migration")
			}
			return nil, m.locked(m.holder(ctx))
		case <-time.After(m.o.poll):
		}
	}
}

func (m *Migrator) holder(ctx context.Context) string {
	holder := "another process"
	_ = m.db.QueryRowContext(ctx, `SELECT holder FROM wfctl_migration_lease WHERE id = 1`).Scan(&holder) // only to tell
	return holder
}

// keep moves the lease on until it is released, and cancels what runs under
// it when that is no longer possible.
func (m *Migrator) keep(ctx context.Context, token string) *lease {
	lost, lose := context.WithCancelCause(ctx)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		m.beat(lost, token, stop, lose)
	}()
	return &lease{
		lost: lost,
		release: func() {
			close(stop)
			<-done
			lose(nil)
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			_, _ = m.db.ExecContext(ending, dropLease, token) // else it runs out by itself
		},
		check: func(ctx context.Context, tx *sql.Tx) error {
			var one int
			err := tx.QueryRowContext(ctx, checkLease, token).Scan(&one)
			if errors.Is(err, sql.ErrNoRows) {
				return errLeaseLost
			}
			return err
		},
	}
}

func (m *Migrator) beat(ctx context.Context, token string, stop <-chan struct{}, lose func(error)) {
	tick := time.NewTicker(m.o.LeaseTime / 3)
	defer tick.Stop()
	sure := time.Now().Add(m.o.LeaseTime)
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		trying, cancel := context.WithDeadline(ctx, sure)
		began := time.Now()
		res, err := m.db.ExecContext(trying, keepLease, token, m.o.LeaseTime.Seconds())
		cancel()
		if err == nil {
			if n, _ := res.RowsAffected(); n == 0 {
				lose(errLeaseLost)
				return
			}
			sure = began.Add(m.o.LeaseTime)
		} else if time.Now().After(sure) {
			lose(errLeaseLost)
			return
		}
	}
}
