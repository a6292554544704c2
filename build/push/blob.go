package push

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
)

// sendBlob brings one blob to the registry, unless it is there, can be mounted
// from beside, or is just being sent there by another push of this process.
func (d *delivery) sendBlob(ctx context.Context, b Blob) error {
	there, err := d.client.hasBlob(ctx, d.client.repo, b)
	if err != nil {
		return err
	}
	if there {
		d.account(b, Present)
		return nil
	}
	f := d.pusher.flights.board(d.client.repo.RegistryStr(), b.Digest.String())
	if err := f.wait(ctx); err != nil {
		return err
	}
	defer f.leave()
	if location, err := d.mount(ctx, b, f.landed()); err != nil || location == "" {
		return err
	} else if err = d.upload(ctx, b, location); err != nil {
		return err
	}
	f.land(d.client.repo.String())
	return nil
}

func (c *client) hasBlob(ctx context.Context, repo name.Repository, b Blob) (bool, error) {
	address := fmt.Sprintf("%s://%s/v2/%s/blobs/%s", repo.Scheme(), repo.RegistryStr(), repo.RepositoryStr(), b.Digest)
	a, err := c.do(ctx, "look for a layer", http.MethodHead, address, nil, nil, http.StatusOK)
	return err == nil && a.status == http.StatusOK, err
}

// mount begins an upload and returns where it goes on; "" where the registry
// took the blob from another of its repositories instead. Only one that has
// it is named: asking for a mount that fails begins an upload for nothing.
func (d *delivery) mount(ctx context.Context, b Blob, landed string) (location string, err error) {
	siblings := d.target.Siblings
	if landed != "" {
		siblings = append([]string{landed}, siblings...)
	}
	for _, s := range siblings {
		from, err := name.NewRepository(s)
		if err != nil || from.RegistryStr() != d.client.repo.RegistryStr() || from.RepositoryStr() == d.client.repo.RepositoryStr() {
			continue
		}
		if there, err := d.client.hasBlob(ctx, from, b); err != nil || !there {
			continue // one that may not be read cannot be mounted from
		}
		query := url.Values{"mount": {b.Digest.String()}, "from": {from.RepositoryStr()}}
		location, done, err := d.client.begin(ctx, "?"+query.Encode())
		if err != nil {
			return "", err
		}
		if done {
			d.account(b, Mounted)
			return "", nil
		}
		return location, nil
	}
	location, _, err = d.client.begin(ctx, "")
	return location, err
}

// begin begins an upload; done says that the registry had the blob elsewhere.
func (c *client) begin(ctx context.Context, query string) (location string, done bool, err error) {
	a, err := c.do(ctx, "take a layer", http.MethodPost, c.url("blobs/uploads/%s", query), nil, []byte{}, http.StatusAccepted, http.StatusCreated)
	if err != nil {
		return "", false, err
	}
	if a.status == http.StatusNotFound {
		return "", false, c.explain(ctx, "take a layer", &refused{a.status, words(a.body)})
	}
	location, err = a.location()
	return location, a.status == http.StatusCreated, err
}

// location is where an upload goes on, absolute.
func (a *answer) location() (string, error) {
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		return "", &refused{a.status, "the registry gave no place for the upload"}
	}
	return a.url.URL.ResolveReference(u).String(), nil
}

// upload streams a blob. Where the connection breaks, the registry is asked how
// much it has, and the rest is sent; one that cannot say gets it anew.
func (d *delivery) upload(ctx context.Context, b Blob, location string) error {
	var offset int64
	for again := range d.client.patiently(ctx, attempts) {
		next, err := d.stream(ctx, b, location, offset)
		if err == nil {
			err = d.client.commit(ctx, next, b)
		}
		if err == nil {
			d.account(b, Sent)
			return nil
		}
		if !again(err) {
			return d.client.explain(ctx, "take a layer", err)
		}
		var done bool
		if location, offset, done, err = d.client.resume(ctx, location, b); err != nil {
			return err
		}
		if done {
			d.account(b, Sent)
			return nil
		}
	}
	return ctx.Err()
}

// stream sends what follows offset in one request.
func (d *delivery) stream(ctx context.Context, b Blob, location string, offset int64) (next string, err error) {
	if offset == b.Size {
		return location, nil
	}
	body, err := b.open(ctx, offset)
	if err != nil {
		return "", err
	}
	r := &watchedReader{ReadCloser: body, delivery: d, blob: b, at: offset}
	defer func() {
		d.mu.Lock()
		d.receipt.Sent += r.sent.Load()
		d.mu.Unlock()
	}()
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	if offset > 0 {
		header.Set("Content-Range", fmt.Sprintf("%d-%d", offset, b.Size-1))
	}
	a, err := d.client.once(ctx, http.MethodPatch, location, header, r, b.Size-offset, http.StatusAccepted, http.StatusNoContent, http.StatusCreated)
	if err != nil {
		return "", err
	}
	if a.status == http.StatusNotFound { // the upload is gone: it begins anew
		return "", &busy{err: &refused{a.status, "the registry has forgotten the upload"}}
	}
	return a.location()
}

// watchedReader tells how far a blob is.
type watchedReader struct {
	io.ReadCloser
	delivery *delivery
	blob     Blob
	at       int64
	told     int64
	sent     atomic.Int64
}

// tellEvery is how many bytes go out between two words about them.
const tellEvery = 1 << 20

// Read implements io.Reader.
func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.sent.Add(int64(n))
	r.at += int64(n)
	if r.at-r.told >= tellEvery {
		r.told = r.at
		r.delivery.Progress(Progress{Registry: r.delivery.target.Registry, Digest: r.blob.Digest.String(), Sent: r.at, Size: r.blob.Size, How: Sending})
	}
	return n, err
}

// commit ends an upload.
func (c *client) commit(ctx context.Context, location string, b Blob) error {
	u, err := url.Parse(location)
	if err != nil {
		return err
	}
	query := u.Query()
	query.Set("digest", b.Digest.String())
	u.RawQuery = query.Encode()
	a, err := c.once(ctx, http.MethodPut, u.String(), nil, strings.NewReader(""), 0, http.StatusCreated, http.StatusNoContent, http.StatusAccepted)
	if err == nil && a.status == http.StatusNotFound {
		err = &busy{err: &refused{a.status, "the registry has forgotten the upload"}}
	}
	return err
}

// resume asks how much of a blob arrived; a registry that cannot say begins
// anew. The blob may even be there whole: only the answer was lost.
func (c *client) resume(ctx context.Context, location string, b Blob) (next string, offset int64, done bool, err error) {
	if done, err = c.hasBlob(ctx, c.repo, b); err != nil || done {
		return "", 0, done, err
	}
	a, err := c.once(ctx, http.MethodGet, location, nil, nil, 0, http.StatusNoContent)
	if ctx.Err() != nil {
		return "", 0, false, ctx.Err()
	}
	if err == nil && a.status == http.StatusNoContent {
		if arrived := a.arrived(); arrived > 0 && arrived <= b.Size {
			if a.header.Get("Location") != "" {
				location, err = a.location()
			}
			return location, arrived, false, err
		}
	}
	location, done, err = c.begin(ctx, "")
	return location, 0, done, err
}

// arrived is how many bytes of an upload a registry says that it has.
func (a *answer) arrived() int64 {
	var from, to int64
	n, err := fmt.Sscanf(strings.TrimPrefix(a.header.Get("Range"), "bytes="), "%d-%d", &from, &to)
	if err != nil || n != 2 || from != 0 || to == 0 { // 0-0 is said of nothing and of one byte
		return 0
	}
	return to + 1
}
