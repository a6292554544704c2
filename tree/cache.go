package tree

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/gocodealone/wfctl/fault"
)

// Cache keeps the trees that a machine fetched in one folder, which any number
// of processes share. In that folder are
//
//	sha256-HEX          a tree
//	sha256-HEX.lock     locked for as long as anybody uses the tree; its time is when that was last so
//	sha256-HEX.fetch-*  a tree on its way
//	gone                what is being removed
//	lock                held for the moment in which another lock is taken or removed
//
// The locks are the operating system's, so those of a process that dies end with it.
type Cache struct {
	Dir  string
	Keys authn.Keychain
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// The folder for what goes, and the endings of what belongs to a tree.
const (
	goneDir  = "gone"
	lockEnd  = ".lock"
	fetchEnd = ".fetch-"
)

// lockPoll is how often a lock is tried that another process has for a moment.
const lockPoll = 5 * time.Millisecond

// Tree is a working tree in use: it stays where it is until it is closed.
type Tree struct {
	Dir   string
	close func() error
}

// Close tells that the tree is not used any more. To close twice is no error.
func (t *Tree) Close() error { return t.close() }

// Open brings a tree to this machine, unless it is there: then nobody is asked
// for it. The caller closes it.
func (c *Cache) Open(ctx context.Context, reference string) (*Tree, error) {
	ref, err := name.NewDigest(reference)
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "%q names no working tree", reference)
	}
	dir := filepath.Join(c.Dir, strings.ReplaceAll(ref.DigestStr(), ":", "-"))
	lock, err := c.use(ctx, dir)
	if err != nil {
		return nil, fault.Wrap(fault.Environment, err, "lock the working tree")
	}
	t := &Tree{Dir: dir, close: sync.OnceValue(func() error {
		return errors.Join(c.touch(lock.Path()), lock.Close())
	})}
	// Only now, when it cannot go any more, does it count whether it is there.
	if _, err := os.Stat(dir); err == nil {
		return t, nil
	}
	if err := fetch(ctx, ref, dir, c.Keys); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// use takes a tree's lock together with all others who use it.
func (c *Cache) use(ctx context.Context, dir string) (*flock.Flock, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	free, err := c.guard(ctx)
	if err != nil {
		return nil, err
	}
	defer free()
	lock := flock.New(dir + lockEnd)
	ok, err := lock.TryRLock()
	if err == nil && !ok { // who removes trees holds the guard meanwhile
		err = errors.New("something else than wfctl locked " + lock.Path())
	}
	if err == nil {
		err = c.touch(lock.Path())
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// guard takes the lock under which the locks of trees are taken, made and
// removed: without it, one could be taken of a file that another process
// removes, and lock nobody out.
func (c *Cache) guard(ctx context.Context) (free func(), err error) {
	lock := flock.New(filepath.Join(c.Dir, "lock"))
	if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return func() { _ = lock.Close() }, nil
}

func (c *Cache) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c *Cache) touch(lock string) error {
	now := c.now()
	return os.Chtimes(lock, now, now)
}

// Sweep removes the trees that nobody uses and that nobody used for some time,
// and what processes that were killed left half done. It returns how many trees
// went. What is under way elsewhere is left alone, and so is every file that is
// not the cache's own.
func (c *Cache) Sweep(ctx context.Context, unused time.Duration) (int, error) {
	if _, err := os.Stat(c.Dir); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	trees, err := c.setAside(ctx, unused)
	if err = errors.Join(err, c.clear(ctx)); err != nil {
		err = fault.Wrap(fault.Environment, err, "remove working trees that nobody uses")
	}
	return trees, err
}

// setAside moves what may go out of everybody's way. That is quick; to remove it
// may take long, and needs no lock.
func (c *Cache) setAside(ctx context.Context, unused time.Duration) (trees int, err error) {
	free, err := c.guard(ctx)
	if err != nil {
		return 0, err
	}
	defer free()
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return 0, err
	}
	parts := map[string][]string{}
	for _, e := range entries {
		if tree, part, ok := split(e.Name()); ok {
			parts[tree] = append(parts[tree], part)
		}
	}
	var errs []error
	for tree, seen := range parts {
		gone, err := c.retire(filepath.Join(c.Dir, tree), seen, unused)
		if errs = append(errs, err); gone {
			trees++
		}
	}
	return trees, errors.Join(errs...)
}

// split tells what tree a name in the cache is of, and what of it: nothing for
// the tree itself.
func split(name string) (tree, part string, ok bool) {
	tree, part, found := strings.Cut(name, ".")
	digest, ok := strings.CutPrefix(tree, "sha256-")
	if ok = ok && len(digest) == 64 && strings.Trim(digest, "0123456789abcdef") == ""; !ok || !found {
		return tree, "", ok
	}
	part = "." + part
	return tree, part, part == lockEnd || strings.HasPrefix(part, fetchEnd)
}

// retire sets aside what may go of one tree: what was on its way when a process
// died, at once. The guard is held. What the folder was seen to hold of the tree
// may have changed until its lock was taken, but not after that.
func (c *Cache) retire(dir string, seen []string, unused time.Duration) (gone bool, err error) {
	lock := flock.New(dir + lockEnd)
	ok, err := lock.TryLock()
	if err != nil {
		return false, errors.Join(err, lock.Close())
	}
	if !ok { // it is used, and should its user die, it was used until now
		return false, c.touch(lock.Path())
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	for _, part := range seen {
		if strings.HasPrefix(part, fetchEnd) {
			if _, err := c.away(dir + part); err != nil {
				return false, err
			}
		}
	}
	if !slices.Contains(seen, lockEnd) { // when it was used, nobody can tell: now
		if err := c.touch(lock.Path()); err != nil {
			return false, err
		}
	}
	used, err := os.Stat(lock.Path())
	if err != nil {
		return false, err
	}
	if used.ModTime().After(c.now().Add(-unused)) {
		return false, nil
	}
	if gone, err = c.away(dir); err != nil {
		return false, err
	}
	if err := lock.Close(); err != nil { // Windows removes no open file
		return gone, err
	}
	return gone, os.Remove(lock.Path())
}

// away moves a folder to those that are removed, under a name that no other ever
// has, and tells whether it was there.
func (c *Cache) away(dir string) (bool, error) {
	gone := filepath.Join(c.Dir, goneDir)
	if err := os.MkdirAll(gone, 0o700); err != nil {
		return false, err
	}
	to := filepath.Join(gone, rand.Text())
	err := os.Rename(dir, to)
	if errors.Is(err, fs.ErrPermission) { // a step took the right to write from its tree
		err = errors.Join(os.Chmod(dir, 0o700), os.Rename(dir, to))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// clear removes what was set aside, by this process or by one that died at it.
// Links are removed and not followed.
func (c *Cache) clear(ctx context.Context) error {
	gone := filepath.Join(c.Dir, goneDir)
	entries, err := os.ReadDir(gone)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		if ctx.Err() != nil {
			return nil // the next one goes on
		}
		errs = append(errs, remove(filepath.Join(gone, e.Name())))
	}
	return errors.Join(errs...)
}

// remove removes a folder, also where folders in it are not to be written: a
// cache of Go's modules has such.
func remove(dir string) error {
	err := os.RemoveAll(dir)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // another process is at it too
			return nil
		}
		if d != nil && d.IsDir() && err == nil {
			return os.Chmod(p, 0o700) // before it is read
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(dir)
}
