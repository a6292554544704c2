package s3

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/state"
	"github.com/gocodealone/wfctl/state/blob"
)

// Make makes the bucket and says so; nothing where it is there. A store that
// is not Amazon's makes it wherever its endpoint is.
func Make(ctx context.Context, o Options) ([]string, error) {
	connected, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	err = exists(ctx, connected)
	if err == nil || !errors.Is(err, state.ErrNoStorage) {
		return nil, err
	}
	cfg, err := load(ctx, o)
	if err != nil {
		return nil, err
	}
	base, err := address(o, cfg)
	if err != nil {
		return nil, err
	}
	b := newBucket(o, cfg, base)
	body := []byte(nil)
	if o.Endpoint == "" && b.region != "us-east-1" {
		body = []byte(`<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>` + b.region + `</LocationConstraint></CreateBucketConfiguration>`)
	}
	req, err := b.request(ctx, http.MethodPut, "", nil, body)
	if err != nil {
		return nil, err
	}
	if _, err := b.send(ctx, req, body); err != nil {
		if strings.Contains(err.Error(), "BucketAlreadyOwnedByYou") {
			return nil, nil // another was faster
		}
		return nil, fault.Wrap(fault.State, err, "make the bucket %s", o.Bucket).
			WithHint("names of buckets are one space for all customers: choose another if this one is taken")
	}
	return []string{"bucket " + o.Bucket}, nil
}

// exists asks for a page of what is in a bucket.
func exists(ctx context.Context, b blob.Bucket) error {
	for _, err := range b.List(ctx, "") {
		return err
	}
	return nil
}
