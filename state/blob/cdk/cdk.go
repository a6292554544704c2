// Package cdk makes a bucket of the state out of one of gocloud.dev: it maps
// errors and keeps each object a single request. It knows no vendor.
package cdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
	stateblob "github.com/gocodealone/wfctl/state/blob"
)

// requestTimeout bounds one request, so that a connection that hangs is found
// out before the lease runs out.
const requestTimeout = 20 * time.Second

// Bucket wraps b. name says to a person which bucket it is; minPart is the
// smallest part that the vendor allows of an upload.
func Bucket(b *blob.Bucket, name string, minPart int) stateblob.Bucket {
	return &bucket{b, name, minPart}
}

type bucket struct {
	*blob.Bucket
	name    string
	minPart int
}

// Create implements blob.Bucket.
func (b *bucket) Create(ctx context.Context, key string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	// Upload, not WriteAll: gocloud.dev v0.47 panics in the pipe of the latter
	// when Azure answers before it has read everything.
	err := b.Upload(ctx, key, bytes.NewReader(data), &blob.WriterOptions{
		ContentType: "application/octet-stream", IfNotExist: true, MaxConcurrency: 1,
		// One part: the condition holds for the object as a whole.
		BufferSize: max(b.minPart, len(data)+1),
	})
	if err != nil && ctx.Err() == nil && gcerrors.Code(err) == gcerrors.FailedPrecondition {
		return stateblob.ErrExists
	}
	return b.explain(err)
}

// Get implements blob.Bucket.
func (b *bucket) Get(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	data, err := b.ReadAll(ctx, key)
	if gcerrors.Code(err) == gcerrors.NotFound && !noBucket(err) {
		return nil, stateblob.ErrNotFound
	}
	return data, b.explain(err)
}

// List implements blob.Bucket.
func (b *bucket) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		list := b.Bucket.List(&blob.ListOptions{Prefix: prefix, Delimiter: "/"})
		for {
			obj, err := list.Next(ctx)
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield("", b.explain(err))
				return
			case obj.IsDir:
				continue
			}
			if !yield(strings.TrimPrefix(obj.Key, prefix), nil) {
				return
			}
		}
	}
}

// Delete implements blob.Bucket.
func (b *bucket) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := b.Bucket.Delete(ctx, key)
	if gcerrors.Code(err) == gcerrors.NotFound && !noBucket(err) {
		return nil
	}
	return b.explain(err)
}

// noBucket tells a bucket that is missing from an object that is: vendors
// answer 404 for both, each with words of its own.
func noBucket(err error) bool {
	return says(err, "NoSuchBucket", "ContainerNotFound", "bucket does not exist", "specified bucket", "no such host")
}

// denied tells refused credentials, for which gocloud.dev has a code only
// where the vendor uses one certain word.
func denied(err error) bool {
	return gcerrors.Code(err) == gcerrors.PermissionDenied ||
		says(err, "StatusCode: 403", "StatusCode: 401", "SignatureDoesNotMatch", "InvalidAccessKeyId", "AuthorizationFailure", "RESPONSE 403", "RESPONSE 401", "Error 403", "Error 401")
}

func says(err error, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(err.Error(), w) })
}

// explain says what to do about the errors that users meet.
func (b *bucket) explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	code := gcerrors.Code(err)
	switch {
	case code == gcerrors.NotFound:
		return fault.Wrap(fault.State, err, "the state's %s does not exist", b.name).
			WithHint("create it, or run `wfctl infra bootstrap`; check its name and region in the module iac.state")
	case denied(err):
		return fault.Wrap(fault.State, err, "access to the state's %s is denied", b.name).
			WithHint("check the credentials in the environment; reading, writing, listing and deleting objects must be allowed")
	case code == gcerrors.InvalidArgument, code == gcerrors.Unimplemented:
		return fault.Wrap(fault.State, err, "the state's %s refuses the request", b.name).
			WithHint("check the options of the module iac.state")
	}
	return fault.Wrap(fault.State, fmt.Errorf("%w: %w", state.ErrUnavailable, err), "the state's %s does not answer", b.name).
		WithHint("what was recorded before is intact; check the network, the endpoint and the credentials, then run this again")
}
