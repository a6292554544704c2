package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
)

// Beside opens the log of an environment in a store that may overwrite what it
// was asked not to: beside it, index gives out the numbers. Each entry is an
// object of a name that is used once; the index says which object has which
// number, so nothing is asked of the store but that it keeps what it is given.
// The driver closes both.
func Beside(b Bucket, prefix, env string, index state.Driver) (state.Driver, error) {
	dir, err := directory(prefix, env)
	if err != nil {
		return nil, err
	}
	return &beside{driver: &driver{bucket: b, dir: dir, now: time.Now}, index: index}, nil
}

type beside struct {
	*driver // for its bucket, names and removal
	index   state.Driver
}

// refMagic begins what the index holds in place of an entry.
const refMagic = "wfctl-object/1 "

// store puts an object under a name of its own and returns what names it.
func (d *beside) store(ctx context.Context, folder string, seq uint64, data []byte) (key string, ref []byte, err error) {
	var once [8]byte
	_, _ = rand.Read(once[:]) // never fails, by its documentation
	name := fmt.Sprintf("%0*d-%s", digits, seq, hex.EncodeToString(once[:]))
	key = d.dir + folder + name
	return key, []byte(refMagic + name), d.bucket.Create(ctx, key, data)
}

// Append implements state.Driver. The object is durable before its number is
// taken; one that gets no number is litter until the log is condensed.
func (d *beside) Append(ctx context.Context, seq uint64, entry []byte) error {
	if seq == 0 {
		return state.ErrConflict
	}
	began := d.now()
	key, ref, err := d.store(ctx, entryDir, seq, entry)
	if err != nil {
		return err
	}
	err = d.index.Append(ctx, seq, ref)
	if errors.Is(err, state.ErrConflict) {
		// Nothing refers to it: that it may stay does no harm.
		_ = d.bucket.Delete(ctx, key)
		return err
	}
	if err != nil || d.now().Sub(began) <= late {
		return err
	}
	// A wipe may have taken the object along before it had its number.
	if err := d.bucket.Create(ctx, key, entry); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	return nil
}

// Load implements state.Driver.
func (d *beside) Load(ctx context.Context, after uint64) iter.Seq2[state.Entry, error] {
	return func(yield func(state.Entry, error) bool) {
		for range maxRestarts {
			again, err := d.loadOnce(ctx, &after, yield)
			if err != nil {
				yield(state.Entry{}, err)
			}
			if !again || err != nil {
				return
			}
		}
		yield(state.Entry{}, fault.New(fault.State, "the state is damaged: the object of entry %d is missing from the store", after+1).
			WithHint("bring the object store back from a copy; what the state records exists"))
	}
}

// maxRestarts is how often a reader begins again when an object is gone: each
// time the log was condensed meanwhile.
const maxRestarts = 5

// loadOnce yields what the index names. again: an object was gone, and the
// index says otherwise by now.
func (d *beside) loadOnce(ctx context.Context, after *uint64, yield func(state.Entry, error) bool) (again bool, err error) {
	var refs []state.Entry
	var keys []string
	for e, err := range d.index.Load(ctx, *after) {
		if err != nil {
			return false, err
		}
		key, err := d.key(e)
		if err != nil {
			return false, err
		}
		refs, keys = append(refs, e), append(keys, key)
	}
	for f := range fetchAll(ctx, d.bucket, keys) {
		e := refs[f.n]
		switch {
		case errors.Is(f.err, ErrNotFound):
			return true, nil
		case f.err != nil:
			return false, f.err
		}
		e.Data = f.data
		if !yield(e, nil) {
			return false, nil
		}
		*after = e.Seq
	}
	return false, nil
}

// key is where the object of an entry of the index is.
func (d *beside) key(e state.Entry) (string, error) {
	name, ok := bytes.CutPrefix(e.Data, []byte(refMagic))
	if !ok || bytes.ContainsRune(name, '/') {
		return "", fault.New(fault.State, "the lease beside the object store holds something else: entry %d names no object", e.Seq).
			WithHint("give the lease a schema of its own")
	}
	folder := entryDir
	if e.Snapshot {
		folder = snapshotDir
	}
	return d.dir + folder + string(name), nil
}

// Compact implements state.Driver.
func (d *beside) Compact(ctx context.Context, through uint64, snapshot []byte) error {
	_, ref, err := d.store(ctx, snapshotDir, through, snapshot)
	if err == nil {
		err = d.index.Compact(ctx, through, ref)
	}
	if err != nil {
		return err
	}
	return d.tidy(ctx)
}

// tidy removes what the newest snapshot has made superfluous, and what never
// got a number.
func (d *beside) tidy(ctx context.Context) error {
	var current state.Entry
	for e, err := range d.index.Load(ctx, 0) {
		if err != nil {
			return err
		}
		current = e
		break
	}
	if !current.Snapshot {
		return nil
	}
	keep, err := d.key(current)
	if err != nil {
		return err
	}
	keys, err := d.objects(ctx)
	if err != nil {
		return err
	}
	var drop []string
	for _, key := range keys {
		if key != keep && seqOf(key) <= current.Seq {
			drop = append(drop, key)
		}
	}
	return d.deleteAll(ctx, drop)
}

// objects lists all that the environment has in the store.
func (d *beside) objects(ctx context.Context) ([]string, error) {
	var keys []string
	for _, folder := range []string{entryDir, snapshotDir} {
		for name, err := range d.bucket.List(ctx, d.dir+folder) {
			if err != nil {
				return nil, err
			}
			if seqOf(name) > 0 {
				keys = append(keys, d.dir+folder+name)
			}
		}
	}
	return keys, nil
}

// seqOf is the number in an object's name; 0 for what is not ours.
func seqOf(key string) (seq uint64) {
	name := key[strings.LastIndexByte(key, '/')+1:]
	number, once, ok := strings.Cut(name, "-")
	if !ok || len(number) != digits || len(once) != 16 {
		return 0
	}
	if _, err := fmt.Sscanf(number, "%d", &seq); err != nil {
		return 0
	}
	return seq
}

// Objects implements state.Driver.
func (d *beside) Objects(ctx context.Context) (int, error) {
	keys, err := d.objects(ctx)
	if err != nil {
		return 0, err
	}
	n, err := d.index.Objects(ctx)
	return n + len(keys), err
}

// Wipe implements state.Driver. The index goes first: what it names no more is
// no log, and a wipe that was interrupted is finished by the next.
func (d *beside) Wipe(ctx context.Context) (int, error) {
	keys, err := d.objects(ctx)
	if err != nil {
		return 0, err
	}
	n, err := d.index.Wipe(ctx)
	if err != nil {
		return 0, err
	}
	return n + len(keys), d.deleteAll(ctx, keys)
}

// Close implements state.Driver.
func (d *beside) Close() error { return errors.Join(d.bucket.Close(), d.index.Close()) }
