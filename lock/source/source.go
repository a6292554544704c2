// Package source says what a place is that plugins are published at, and holds
// what the places have in common: the HTTP client that retries and the errors.
// The places themselves are its sub-packages: file, https, github, oci. None of
// them judges what it delivers; package lock compares hashes and signatures.
package source

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
)

// ErrNotFound is what an error matches when a version or file is not there.
var ErrNotFound = fs.ErrNotExist

// Source is where the versions of one plugin are published.
type Source interface {
	// Versions lists the versions there are to choose from, in any order.
	// Drafts and what the place marks as not for general use are left out.
	Versions(ctx context.Context) ([]string, error)
	// Release finds one version.
	Release(ctx context.Context, version string) (*Release, error)
	// Open reads a file of a version. Where the caller knows its SHA-256, a
	// place that addresses by content may use it.
	Open(ctx context.Context, version, name, sha256 string) (io.ReadCloser, error)
	// URL is where a file is, for the record; it needs no I/O.
	URL(version, name string) string
}

// Release is a published version.
type Release struct {
	Version string
	// Names are its files; Listed is false where the place cannot tell.
	Names  []string
	Listed bool
}

// Attester is a Source that keeps attestations of its files by their SHA-256.
type Attester interface {
	// Attestations returns Sigstore bundles as JSON; none is no error.
	Attestations(ctx context.Context, sha256 string) ([][]byte, error)
}

// Config is what every place needs.
type Config struct {
	Client *http.Client
	// Token authenticates where it is not empty. TokenEnv names the variable
	// that it came from, or would come from, for errors.
	Token, TokenEnv string
	// BaseDir is what relative folders are relative to.
	BaseDir string
}

// Error is a failure of a place.
type Error struct {
	// Doing says what was attempted.
	Doing string
	// Status is the HTTP status, 0 where there was no answer.
	Status int
	Hint   string
	Err    error
}

// Error says what failed.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Doing
	}
	return e.Doing + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes the statuses of what is missing match [ErrNotFound].
func (e *Error) Is(target error) bool {
	return target == ErrNotFound && (e.Status == http.StatusNotFound || e.Status == http.StatusGone)
}

// NotFound makes an error that matches [ErrNotFound].
func NotFound(format string, args ...any) error {
	return &Error{Doing: fmt.Sprintf(format, args...), Status: http.StatusNotFound}
}
