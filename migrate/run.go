package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pressly/goose/v3"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/internal/lazyregexp"
)

// errTaken: another migrator applied it between our look and our turn.
var errTaken = errors.New("it is applied already")

// run is one migration on its way in one direction.
type run struct {
	m      *Migrator
	mig    *Migration
	script *Script
	up     bool
	// from is the statement to go on with.
	from int
	// failed is the statement that did not succeed, -1 for none; err its
	// error.
	failed int
	err    error
	taken  bool
}

// apply runs one script through goose, which keeps the version table.
func (m *Migrator) apply(ctx context.Context, mig *Migration, script *Script, from int) error {
	r := &run{m: m, mig: mig, script: script, up: script == &mig.Up, from: from, failed: -1}
	if i := slices.IndexFunc(script.Statements, controls); i >= 0 && !script.NoTransaction {
		r.failed = i
		f := fault.New(fault.Config, "migration %d (%s) controls the transaction that it runs in: %s", mig.Version, mig.Name, brief(script.Statements[i].SQL))
		f.Pos = r.position(0)
		f.Source = line(f.Pos)
		return f.WithHint("leave it out: the migration has its own transaction; or begin the file with `-- +goose NO TRANSACTION`")
	}
	m.run = r
	_, err := m.provider.ApplyVersion(ctx, mig.Version, r.up)
	switch {
	case r.taken, errors.Is(err, goose.ErrAlreadyApplied):
		return errTaken
	case err != nil:
		return r.failure(ctx, err)
	case script.NoTransaction:
		return r.close(ctx)
	}
	return nil
}

func (r *run) record(state string, done int) record {
	direction := "up"
	if !r.up {
		direction = "down"
	}
	hash := r.mig.Hash
	if state != stateApplied && r.script.NoTransaction {
		hash = r.script.part(done)
	}
	return record{
		version: r.mig.Version, name: r.mig.Name, hash: hash, state: state, direction: direction,
		done: done, total: len(r.script.Statements), inTransaction: !r.script.NoTransaction,
		started: stamp(r.m.o.Now()), finish: stamp(r.m.o.Now()),
	}
}

// inTransaction does the whole migration or nothing, its record included.
func (r *run) inTransaction(ctx context.Context, tx *sql.Tx) error {
	if r.up {
		ok, err := r.m.db.claim(ctx, tx, r.record(stateApplied, len(r.script.Statements)))
		if err != nil {
			return err
		}
		if r.taken = !ok; r.taken {
			return errTaken
		}
	} else if err := r.m.db.forget(ctx, tx, r.mig.Version); err != nil {
		return err
	}
	for i := range r.script.Statements {
		if err := r.statement(ctx, tx, i); err != nil {
			return err
		}
	}
	return r.m.lease.check(ctx, tx)
}

// alone runs the statements one by one on one connection, and notes after
// each how far it got.
func (r *run) alone(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if r.from == 0 && r.up {
		ok, err := r.m.db.claim(ctx, conn, r.record(stateRunning, 0))
		if err != nil {
			return err
		}
		if r.taken = !ok; r.taken {
			return errTaken
		}
	}
	for i := r.from; i < len(r.script.Statements); i++ {
		if err := r.statement(ctx, conn, i); err != nil {
			return err
		}
		if err := r.m.db.save(ctx, conn, r.record(stateRunning, i+1)); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) statement(ctx context.Context, on executor, i int) error {
	s := r.script.Statements[i]
	r.m.emit(Event{Version: r.mig.Version, Name: r.mig.Name, Statement: i + 1, Total: len(r.script.Statements), Message: brief(s.SQL)})
	_, err := on.ExecContext(ctx, s.SQL)
	if err != nil {
		r.failed, r.err = i, err
	}
	return err
}

// close notes the end of a migration that ran outside a transaction.
func (r *run) close(ctx context.Context) error {
	var err error
	if r.up {
		err = r.m.db.save(ctx, r.m.db, r.record(stateApplied, len(r.script.Statements)))
	} else {
		err = r.m.db.forget(ctx, r.m.db, r.mig.Version)
	}
	if err != nil {
		return fault.Wrap(fault.Environment, r.m.db.clean(err), "note that migration %d is done", r.mig.Version).WithHint("run it again: it goes on where it stopped")
	}
	return nil
}

// failure notes how far a migration got and explains it.
func (r *run) failure(ctx context.Context, err error) error {
	if r.err != nil {
		err = r.err
	}
	text, offset := describe(err)
	r.note(ctx, text)
	what := "migration"
	if !r.up {
		what = "undoing migration"
	}
	name := fmt.Sprintf("%s %d (%s)", what, r.mig.Version, r.mig.Name)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.New(fault.Environment, "%s took longer than it may", name).WithHint("give it more time (`timeout`, --timeout); %s", r.left())
	case ctx.Err() != nil:
		return fault.Wrap(fault.Interrupted, ctx.Err(), "%s was stopped", name).WithHint("%s", r.left())
	case r.failed < 0:
		return fault.Wrap(fault.Environment, r.m.db.clean(err), "%s failed", name).WithHint("%s", r.next())
	}
	clean := r.m.db.clean(errors.New(text))
	f := fault.New(fault.Config, "%s failed at statement %d of %d: %s", name, r.failed+1, len(r.script.Statements), clean)
	f.Err = nil
	f.Pos = r.position(offset)
	f.Source = line(f.Pos)
	return f.WithHint("%s", r.next()).WithDetail(r.progress()...)
}

// note keeps the failure for status and repair. It is best effort: where the
// database is gone, the record of the statement before stands.
func (r *run) note(ctx context.Context, text string) {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	done := max(r.failed, 0)
	if r.failed < 0 && r.script.NoTransaction {
		return
	}
	if !r.up && !r.script.NoTransaction {
		return // it is applied, as it was
	}
	rec := r.record(stateFailed, done)
	rec.error = r.m.db.clean(errors.New(text)).Error()
	_, _ = r.m.db.claim(ending, r.m.db, rec) // never over the record of one who was faster
}

// left says what became of a migration that did not fail by itself.
func (r *run) left() string {
	if !r.script.NoTransaction {
		return "nothing of it was kept; run it again"
	}
	return r.m.repairHint(r.mig.Version)
}

func (r *run) next() string {
	if !r.script.NoTransaction {
		return "nothing of it was kept; mend the file and run it again"
	}
	hint := r.m.repairHint(r.mig.Version)
	if r.failed >= 0 {
		if m := indexForm().FindStringSubmatch(normalise(r.script.Statements[r.failed].SQL)); m != nil {
			hint = fmt.Sprintf("an index that could not be built stays as an invalid one: `DROP INDEX CONCURRENTLY IF EXISTS %s` first; ", m[1]) + hint
		}
	}
	return hint
}

// indexForm is the making of an index that Postgres leaves invalid when it
// fails.
var indexForm = lazyregexp.New(`(?i)^CREATE (?:UNIQUE )?INDEX CONCURRENTLY (?:IF NOT EXISTS )?([^\s(]+)`)

func (m *Migrator) repairHint(version int64) string {
	return fmt.Sprintf("what came before it was kept. Look at the database, then `%s repair %d --as resume --approve` goes on with that statement, "+
		"`--as applied` takes the migration as done, `--as pending` takes it as never begun", m.o.Command, version)
}

// progress lists the statements with what became of each.
func (r *run) progress() []string {
	before := "done"
	if !r.script.NoTransaction {
		before = "undone"
	}
	var lines []string
	for i, s := range r.script.Statements {
		state := "not run"
		switch {
		case i < r.failed:
			state = before
		case i == r.failed:
			state = "failed"
		}
		lines = append(lines, fmt.Sprintf("%3d %-7s %s", i+1, state, brief(s.SQL)))
	}
	return lines
}

// position is where the failed statement stands; offset counts characters
// into it, 0 for its beginning.
func (r *run) position(offset int) fault.Position {
	s := r.script.Statements[r.failed]
	pos := r.m.at(r.script.File)
	pos.Line, pos.Column = s.Line, s.Column
	for _, c := range s.SQL {
		if offset--; offset <= 0 {
			break
		}
		if c == '\n' {
			pos.Line, pos.Column = pos.Line+1, 1
			continue
		}
		pos.Column++
	}
	return pos
}

func (m *Migrator) at(file string) fault.Position {
	return fault.Position{File: filepath.Join(m.source.Dir, filepath.FromSlash(file))}
}

// line is the text at a position, "" where it cannot be read.
func line(p fault.Position) string {
	raw, err := os.ReadFile(p.File)
	lines := strings.Split(string(raw), "\n")
	if err != nil || p.Line < 1 || p.Line > len(lines) {
		return ""
	}
	return strings.TrimRight(lines[p.Line-1], "\r")
}

// literal is a text in SQL, which may be somebody's password or name.
var literal = lazyregexp.New(`[Ee]?'(?:[^']|'')*'`)

// brief is the beginning of a statement on one line, without its texts.
func brief(sql string) string {
	const width = 72
	s := literal().ReplaceAllString(normalise(sql), "'…'")
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}
