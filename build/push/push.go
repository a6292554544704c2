// Package push brings an image to several registries at once: blobs to all,
// then manifests to all, and tags last, when every registry that must have the
// image has it. What a registry has already is not sent again, blobs are
// streamed, and a registry that stumbles is asked again. It builds nothing and
// keeps no credential.
package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/gocodealone/wfctl/fault"
)

// Pusher pushes images. Pushes of one pusher that run side by side share what
// they send: a layer of two images goes to a registry once.
type Pusher struct {
	// Transport carries the requests; nil is the default one.
	Transport http.RoundTripper
	// Sleep waits between attempts; nil waits for real.
	Sleep func(ctx context.Context, d time.Duration) error

	flights flights
}

// Target is one registry that an image goes to.
type Target struct {
	// Registry is its name in wfctl.yaml.
	Registry string
	// Repository is where the image goes: host/namespace/name.
	Repository string
	// Optional: the push does not fail because of it.
	Optional bool
	// Siblings are repositories of the same registry that may have blobs of
	// the image already.
	Siblings []string
	// Access is shown to the registry.
	Access Access
}

// Job is one image to push.
type Job struct {
	Content *Content
	// Referrers are images whose `subject` is the image: its SBOM, provenance
	// and signature.
	Referrers []v1.Image
	Targets   []Target
	Tags      []string
	// Progress is called by several goroutines at once; nil tells nobody.
	Progress func(Progress)
}

// Progress is how far one blob is on its way to one registry.
type Progress struct {
	Registry, Digest string
	// Sent and Size are bytes; a blob that is there already, or was mounted
	// from elsewhere in the registry, is told once with How.
	Sent, Size int64
	How        How
}

// How a blob came to be in a registry.
type How string

// The ways.
const (
	Sending How = "sending"
	Sent    How = "sent"
	Mounted How = "mounted"
	Present How = "present"
)

// Receipt is what one registry has after a push. Bytes are of blobs.
type Receipt struct {
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	// Digest is empty where an optional registry failed; Failure says why.
	Digest  string   `json:"digest,omitempty"`
	Tags    []string `json:"tags,omitempty"`
	Sent    int64    `json:"bytes_sent"`
	Mounted int64    `json:"bytes_mounted"`
	Present int64    `json:"bytes_present"`
	Failure string   `json:"failure,omitempty"`
}

// Reference names the image in a registry by its digest.
func (r Receipt) Reference() string { return r.Repository + "@" + r.Digest }

// delivery is the push to one target.
type delivery struct {
	*job
	target  Target
	client  *client
	receipt Receipt
	mu      sync.Mutex
	failed  error
}

// job is a push that is under way.
type job struct {
	Job
	pusher    *Pusher
	blobs     []Blob
	manifests []Manifest
	referrers []Manifest
}

// Push pushes an image and returns a receipt for each target, in their order.
// On an error the receipts say how far each came; no tag was set.
func (p *Pusher) Push(ctx context.Context, j Job) ([]Receipt, error) {
	if len(j.Targets) == 0 {
		return nil, fault.New(fault.Internal, "an image is pushed to no registry")
	}
	if j.Progress == nil {
		j.Progress = func(Progress) {}
	}
	work := &job{Job: j, pusher: p}
	if err := work.open(ctx); err != nil {
		return nil, err
	}
	all := make([]*delivery, len(j.Targets))
	for i, t := range j.Targets {
		all[i] = &delivery{job: work, target: t, receipt: Receipt{Registry: t.Registry, Repository: t.Repository}}
	}
	var err error
	for _, phase := range []func(*delivery, context.Context) error{(*delivery).connect, (*delivery).sendBlobs, (*delivery).putManifests, (*delivery).putTags} {
		if err = everywhere(ctx, all, phase); err != nil {
			break
		}
	}
	receipts := make([]Receipt, len(all))
	for i, d := range all {
		receipts[i] = d.receipt
		if d.failed != nil {
			receipts[i].Digest, receipts[i].Failure = "", d.failed.Error()
		}
	}
	return receipts, err
}

// everywhere does one phase at all targets that have not failed. It fails
// where one that is not optional does; the others are stopped then.
func everywhere(ctx context.Context, all []*delivery, phase func(*delivery, context.Context) error) error {
	group, inner := errgroup.WithContext(ctx)
	for _, d := range all {
		if d.failed != nil {
			continue
		}
		group.Go(func() error {
			err := phase(d, inner)
			if err != nil && d.target.Optional && inner.Err() == nil {
				d.failed = err
				return nil
			}
			return err
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return fault.Wrap(fault.Interrupted, ctx.Err(), "push the image")
	}
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(d *delivery) bool { return d.failed == nil }) {
		return allFailed(all)
	}
	return nil
}

// allFailed: where every registry is optional, one has to have the image.
func allFailed(all []*delivery) error {
	errs := make([]error, len(all))
	for i, d := range all {
		errs[i] = d.failed
	}
	return fault.Wrap(fault.Environment, errors.Join(errs...), "no registry took the image")
}

// open finds out what an image is made of.
func (j *job) open(ctx context.Context) error {
	var err error
	if j.blobs, j.manifests, err = j.Content.parts(ctx); err != nil {
		return err
	}
	for _, r := range j.Referrers {
		blobs, m, err := imageParts(r)
		if err != nil {
			return fault.Wrap(fault.Internal, err, "read an attachment of the image")
		}
		j.blobs, j.referrers = append(j.blobs, blobs...), append(j.referrers, m)
	}
	seen := map[v1.Hash]bool{}
	j.blobs = slices.DeleteFunc(j.blobs, func(b Blob) bool {
		was := seen[b.Digest]
		seen[b.Digest] = true
		return was
	})
	return nil
}

func (d *delivery) connect(ctx context.Context) (err error) {
	d.client, err = d.pusher.connect(ctx, d.target)
	return err
}

// blobsAtOnce bounds the blobs that go to one registry side by side.
const blobsAtOnce = 4

// sendBlobs brings all blobs to the registry, but where it has the whole image.
func (d *delivery) sendBlobs(ctx context.Context) error {
	whole, err := d.has(ctx)
	if err != nil {
		return err
	}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(blobsAtOnce)
	for _, b := range d.blobs {
		if whole[b.Digest] {
			d.account(b, Present)
			continue
		}
		group.Go(func() error { return d.sendBlob(inner, b) })
	}
	return group.Wait()
}

// has lists the blobs that are there for certain: a registry takes a manifest
// only when it has what the manifest names.
func (d *delivery) has(ctx context.Context) (map[v1.Hash]bool, error) {
	there := map[v1.Hash]bool{}
	top := d.manifests[len(d.manifests)-1]
	found, err := d.client.hasManifest(ctx, top.Digest.String())
	if err != nil || !found {
		return there, err
	}
	for _, m := range d.manifests {
		for _, h := range m.names {
			there[h] = true
		}
	}
	return there, nil
}

func (d *delivery) account(b Blob, how How) {
	d.mu.Lock()
	switch how {
	case Mounted:
		d.receipt.Mounted += b.Size
	case Present:
		d.receipt.Present += b.Size
	}
	d.mu.Unlock()
	d.Progress(Progress{Registry: d.target.Registry, Digest: b.Digest.String(), Sent: b.Size, Size: b.Size, How: how})
}

// putManifests puts what an index names before the index, and what refers to
// the image behind it.
func (d *delivery) putManifests(ctx context.Context) error {
	for _, m := range d.manifests {
		if err := d.client.putManifest(ctx, m, m.Digest.String()); err != nil {
			return err
		}
	}
	d.receipt.Digest = d.manifests[len(d.manifests)-1].Digest.String()
	for _, m := range d.referrers {
		if err := d.client.putReferrer(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (d *delivery) putTags(ctx context.Context) error {
	for _, tag := range d.Tags {
		if err := d.client.putTag(ctx, d.manifests[len(d.manifests)-1], tag); err != nil {
			return err
		}
		d.receipt.Tags = append(d.receipt.Tags, tag)
	}
	return nil
}

// Holds tells whether a registry has an image, and which of its tags is the
// first that leads to another one by now, or nowhere; "" for none.
func (p *Pusher) Holds(ctx context.Context, t Target, digest string, tags ...string) (held bool, astray string, err error) {
	c, err := p.connect(ctx, t)
	if err != nil {
		return false, "", err
	}
	if held, err = c.hasManifest(ctx, digest); err != nil || !held {
		return held, "", err
	}
	astray, err = c.astray(ctx, digest, tags)
	return true, astray, err
}

func (c *client) astray(ctx context.Context, digest string, tags []string) (string, error) {
	for _, tag := range tags {
		a, err := c.do(ctx, "look for the tag "+tag, http.MethodHead, c.url("manifests/%s", tag), accepted, nil, http.StatusOK)
		if err != nil {
			return "", err
		}
		// A registry need not say which image it is: then it is the right one.
		if found := a.header.Get("Docker-Content-Digest"); a.status == http.StatusNotFound || found != "" && found != digest {
			return tag, nil
		}
	}
	return "", nil
}

// Summary is a receipt in a line.
func (r Receipt) Summary() string {
	if r.Failure != "" {
		return fmt.Sprintf("%s: %s", r.Registry, r.Failure)
	}
	return fmt.Sprintf("%s: %s, %d bytes sent, %d mounted, %d there already", r.Registry, r.Reference(), r.Sent, r.Mounted, r.Present)
}
