package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/pressly/goose/v3"
	gdb "github.com/pressly/goose/v3/database"

	"github.com/gocodealone/wfctl/fault"
)

// Options say what to migrate.
type Options struct {
	// URL is that of the database: sqlite:///path or postgres://…. It is
	// never shown.
	URL    string
	Source *Source
	// ReadOnly promises to write nothing, for Status and dry runs.
	ReadOnly bool
	// Table is goose's version table; "" is goose_db_version.
	Table string
	// LockTimeout is how long to wait for another migrator (5 minutes);
	// LeaseTime after how long one that died is taken over (30 seconds).
	LockTimeout, LeaseTime time.Duration
	// Holder names this process to one that waits for it.
	Holder string
	// Command is how hints write this program's commands; "" is
	// "wfctl migrations".
	Command  string
	Progress func(Event)
	Now      func() time.Time

	poll time.Duration
}

// Event is something that happened while migrating.
type Event struct {
	Version int64  `json:"version,omitempty"`
	Name    string `json:"name,omitempty"`
	// Statement counts from 1 up to Total; both are 0 for a message alone.
	Statement int    `json:"statement,omitempty"`
	Total     int    `json:"total,omitempty"`
	Message   string `json:"message"`
}

// Migrator migrates one database. It is not for concurrent use.
type Migrator struct {
	o      Options
	source *Source
	// db is nil for a SQLite database that is not there yet.
	db       *database
	store    gdb.Store
	provider *goose.Provider
	lease    *lease
	run      *run
}

// Result is what was done, or in a dry run would be.
type Result struct {
	From       int64  `json:"from"`
	To         int64  `json:"to"`
	Migrations []Step `json:"migrations"`
	DryRun     bool   `json:"dry_run,omitempty"`
}

// Step is one migration of a result.
type Step struct {
	Version    int64         `json:"version"`
	Name       string        `json:"name"`
	Statements int           `json:"statements"`
	Took       time.Duration `json:"took_ns"`
}

// Open connects. The caller closes the migrator.
func Open(ctx context.Context, o Options) (*Migrator, error) {
	o.setDefaults()
	m := &Migrator{o: o, source: o.Source}
	var err error
	m.db, err = connect(ctx, o.URL, o.ReadOnly, m.notice)
	if errors.Is(err, errAbsent) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	dialect := gdb.DialectSQLite3
	if m.db.dialect == goose.DialectPostgres {
		dialect = gdb.DialectPostgres
	}
	if m.store, err = gdb.NewStore(dialect, o.Table); err != nil {
		return nil, errors.Join(fault.Wrap(fault.Config, err, "the version table %q", o.Table), m.Close())
	}
	return m, nil
}

func (o *Options) setDefaults() {
	if o.Source == nil {
		o.Source = &Source{}
	}
	if o.Table == "" {
		o.Table = goose.DefaultTablename
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = 5 * time.Minute
	}
	if o.LeaseTime == 0 {
		o.LeaseTime = 30 * time.Second
	}
	if o.Holder == "" {
		name, _ := os.Hostname() // it only names
		o.Holder = fmt.Sprintf("wfctl on %s (pid %d)", name, os.Getpid())
	}
	if o.Command == "" {
		o.Command = "wfctl migrations"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.poll == 0 {
		o.poll = 200 * time.Millisecond
	}
}

// Close ends the connections.
func (m *Migrator) Close() error {
	if m.db == nil {
		return nil
	}
	return m.db.Close()
}

func (m *Migrator) emit(e Event) {
	if m.o.Progress != nil {
		m.o.Progress(e)
	}
}

func (m *Migrator) notice(message string) { m.emit(Event{Message: message}) }

// underLease runs f under the lease, with the tables made.
func (m *Migrator) underLease(ctx context.Context, f func(context.Context, *history) error) error {
	if m.o.ReadOnly {
		return fault.New(fault.Internal, "a migrator that only reads was asked to write")
	}
	if err := m.prepare(ctx); err != nil {
		return err
	}
	l, err := m.acquire(ctx)
	if err != nil {
		return err
	}
	defer l.release()
	m.lease = l
	if err := m.openGoose(l.lost); err != nil {
		return err
	}
	h, err := m.history(l.lost)
	if err != nil {
		return err
	}
	err = f(l.lost, h)
	if cause := context.Cause(l.lost); errors.Is(cause, errLeaseLost) {
		return fault.Wrap(fault.Locked, cause, "migrate %s", m.db.where).WithHint("run it again")
	}
	return err
}

// openGoose gives goose the migrations as functions that report statement by
// statement.
func (m *Migrator) openGoose(ctx context.Context) error {
	if len(m.source.Migrations) == 0 {
		return nil
	}
	var list []*goose.Migration
	for _, mig := range m.source.Migrations {
		list = append(list, goose.NewGoMigration(mig.Version, m.gooseFunc(&mig.Up), m.gooseFunc(mig.Down)))
	}
	var err error
	m.provider, err = goose.NewProvider(m.db.dialect, m.db.DB, nil,
		goose.WithGoMigrations(list...), goose.WithDisableGlobalRegistry(true), goose.WithTableName(m.o.Table), goose.WithAllowOutofOrder(true))
	if err == nil {
		_, err = m.provider.GetDBVersion(ctx) // makes the table
	}
	if err != nil {
		return fault.Wrap(fault.Environment, m.db.clean(err), "prepare the migrations of %s", m.db.where)
	}
	return nil
}

func (m *Migrator) gooseFunc(s *Script) *goose.GoFunc {
	switch {
	case s == nil:
		return nil
	case s.NoTransaction:
		return &goose.GoFunc{Mode: goose.TransactionDisabled, RunDB: func(ctx context.Context, db *sql.DB) error { return m.run.alone(ctx, db) }}
	}
	return &goose.GoFunc{Mode: goose.TransactionEnabled, RunTx: func(ctx context.Context, tx *sql.Tx) error { return m.run.inTransaction(ctx, tx) }}
}

// UpOptions say how far to go.
type UpOptions struct {
	// To is the last version to apply; 0 is all.
	To int64
	// AllowOutOfOrder applies a version below one that is applied already.
	AllowOutOfOrder bool
	// DryRun tells what would be done, and writes nothing.
	DryRun bool
}

// Up applies what is pending, in order.
func (m *Migrator) Up(ctx context.Context, o UpOptions) (*Result, error) {
	res := &Result{DryRun: o.DryRun}
	if o.DryRun {
		h, err := m.history(ctx)
		if err != nil {
			return nil, err
		}
		return res, m.planUp(res, h, o)
	}
	err := m.underLease(ctx, func(ctx context.Context, h *history) error {
		if err := m.settle(ctx, h); err != nil {
			return err
		}
		return m.up(ctx, res, h, o)
	})
	return res, err
}

func (m *Migrator) planUp(res *Result, h *history, o UpOptions) error {
	res.From = h.current()
	res.To = res.From
	if err := m.check(h, o.AllowOutOfOrder); err != nil {
		return err
	}
	for _, mig := range m.pending(h, o.To) {
		res.Migrations = append(res.Migrations, Step{Version: mig.Version, Name: mig.Name, Statements: len(mig.Up.Statements)})
		res.To = max(res.To, mig.Version)
	}
	return nil
}

func (m *Migrator) up(ctx context.Context, res *Result, h *history, o UpOptions) error {
	res.From = h.current()
	res.To = res.From
	if err := m.check(h, o.AllowOutOfOrder); err != nil {
		return err
	}
	for _, mig := range m.pending(h, o.To) {
		began := m.o.Now()
		err := m.apply(ctx, mig, &mig.Up, 0)
		if errors.Is(err, errTaken) {
			continue // another migrator has just done it
		}
		if err != nil {
			return err
		}
		res.To = max(res.To, mig.Version)
		res.Migrations = append(res.Migrations, Step{mig.Version, mig.Name, len(mig.Up.Statements), m.o.Now().Sub(began)})
	}
	return nil
}

// pending lists what is not applied, up to a version.
func (m *Migrator) pending(h *history, to int64) []*Migration {
	var list []*Migration
	for i := range m.source.Migrations {
		mig := &m.source.Migrations[i]
		if !h.applied[mig.Version] && (to == 0 || mig.Version <= to) {
			list = append(list, mig)
		}
	}
	return list
}

// DownOptions say how far to go back.
type DownOptions struct {
	// Steps is how many migrations to undo; 0 is one. To, where it is not
	// nil, is the version to go back to instead.
	Steps  int
	To     *int64
	DryRun bool
}

// Down undoes the newest migrations.
func (m *Migrator) Down(ctx context.Context, o DownOptions) (*Result, error) {
	res := &Result{DryRun: o.DryRun}
	if o.DryRun {
		h, err := m.history(ctx)
		if err != nil {
			return nil, err
		}
		return res, m.down(ctx, res, h, o)
	}
	err := m.underLease(ctx, func(ctx context.Context, h *history) error {
		if err := m.settle(ctx, h); err != nil {
			return err
		}
		return m.down(ctx, res, h, o)
	})
	return res, err
}

func (m *Migrator) down(ctx context.Context, res *Result, h *history, o DownOptions) error {
	res.From = h.current()
	res.To = res.From
	if err := m.checkDirty(h); err != nil {
		return err
	}
	list, err := m.undoable(h, o)
	if err != nil {
		return err
	}
	for _, mig := range list {
		began := m.o.Now()
		if !o.DryRun {
			if err := m.apply(ctx, mig, mig.Down, 0); err != nil {
				return err
			}
		}
		delete(h.applied, mig.Version)
		res.To = h.current()
		res.Migrations = append(res.Migrations, Step{mig.Version, mig.Name, len(mig.Down.Statements), m.o.Now().Sub(began)})
	}
	return nil
}

// undoable lists what to undo, the newest first; all of it must have a Down
// before anything is undone.
func (m *Migrator) undoable(h *history, o DownOptions) ([]*Migration, error) {
	versions := make([]int64, 0, len(h.applied))
	for v := range h.applied {
		versions = append(versions, v)
	}
	slices.Sort(versions)
	slices.Reverse(versions)
	steps := max(o.Steps, 1)
	var list []*Migration
	for i, v := range versions {
		if o.To != nil && v <= *o.To || o.To == nil && i >= steps {
			break
		}
		mig := m.source.find(v)
		switch {
		case mig == nil:
			return nil, fault.New(fault.NotFound, "version %d is applied and has no file in %s", v, m.source.Dir).WithHint("get the file back from the history of the repository")
		case mig.Down == nil:
			return nil, fault.New(fault.Config, "migration %d (%s) has no way back", v, mig.Name).At(m.at(mig.Up.File)).
				WithHint("add a Down part, or write a new migration that undoes it")
		}
		list = append(list, mig)
	}
	return list, nil
}
