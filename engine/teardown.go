package engine

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/apply"
	"github.com/gocodealone/wfctl/event"
	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/plan"
	"github.com/gocodealone/wfctl/sdk"
	"github.com/gocodealone/wfctl/state"
)

// TeardownOptions say what goes, and how.
type TeardownOptions struct {
	Command string
	// Orphans adds what is the environment's and in no configuration.
	Orphans bool
	// Look only shows: nothing is written and no lease is taken.
	Look bool
	// LockWait is how long to wait for another's lease.
	LockWait time.Duration
	// InUse is how long what others use is tried again.
	InUse time.Duration
}

// Teardown is the removal of what an environment has, whether or not its
// record can be used.
type Teardown struct {
	project *Project
	o       TeardownOptions
	plan    *plan.Teardown
	// work holds the state; nil where it cannot be used, and trouble says why.
	work    *Work
	trouble error
	// moved: the state says that it lives elsewhere now.
	moved  bool
	finder *finder
	// troubles are what kept a type or a provider from being listed.
	troubles []error
}

// Teardown looks at the state, takes its lease where it can, and finds out
// what the environment has. The caller ends it.
func (p *Project) Teardown(ctx context.Context, o TeardownOptions) (t *Teardown, err error) {
	t = &Teardown{project: p, o: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.End(ctx))
		}
	}()
	if err := t.open(ctx); err != nil {
		return t, err
	}
	t.plan, err = t.find(ctx)
	return t, err
}

// Plan is what would be done.
func (t *Teardown) Plan() *plan.Teardown { return t.plan }

// Troubles are what kept a source of orphans from being asked, each cause once.
func (t *Teardown) Troubles() []error { return t.troubles }

// End gives the lease back and closes the state.
func (t *Teardown) End(ctx context.Context) error {
	if t.work == nil {
		return nil
	}
	return t.work.End(ctx)
}

// open opens the state. One that is lost, damaged or of another version does
// not stop a teardown; one that somebody else is changing does, and so does a
// mistake in how it is configured.
func (t *Teardown) open(ctx context.Context) error {
	work, err := t.project.Look(ctx)
	if err != nil {
		if c := fault.CodeOf(err); ctx.Err() != nil || c == fault.Config || c == fault.Usage || c == fault.Locked {
			return err
		}
		t.trouble = err
		return nil
	}
	t.work, work.command = work, t.o.Command
	if to := work.log.View().MovedTo; to != "" {
		t.trouble = fault.New(fault.State, "this state has moved to %s", to).WithHint("name the new backend in the module iac.state")
		t.work, t.moved = nil, true
		return work.End(ctx)
	}
	if t.o.Look || work.log.View().Seq == 0 {
		return nil // a state that is empty is begun only when something is done
	}
	return t.hold(ctx)
}

// hold takes the lease.
func (t *Teardown) hold(ctx context.Context) (err error) {
	w := t.work
	w.session, err = w.log.Lock(ctx, w.project.holder(w.command), state.LockOptions{Wait: t.o.LockWait, NewKey: w.log.CheckKey() != nil})
	if err != nil {
		return err
	}
	for _, p := range w.log.View().Pending {
		if now := t.project.options.Now(); !p.Over && now.Before(p.Deadline) {
			return fault.New(fault.Locked, "an earlier run may still be busy with %q until %s", p.Address, p.Deadline.Format(time.RFC3339)).
				WithHint("wait until then, or make sure that its process has ended; then run this again")
		}
	}
	return nil
}

// find asks the platforms.
func (t *Teardown) find(ctx context.Context) (*plan.Teardown, error) {
	view, fingerprint := &state.View{}, processKey()
	if t.work != nil {
		view, fingerprint = t.work.log.View(), t.work.log.Fingerprint
	}
	t.finder = newFinder(t.project, view, fingerprint)
	t.finder.named(ctx)
	t.finder.orphans(ctx)
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(fault.Interrupted, err, "interrupted while looking; nothing was changed")
	}
	for i := range t.finder.found {
		f := &t.finder.found[i]
		if f.Orphan && f.Fate == plan.Doomed && !t.o.Orphans {
			f.Fate, f.Reason = plan.Left, "--include-orphans adds it"
		}
	}
	t.troubles = t.finder.told()
	td, err := plan.BuildTeardown(plan.TeardownInput{Environment: t.project.Environment(), Found: t.finder.found, Catalog: t.project.pool})
	if err != nil {
		return nil, err
	}
	markAgain(td.Found)
	td.State, err = t.stateFate(ctx, td.Remains())
	return td, err
}

// processKey makes fingerprints where no state has a key: they only tell
// values apart while this process runs.
func processKey() func([]byte) string {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails, by its documentation
	return func(value []byte) string {
		m := hmac.New(sha256.New, key[:])
		m.Write(value)
		return "h0:" + hex.EncodeToString(m.Sum(nil))
	}
}

// Matches tells whether a hash that was approved is of what would be done now;
// the first dozen of its digits are enough.
func (t *Teardown) Matches(hash string) error {
	const enough = 12
	if hash == "" || len(hash) >= enough && strings.HasPrefix(t.plan.Hash, strings.ToLower(hash)) {
		return nil
	}
	return fault.New(fault.Refused, "what is there now is not what was approved: the hash is %s, not %s", t.plan.Hash, hash).
		WithHint("nothing was changed. Run with --dry-run first, and approve what it shows")
}

// Torn is how a teardown ended.
type Torn struct {
	Discovered int `json:"discovered"`
	Modules    int `json:"modules"`
	Destroyed  int `json:"destroyed"`
	Skipped    int `json:"skipped"`
	Errors     int `json:"errors"`
	// Incomplete is how many could not be looked for: there may be more.
	Incomplete int `json:"incomplete,omitempty"`
	Wiped      int `json:"state_objects_wiped"`
	// Remaining says what is left, and why.
	Remaining []string `json:"remaining"`
	// Failures are the errors.
	Failures []error `json:"-"`
}

// Torn is what can be said before anything was done.
func (t *Teardown) Torn() *Torn {
	torn := &Torn{Remaining: []string{}, Incomplete: t.plan.Count(plan.Unread) + len(t.troubles)}
	torn.Errors = torn.Incomplete
	torn.Discovered, torn.Modules = t.plan.Discovered()
	for _, f := range t.plan.Found {
		switch f.Fate {
		case plan.Doomed:
			continue
		case plan.Unread:
			if !f.Again {
				torn.Failures = append(torn.Failures, t.unlooked(f))
			}
		default:
			torn.Skipped++
		}
		if f.Fate != plan.Missing && (f.Fate != plan.Foreign || f.Recorded) {
			torn.Remaining = append(torn.Remaining, describe(f)+": "+f.Why())
		}
	}
	torn.Failures = append(torn.Failures, t.troubles...)
	return torn
}

// unlooked is the error of what could not be asked for, and of those that have
// the same cause.
func (t *Teardown) unlooked(f plan.Found) error {
	err := fault.Wrap(fault.Provider, f.Err, "%s %q could not be looked for", f.Record.Type, f.Record.Address).At(t.position(f))
	for _, other := range t.plan.Found {
		if other.Again && other.Record.Provider == f.Record.Provider && alike(other.Err, f.Err) {
			err = err.WithDetail(fmt.Sprintf("nor could %s %q, for the same reason", other.Record.Type, other.Record.Address))
		}
	}
	var e *sdk.Error
	if errors.As(f.Err, &e) && e.Hint != "" {
		err = err.WithHint("%s", e.Hint)
	}
	return err
}

func (t *Teardown) position(f plan.Found) (pos fault.Position) {
	if d, ok := t.project.Set.Node(f.Record.Address); ok {
		pos = d.Pos()
	}
	return pos
}

func describe(f plan.Found) string { return f.Record.Type + " " + f.Record.Name }

// CarryOut removes what the plan says, and the state when nothing is left. An
// error does not stop the rest. Closing stop lets what runs finish.
func (t *Teardown) CarryOut(ctx context.Context, stop <-chan struct{}) (*Torn, error) {
	p := t.project
	if t.work != nil && t.work.session == nil {
		if err := t.hold(ctx); err != nil {
			return t.Torn(), err
		}
	}
	started := p.options.Now()
	p.events.Emit(p.opening(t.o.Command, started))
	p.events.Emit(event.PlanReady{Hash: t.plan.Hash, Counts: t.plan.Counts()})
	summary, err := apply.Run(ctx, t.applyOptions(stop))
	torn := t.tally(summary)
	if fault.CodeOf(err) != fault.Interrupted {
		err = t.wipe(ctx, torn)
	}
	over := event.RunFinished{Run: p.Run, Done: summary.Done, Failed: torn.Errors, Skipped: summary.Skipped, At: p.options.Now()}
	over.Took = over.At.Sub(started)
	if err != nil {
		over.Error = err.Error()
	}
	p.events.Emit(over)
	return torn, err
}

func (t *Teardown) applyOptions(stop <-chan struct{}) apply.Options {
	p := t.project
	o := apply.Options{
		Run: p.Run, Plan: t.plan.Plan, Journal: apply.NoJournal{}, Providers: p.pool, Events: p.events, Parallelism: p.options.Parallelism,
		Fingerprint: t.finder.fingerprint, Now: p.options.Now, Sleep: p.options.Sleep, Stop: stop, Config: p.inputOf, KeepGoing: true, InUse: t.o.InUse,
	}
	for _, f := range t.plan.Found {
		if f.Fate == plan.Doomed || f.Fate == plan.Kept {
			o.Records = append(o.Records, f.Record)
		}
	}
	if t.work != nil {
		o.Journal = t.work.session
	}
	return o
}

// tally counts what was done.
func (t *Teardown) tally(s *apply.Summary) *Torn {
	torn := t.Torn()
	for _, n := range s.Nodes {
		if n.Action != plan.ActionDelete {
			continue
		}
		what := string(n.Address)
		if c := t.plan.Change(n.Key); c != nil {
			what = c.Type() + " " + c.Name()
		}
		switch n.Outcome {
		case event.Done:
			torn.Destroyed++
		case event.Failed:
			torn.Errors++
			torn.Failures = append(torn.Failures, n.Err)
			torn.Remaining = append(torn.Remaining, what+": "+firstLine(n.Err))
		default:
			torn.Skipped++
			torn.Remaining = append(torn.Remaining, what+": not started")
		}
	}
	return torn
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// wipe removes the state when nothing is left, and tells what is.
func (t *Teardown) wipe(ctx context.Context, torn *Torn) error {
	if len(torn.Remaining) == 0 && torn.Errors == 0 {
		n, err := t.wipeState(ctx)
		torn.Wiped = min(n, t.plan.State.Objects) // without what this run wrote itself
		if err != nil {
			torn.Errors++
			torn.Failures = append(torn.Failures, err)
			torn.Remaining = append(torn.Remaining, "the state at "+t.plan.State.Place+": "+firstLine(err))
		}
	}
	return torn.Err(t.project.Environment().Name())
}

// Err is the failure of a teardown that leaves something.
func (torn *Torn) Err(env string) error {
	if len(torn.Remaining) == 0 && torn.Errors == 0 {
		return nil
	}
	if len(torn.Remaining) == 0 && torn.Incomplete > 0 {
		return fault.New(fault.Partial, "something of %q may be left: the look was not complete", env).
			WithHint("the state is kept. Mend the cause and run this again: what is gone is skipped")
	}
	return fault.New(fault.Partial, "something of %q is left", env).WithDetail(torn.Remaining...).
		WithHint("mend the cause and run this again: what is gone is skipped")
}
