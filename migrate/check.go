package migrate

import (
	"context"
	"fmt"
	"strings"

	gdb "github.com/pressly/goose/v3/database"

	"github.com/gocodealone/wfctl/fault"
)

// check finds what makes it wrong to go on.
func (m *Migrator) check(h *history, allowOutOfOrder bool) error {
	if err := m.checkDirty(h); err != nil {
		return err
	}
	var faults fault.List
	for _, mig := range m.source.Migrations {
		r, recorded := h.records[mig.Version]
		switch {
		case h.applied[mig.Version] && recorded && r.hash != mig.Hash:
			faults = append(faults, fault.New(fault.Integrity, "migration %d (%s) was changed after it was applied", mig.Version, mig.Name).At(m.at(mig.Up.File)).
				WithHint("put the old text back and write a new migration; where the change means nothing, `%s repair %d --as accepted`", m.o.Command, mig.Version))
		case !h.applied[mig.Version] && mig.Version < h.current() && !allowOutOfOrder:
			faults = append(faults, fault.New(fault.Config, "migration %d (%s) comes before version %d, which is applied", mig.Version, mig.Name, h.current()).At(m.at(mig.Up.File)).
				WithHint("give it a higher version, or allow it with --allow-out-of-order"))
		}
	}
	return faults.Err()
}

// checkDirty refuses to go on where a migration stopped halfway.
func (m *Migrator) checkDirty(h *history) error {
	var faults fault.List
	for _, r := range h.records {
		if !r.dirty() || r.done >= r.total {
			continue
		}
		f := fault.New(fault.State, "migration %d (%s) stopped at statement %d of %d", r.version, r.name, r.done+1, r.total)
		if r.error != "" {
			f.Message += ": " + r.error
		}
		if mig := m.source.find(r.version); mig != nil {
			script := &mig.Up
			if r.direction == "down" && mig.Down != nil {
				script = mig.Down
			}
			if r.done < len(script.Statements) {
				f.Pos = m.at(script.File)
				f.Pos.Line, f.Pos.Column = script.Statements[r.done].Line, script.Statements[r.done].Column
			}
		}
		faults = append(faults, f.WithHint("%s", m.repairHint(r.version)))
	}
	return faults.Err()
}

// settle brings the records up to date with goose's table: the history of
// golang-migrate, versions that goose itself applied, and migrations whose
// last statement was done when the process died.
func (m *Migrator) settle(ctx context.Context, h *history) error {
	if err := m.adopt(ctx, h); err != nil {
		return err
	}
	for i := range m.source.Migrations {
		mig := &m.source.Migrations[i]
		r, recorded := h.records[mig.Version]
		var err error
		switch {
		case !recorded && h.applied[mig.Version]:
			err = m.mark(ctx, *mig, "before wfctl")
			h.records[mig.Version] = record{version: mig.Version, hash: mig.Hash, state: stateApplied}
		case recorded && r.dirty() && r.done >= r.total:
			err = m.finish(ctx, h, mig, r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// finish closes a migration of which every statement is done.
func (m *Migrator) finish(ctx context.Context, h *history, mig *Migration, r record) error {
	script := &mig.Up
	if r.direction == "down" {
		script = mig.Down
	}
	if script == nil {
		return nil
	}
	if h.applied[mig.Version] == (r.direction == "up") { // goose's table says so already
		return (&run{m: m, mig: mig, script: script, up: r.direction == "up"}).close(ctx)
	}
	if err := m.apply(ctx, mig, script, len(script.Statements)); err != nil {
		return err
	}
	h.applied[mig.Version] = r.direction == "up"
	if r.direction == "down" {
		delete(h.applied, mig.Version)
		delete(h.records, mig.Version)
		return nil
	}
	h.records[mig.Version] = record{version: mig.Version, hash: mig.Hash, state: stateApplied}
	return nil
}

// mark records a migration as applied without running it.
func (m *Migrator) mark(ctx context.Context, mig Migration, why string) error {
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return m.markFailed(mig, err)
	}
	defer func() { _ = tx.Rollback() }() // nothing after a commit
	_, err = m.store.GetMigration(ctx, tx, mig.Version)
	if err != nil {
		err = m.store.Insert(ctx, tx, gdb.InsertRequest{Version: mig.Version})
	}
	if err == nil {
		err = m.db.save(ctx, tx, record{
			version: mig.Version, name: mig.Name, hash: mig.Hash, state: stateApplied, direction: "up",
			done: len(mig.Up.Statements), total: len(mig.Up.Statements), inTransaction: !mig.Up.NoTransaction,
			error: "", started: why, finish: stamp(m.o.Now()),
		})
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return m.markFailed(mig, err)
	}
	return nil
}

func (m *Migrator) markFailed(mig Migration, err error) error {
	return fault.Wrap(fault.Environment, m.db.clean(err), "record migration %d of %s", mig.Version, m.db.where)
}

// RepairAction says what to do with a migration that is not as it should be.
type RepairAction string

// The repairs.
const (
	// RepairResume goes on with the statement that failed.
	RepairResume RepairAction = "resume"
	// RepairApplied takes the migration as done: somebody finished it by hand.
	RepairApplied RepairAction = "applied"
	// RepairPending takes it as never begun: somebody undid it by hand.
	RepairPending RepairAction = "pending"
	// RepairAccepted takes the changed text of an applied migration as the
	// one that was applied.
	RepairAccepted RepairAction = "accepted"
)

// Repair settles one migration by hand.
func (m *Migrator) Repair(ctx context.Context, version int64, action RepairAction) error {
	mig := m.source.find(version)
	if mig == nil && action == RepairPending {
		mig = &Migration{Version: version} // its file is gone: it can only be forgotten
		return m.underLease(ctx, func(ctx context.Context, h *history) error {
			if r, recorded := h.records[version]; !recorded || !r.dirty() {
				return m.noMigration(version)
			}
			return m.unmark(ctx, *mig)
		})
	}
	if mig == nil {
		return m.noMigration(version)
	}
	return m.underLease(ctx, func(ctx context.Context, h *history) error {
		r, recorded := h.records[version]
		dirty := recorded && r.dirty()
		switch action {
		case RepairResume:
			if !dirty {
				return m.nothingToRepair(version, "did not stop halfway")
			}
			return m.resume(ctx, mig, r)
		case RepairApplied:
			return m.mark(ctx, *mig, "by repair")
		case RepairPending:
			return m.unmark(ctx, *mig)
		case RepairAccepted:
			if !h.applied[version] || dirty {
				return m.nothingToRepair(version, "is not applied")
			}
			return m.mark(ctx, *mig, "by repair")
		}
		return fault.New(fault.Usage, "there is no repair %q", action).WithHint("take one of resume, applied, pending, accepted")
	})
}

func (m *Migrator) noMigration(version int64) error {
	return fault.New(fault.NotFound, "there is no migration %d in %s", version, m.source.Dir).
		WithHint("`%s status` lists them; one that stopped and whose file is gone is forgotten with --as pending", m.o.Command)
}

func (m *Migrator) nothingToRepair(version int64, why string) error {
	return fault.New(fault.Refused, "migration %d %s", version, why).WithHint("`%s status` says how each stands", m.o.Command)
}

// resume goes on with the statement that failed. The part that is done must
// be in the file as it was.
func (m *Migrator) resume(ctx context.Context, mig *Migration, r record) error {
	script := &mig.Up
	if r.direction == "down" {
		script = mig.Down
	}
	if script == nil || r.done > len(script.Statements) {
		return fault.New(fault.Config, "migration %d has fewer statements than were done already (%d)", mig.Version, r.done).At(m.at(mig.Up.File)).
			WithHint("put the statements that were done back, in their order")
	}
	if !script.NoTransaction {
		return fault.New(fault.Config, "migration %d now runs in a transaction and cannot go on from its middle", mig.Version).At(m.at(mig.Up.File)).
			WithHint("put `-- +goose NO TRANSACTION` back")
	}
	if strings.HasPrefix(r.hash, partPrefix) && r.hash != script.part(r.done) {
		return fault.New(fault.Config, "the first %d statements of migration %d, which are done, are not as they were", r.done, mig.Version).At(m.at(script.File)).
			WithHint("put them back as they were; what is to be done besides goes behind them, or into another migration")
	}
	return m.apply(ctx, mig, script, r.done)
}

// unmark forgets a migration.
func (m *Migrator) unmark(ctx context.Context, mig Migration) error {
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return m.markFailed(mig, err)
	}
	defer func() { _ = tx.Rollback() }() // nothing after a commit
	if err = m.store.Delete(ctx, tx, mig.Version); err == nil {
		err = m.db.forget(ctx, tx, mig.Version)
	}
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		return m.markFailed(mig, err)
	}
	return nil
}

// State says how a migration stands in a database.
type State string

// The states of a migration.
const (
	Applied    State = "applied"
	Pending    State = "pending"
	OutOfOrder State = "out of order" // pending below an applied one
	Changed    State = "changed"      // applied, and its file is another now
	Missing    State = "missing"      // applied, and it has no file
	Failed     State = "failed"       // tried, and nothing of it kept
	Dirty      State = "dirty"        // stopped halfway
)

// Standing is one migration in a status.
type Standing struct {
	Version int64  `json:"version"`
	Name    string `json:"name"`
	State   State  `json:"state"`
	// At is when it was applied or tried, RFC 3339; "" where unknown.
	At string `json:"at,omitempty"`
	// Done of Total statements were executed when it stopped.
	Done  int    `json:"done,omitempty"`
	Total int    `json:"total,omitempty"`
	Error string `json:"error,omitempty"`
}

// Status is how a database stands.
type Status struct {
	Database   string     `json:"database"`
	Current    int64      `json:"current"`
	Latest     int64      `json:"latest"`
	Pending    int        `json:"pending"`
	Migrations []Standing `json:"migrations"`
}

// Clean tells whether every migration is applied as its file says.
func (s *Status) Clean() bool {
	for _, st := range s.Migrations {
		if st.State != Applied {
			return false
		}
	}
	return true
}

// Status reads how the database stands. It writes nothing.
func (m *Migrator) Status(ctx context.Context) (*Status, error) {
	h, err := m.history(ctx)
	if err != nil {
		return nil, err
	}
	s := &Status{Current: h.current(), Latest: m.source.Latest(), Database: "a SQLite database that does not exist yet"}
	if m.db != nil {
		s.Database = m.db.where
	}
	seen := map[int64]bool{}
	for _, mig := range m.source.Migrations {
		seen[mig.Version] = true
		st := m.standing(h, mig)
		if st.State != Applied && st.State != Changed {
			s.Pending++
		}
		s.Migrations = append(s.Migrations, st)
	}
	for v, r := range h.records {
		if !seen[v] && !h.applied[v] && r.dirty() {
			s.Pending++
			s.Migrations = append(s.Migrations, Standing{Version: v, Name: r.name, State: Dirty, At: r.finish, Error: r.error, Done: r.done, Total: r.total})
		}
	}
	for v := range h.applied {
		if !seen[v] {
			s.Migrations = append(s.Migrations, Standing{Version: v, Name: h.records[v].name, State: Missing, At: h.records[v].finish})
		}
	}
	sortStandings(s.Migrations)
	return s, nil
}

func (m *Migrator) standing(h *history, mig Migration) Standing {
	r, recorded := h.records[mig.Version]
	st := Standing{Version: mig.Version, Name: mig.Name, State: Pending, At: r.finish, Error: r.error, Total: len(mig.Up.Statements)}
	switch {
	case recorded && r.dirty():
		st.State, st.Done, st.Total = Dirty, r.done, r.total
	case h.applied[mig.Version] && recorded && r.hash != mig.Hash:
		st.State = Changed
	case h.applied[mig.Version]:
		st.State, st.Done, st.Error = Applied, st.Total, ""
	case recorded && r.state == stateFailed:
		st.State, st.Done, st.Total = Failed, r.done, r.total
	case mig.Version < h.current():
		st.State = OutOfOrder
	}
	return st
}

// String is one line of a listing.
func (st Standing) String() string {
	line := fmt.Sprintf("%d %s: %s", st.Version, st.Name, st.State)
	if st.State == Dirty {
		line += fmt.Sprintf(" at statement %d of %d", min(st.Done+1, st.Total), st.Total)
	}
	if st.State == Dirty && st.Error != "" {
		line += ": " + st.Error
	}
	return line
}
