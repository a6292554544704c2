// Package store keeps what was downloaded and verified, in one folder that all
// projects of a user share. Everything is named by its own SHA-256: an
// unpacked archive is the folder sha256/HASH, a small document (a list of
// checksums, a signature bundle) the file sha256/HASH.blob. Both appear by
// rename, complete and synced, or not at all: a crash or a full disk leaves
// only rubbish under tmp, which the next attempt clears away.
//
// It does not know what is trusted; package lock decides that.
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/gocodealone/wfctl/atomicfile"
	"github.com/gocodealone/wfctl/lock/archive"
)

// Store is a folder. Its methods may be called concurrently, also from several
// processes.
type Store struct {
	dir    string
	limits archive.Limits
	// writer wraps what downloads are written to; tests let it fail.
	writer func(io.Writer) io.Writer
}

// Open returns the store in dir, which is made when something is put there.
func Open(dir string) *Store {
	return &Store{dir: dir, limits: archive.DefaultLimits(), writer: func(w io.Writer) io.Writer { return w }}
}

// Dir is the store's folder.
func (s *Store) Dir() string { return s.dir }

// Tree is where the archive with this hash is, or would be, unpacked.
func (s *Store) Tree(hash string) string { return filepath.Join(s.dir, "sha256", hash) }

// Has tells whether the archive with this hash is unpacked.
func (s *Store) Has(hash string) bool {
	info, err := os.Stat(s.Tree(hash))
	return archive.IsSum(hash) && err == nil && info.IsDir()
}

func (s *Store) blob(hash string) string { return filepath.Join(s.dir, "sha256", hash+".blob") }

// DamagedError says that something in the store is not what it was.
type DamagedError struct {
	// Path is the damaged file, Remove what to delete to be rid of it.
	Path, Remove string
}

// Error names the file.
func (e *DamagedError) Error() string {
	return e.Path + " was changed after it was installed"
}

// Blob reads a document; one that is not there matches [fs.ErrNotExist].
func (s *Store) Blob(hash string) ([]byte, error) {
	data, err := os.ReadFile(s.blob(hash))
	if err != nil {
		return nil, err
	}
	if Sum(data) != hash {
		return nil, &DamagedError{Path: s.blob(hash), Remove: s.blob(hash)}
	}
	return data, nil
}

// Sum is the SHA-256 of data in hex.
func Sum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// PutBlob keeps a document and returns its hash.
func (s *Store) PutBlob(data []byte) (string, error) {
	hash := Sum(data)
	if _, err := s.Blob(hash); err == nil {
		return hash, nil
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "sha256"), 0o700); err != nil {
		return "", err
	}
	return hash, atomicfile.Write(s.blob(hash), data, 0o644)
}

// MismatchError says that a download is not what it should be.
type MismatchError struct {
	Name, Want, Got string
}

// Error names the file and both hashes.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s has the SHA-256 %s instead of %s", e.Name, e.Got, e.Want)
}

// Request is an archive to get.
type Request struct {
	// Hash is the archive's SHA-256, known before it is downloaded.
	Hash string
	// Name ends in the archive's kind: .tar.gz, .tgz or .zip.
	Name string
	// Limit bounds the download, in bytes.
	Limit int64
	// Open begins the download.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Executable is the file that is run; its hash, and that of the listing of
	// all files, where they are known. Only then is a tree that is installed
	// already good enough: nothing else tells that it is still what it was.
	Executable, ExecutableHash, ListingHash string
	// Check judges the unpacked files before they are installed.
	Check func(dir string, files []archive.File) error
}

// Staged is an archive that was downloaded, verified and unpacked, but is not
// installed yet. Exactly one of Install and Discard ends it.
type Staged struct {
	store  *Store
	hash   string
	unlock func()
	// there is true where it was installed before.
	there   bool
	listing []byte
}

// Lock waits until no other process works on this archive. The caller that
// takes several locks takes them in the order of their hashes.
func (s *Store) Lock(ctx context.Context, hash string) (unlock func(), err error) {
	if !archive.IsSum(hash) {
		return nil, fmt.Errorf("%q is not a SHA-256", hash)
	}
	dir := filepath.Join(s.dir, "locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return LockFile(ctx, filepath.Join(dir, hash))
}

// LockFile waits until no other process holds the file's lock, or until ctx
// ends.
func LockFile(ctx context.Context, path string) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	type taken struct {
		unlock func()
		err    error
	}
	got := make(chan taken, 1)
	go func() {
		unlock, err := lockedfile.MutexAt(path).Lock()
		got <- taken{unlock, err}
	}()
	select {
	case t := <-got:
		return t.unlock, t.err
	case <-ctx.Done():
		go func() { // the wait for a file lock cannot be broken off
			if t := <-got; t.err == nil {
				t.unlock()
			}
		}()
		return nil, ctx.Err()
	}
}

// Stage gets an archive, under a lock that the caller has taken with [Lock]
// and hands over as unlock. Where the archive is installed already nothing is
// downloaded, and Check judges what is there.
func (s *Store) Stage(ctx context.Context, r Request, unlock func()) (_ *Staged, err error) {
	staged := &Staged{store: s, hash: r.Hash, unlock: unlock}
	defer func() {
		if err != nil {
			staged.Discard()
		}
	}()
	staged.there = s.Has(r.Hash)
	if staged.there && r.ExecutableHash != "" {
		if err := s.Verify(ctx, r.Hash, r.Executable, r.ExecutableHash, r.ListingHash); err != nil {
			return nil, err
		}
		files, err := archive.List(ctx, s.Tree(r.Hash))
		if err == nil {
			err = r.Check(s.Tree(r.Hash), files)
		}
		return staged, err
	}
	s.sweep()
	tmp := s.tmp(r.Hash)
	if err := errors.Join(os.RemoveAll(tmp), os.MkdirAll(filepath.Join(tmp, "tree"), 0o755)); err != nil {
		return nil, err
	}
	file := filepath.Join(tmp, "archive")
	if err := s.download(ctx, r, file); err != nil {
		return nil, err
	}
	files, err := archive.Extract(ctx, file, r.Name, filepath.Join(tmp, "tree"), s.limits)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file); err != nil {
		return nil, err
	}
	staged.listing = archive.Listing(files)
	return staged, r.Check(filepath.Join(tmp, "tree"), files)
}

func (s *Store) tmp(hash string) string { return filepath.Join(s.dir, "tmp", hash) }

// download writes the archive to a file and compares its hash.
func (s *Store) download(ctx context.Context, r Request, to string) error {
	body, err := r.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(s.writer(f), sum), io.LimitReader(body, r.Limit+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("download %s: %w", r.Name, err)
	}
	if n > r.Limit {
		return fmt.Errorf("download %s: it has more than %d bytes", r.Name, r.Limit)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != r.Hash {
		return &MismatchError{Name: r.Name, Want: r.Hash, Got: got}
	}
	return nil
}

// sweep removes what crashed attempts left a day ago or earlier. A younger
// leftover goes when its own archive is tried again.
func (s *Store) sweep() {
	entries, err := os.ReadDir(filepath.Join(s.dir, "tmp"))
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.RemoveAll(filepath.Join(s.dir, "tmp", e.Name()))
		}
	}
}

// Install makes the archive appear in the store. One that is there already
// must be the same.
func (t *Staged) Install(ctx context.Context) error {
	defer t.Discard()
	if t.there {
		if t.listing == nil {
			return nil
		}
		return t.compare(ctx)
	}
	if _, err := t.store.PutBlob(t.listing); err != nil {
		return err
	}
	return atomicfile.Rename(filepath.Join(t.store.tmp(t.hash), "tree"), t.store.Tree(t.hash))
}

// compare checks what is installed against what was just unpacked.
func (t *Staged) compare(ctx context.Context) error {
	hash, err := t.store.PutBlob(t.listing)
	if err != nil {
		return err
	}
	tree := t.store.Tree(t.hash)
	files, err := archive.List(ctx, tree)
	if err == nil && Sum(archive.Listing(files)) != hash {
		err = &DamagedError{Path: filepath.Join(tree, t.store.differs(hash, string(archive.Listing(files)))), Remove: tree}
	}
	return err
}

// Discard clears up and gives the lock back; after Install it does nothing.
func (t *Staged) Discard() {
	if t.unlock == nil {
		return
	}
	_ = os.RemoveAll(t.store.tmp(t.hash))
	t.unlock()
	t.unlock = nil
}

// Verify compares an installed tree with its hashes and names the file that
// differs. The hash of the listing may be empty, where a lockfile lacks it.
func (s *Store) Verify(ctx context.Context, hash, executable, executableHash, listingHash string) error {
	tree := s.Tree(hash)
	damaged := func(name string) error { return &DamagedError{Path: filepath.Join(tree, name), Remove: tree} }
	files, err := archive.List(ctx, tree)
	if err != nil {
		return err
	}
	sums := map[string]string{}
	for _, f := range files {
		sums[f.Name] = f.SHA256
	}
	if sums[executable] != executableHash {
		return damaged(executable)
	}
	listing := archive.Listing(files)
	if listingHash == "" || Sum(listing) == listingHash {
		return nil
	}
	return damaged(s.differs(listingHash, string(listing)))
}

// differs names a file that the kept listing and the present one disagree on.
func (s *Store) differs(listingHash, now string) string {
	kept, err := s.Blob(listingHash)
	if err != nil {
		return "" // the tree as a whole
	}
	present := strings.Split(now, "\n")
	for _, line := range append(strings.Split(string(kept), "\n"), present...) {
		if line != "" && (!slices.Contains(present, line) || !strings.Contains(string(kept), line+"\n")) {
			_, name, _ := strings.Cut(line, "  ")
			return filepath.FromSlash(name)
		}
	}
	return ""
}

// IsFull tells whether an error is of a disk without room.
func IsFull(err error) bool { return isFull(err) }
