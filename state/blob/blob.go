// Package blob is a state driver on anything that stores objects under keys
// and can refuse a key that is taken: one object per entry, one per snapshot.
// Nothing rests on a conditional overwrite or delete, on the order of a
// listing, or on clocks. What stores the objects is a [Bucket]; the
// sub-packages make them.
package blob

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
)

// Bucket stores objects. It is safe for concurrent use. Errors that pass match
// [state.ErrUnavailable].
type Bucket interface {
	// Create stores an object, durably and whole, under a key that must be
	// free, else the error matches [ErrExists].
	Create(ctx context.Context, key string, data []byte) error
	// Get returns an object; the error for none matches [ErrNotFound].
	Get(ctx context.Context, key string) ([]byte, error)
	// List yields the last parts of the keys directly below a prefix, which
	// ends in a slash, in any order.
	List(ctx context.Context, prefix string) iter.Seq2[string, error]
	// Delete removes an object; that there is none is a success.
	Delete(ctx context.Context, key string) error
	Close() error
}

// What a bucket answers, besides faults.
var (
	ErrExists   = errors.New("the key is taken")
	ErrNotFound = errors.New("there is no such object")
)

// late is how old knowledge of the log may be when an append rests on it. An
// append that took longer looks again afterwards: the log may have been
// condensed or wiped meanwhile, which frees the key that it took.
const late = 2 * time.Second

// Open opens the log of an environment below a prefix of a bucket; env is any
// name that is unique below the prefix. The driver closes the bucket.
func Open(b Bucket, prefix, env string) (state.Driver, error) {
	dir, err := directory(prefix, env)
	if err != nil {
		return nil, err
	}
	return &driver{bucket: b, dir: dir, now: time.Now}, nil
}

type driver struct {
	bucket Bucket
	dir    string // ends in a slash
	now    func() time.Time

	mu     sync.Mutex
	probed bool
	// last is a number known to be the log's end at a time.
	last   uint64
	lastAt time.Time
}

// Append implements state.Driver.
func (d *driver) Append(ctx context.Context, seq uint64, entry []byte) error {
	if seq == 0 {
		return state.ErrConflict
	}
	if err := d.probe(ctx); err != nil {
		return err
	}
	known, at := d.known()
	if known != seq-1 || known == 0 || d.now().Sub(at) > late {
		at = d.now()
		if ok, err := d.follows(ctx, seq); err != nil || !ok {
			return orConflict(err)
		}
	}
	if err := d.bucket.Create(ctx, d.entryKey(seq), entry); errors.Is(err, ErrExists) {
		return state.ErrConflict
	} else if err != nil {
		return err
	}
	if d.now().Sub(at) > late {
		if ok, err := d.follows(ctx, seq); err != nil || !ok {
			return orConflict(errors.Join(err, d.bucket.Delete(ctx, d.entryKey(seq))))
		}
	}
	d.learn(seq)
	return nil
}

func orConflict(err error) error {
	if err != nil {
		return err
	}
	return state.ErrConflict
}

func (d *driver) known() (uint64, time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last, d.lastAt
}

func (d *driver) learn(last uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last, d.lastAt = last, d.now()
}

// follows tells whether seq is one more than what is there, whether or not it
// is there itself.
func (d *driver) follows(ctx context.Context, seq uint64) (bool, error) {
	if err := d.finishWipe(ctx); err != nil {
		return false, err
	}
	floor, err := d.floor(ctx)
	if err != nil {
		return false, err
	}
	if seq <= floor || seq == floor+1 {
		return seq == floor+1, nil
	}
	_, err = d.bucket.Get(ctx, d.entryKey(seq-1))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// probe refuses a store that would overwrite: on it two writers would both
// believe that they have the lease. An object that stays is created again.
func (d *driver) probe(ctx context.Context) error {
	d.mu.Lock()
	probed := d.probed
	d.mu.Unlock()
	if probed {
		return nil
	}
	err := d.bucket.Create(ctx, d.dir+probeName, []byte("wfctl"))
	if err == nil { // the first time: now it must be refused
		err = d.bucket.Create(ctx, d.dir+probeName, []byte("wfctl"))
	}
	switch {
	case err == nil:
		return fault.New(fault.State, "the object store of the state overwrites an object that it was asked not to overwrite").
			WithHint("it ignores If-None-Match, so two runs at once could not be told apart: use another store or the backend postgres, or give the backend s3 a `lease: {postgres: {url: …}}`")
	case !errors.Is(err, ErrExists):
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.probed = true
	return nil
}

// Compact implements state.Driver.
func (d *driver) Compact(ctx context.Context, through uint64, snapshot []byte) error {
	if err := d.probe(ctx); err != nil {
		return err
	}
	floor, err := d.floor(ctx)
	if err != nil || floor >= through {
		return err
	}
	if err := d.bucket.Create(ctx, d.snapshotKey(through), snapshot); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	// What the snapshot covers is ignored from here on, so it may go in any order.
	drop, err := d.numbers(ctx, d.dir+entryDir)
	if err != nil {
		return err
	}
	keys := []string{}
	for _, seq := range drop {
		if seq <= through {
			keys = append(keys, d.entryKey(seq))
		}
	}
	older, err := d.numbers(ctx, d.dir+snapshotDir)
	if err != nil {
		return err
	}
	for _, seq := range older {
		if seq < through {
			keys = append(keys, d.snapshotKey(seq))
		}
	}
	return d.deleteAll(ctx, keys)
}

// Objects implements state.Driver.
func (d *driver) Objects(ctx context.Context) (int, error) {
	keys, err := d.all(ctx)
	return len(keys), err
}

// Wipe implements state.Driver. A marker says that it has begun, so that one
// that was interrupted is finished by the next command, and what is left
// meanwhile is not taken for a log.
func (d *driver) Wipe(ctx context.Context) (int, error) {
	keys, err := d.all(ctx)
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	if err := d.bucket.Create(ctx, d.dir+wipingName, nil); err != nil && !errors.Is(err, ErrExists) {
		return 0, err
	}
	if err := d.deleteAll(ctx, keys); err != nil {
		return 0, err
	}
	d.mu.Lock()
	d.last, d.probed = 0, false
	d.mu.Unlock()
	return len(keys), d.bucket.Delete(ctx, d.dir+wipingName)
}

// finishWipe does the rest of a wipe that was interrupted.
func (d *driver) finishWipe(ctx context.Context) error {
	wiping, err := d.wiping(ctx)
	if err != nil || !wiping {
		return err
	}
	keys, err := d.all(ctx)
	if err == nil {
		err = d.deleteAll(ctx, keys)
	}
	if err == nil {
		err = d.bucket.Delete(ctx, d.dir+wipingName)
	}
	return err
}

func (d *driver) wiping(ctx context.Context) (bool, error) {
	_, err := d.bucket.Get(ctx, d.dir+wipingName)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// all lists what the environment has here.
func (d *driver) all(ctx context.Context) ([]string, error) {
	entries, err := d.numbers(ctx, d.dir+entryDir)
	if err != nil {
		return nil, err
	}
	snapshots, err := d.numbers(ctx, d.dir+snapshotDir)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, seq := range entries {
		keys = append(keys, d.entryKey(seq))
	}
	for _, seq := range snapshots {
		keys = append(keys, d.snapshotKey(seq))
	}
	if _, err := d.bucket.Get(ctx, d.dir+probeName); err == nil {
		keys = append(keys, d.dir+probeName)
	} else if !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	return keys, nil
}

// parallel is how many requests are under way at once where order is no matter.
const parallel = 16

func (d *driver) deleteAll(ctx context.Context, keys []string) error {
	var wg sync.WaitGroup
	errs := make([]error, parallel)
	for w := range parallel {
		wg.Go(func() {
			for i := w; i < len(keys) && errs[w] == nil; i += parallel {
				errs[w] = d.bucket.Delete(ctx, keys[i])
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("remove an object: %w", err)
		}
	}
	return nil
}

// Close implements state.Driver.
func (d *driver) Close() error { return d.bucket.Close() }
