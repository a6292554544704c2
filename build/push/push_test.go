package push_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/build/push"
	"github.com/gocodealone/wfctl/build/push/pushtest"
	"github.com/gocodealone/wfctl/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// access is a user and a password, or nobody's.
type access struct {
	user, password string
	dropped        *int
}

func (a access) Authenticator(bool) authn.Authenticator {
	if a.user == "" {
		return authn.Anonymous
	}
	return authn.FromConfig(authn.AuthConfig{Username: a.user, Password: a.password})
}

func (a access) Source(context.Context) (user, source string) {
	if a.user == "" {
		return "", ""
	}
	return a.user, "the variable TOKEN"
}

func (a access) Drop() {
	if a.dropped != nil {
		*a.dropped++
	}
}

// pusher does not wait.
func pusher() *push.Pusher {
	p := &push.Pusher{Transport: http.DefaultTransport.(*http.Transport).Clone(), Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
	return p
}

func done(t testing.TB, p *push.Pusher) {
	t.Cleanup(p.Transport.(*http.Transport).CloseIdleConnections)
}

// image writes an index of two platforms that share a layer into a layout.
func image(t testing.TB, layers ...v1.Layer) *push.Content {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i, arch := range []string{"amd64", "arm64"} {
		own := static.NewLayer([]byte(fmt.Sprintf("program for %s %d", arch, i)), types.OCILayer)
		img, err := mutate.AppendLayers(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1), append(layers[:len(layers):len(layers)], own)...)
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	dir := t.TempDir()
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendIndex(index); err != nil {
		t.Fatal(err)
	}
	h, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return &push.Content{Digest: h, Sources: []push.Source{push.Layout(dir)}}
}

func layer(t testing.TB, size int64) v1.Layer {
	t.Helper()
	l, err := random.Layer(size, types.OCILayer)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func size(t testing.TB, l v1.Layer) int64 {
	t.Helper()
	n, err := l.Size()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func target(r *pushtest.Registry, name string) push.Target {
	return push.Target{Registry: name, Repository: r.Host + "/acme/app", Access: access{user: r.User, password: r.Password}}
}

func TestOneImageToTwoRegistries(t *testing.T) {
	one := pushtest.Start(t, &pushtest.Registry{User: "u", Password: "p"})
	two := pushtest.Start(t, &pushtest.Registry{User: "v", Password: "q"})
	p := pusher()
	done(t, p)
	big := layer(t, 200_000)
	job := push.Job{Content: image(t, big), Targets: []push.Target{target(one, "one"), target(two, "two")}, Tags: []string{"v1", "latest"}}
	receipts, err := p.Push(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range []*pushtest.Registry{one, two} {
		if err := r.Whole(); err != nil {
			t.Error(err)
		}
		got := receipts[i]
		if got.Digest != job.Content.Digest.String() || got.Repository != r.Host+"/acme/app" || len(got.Tags) != 2 || got.Mounted != 0 {
			t.Errorf("receipt %+v", got)
		}
		if d := r.Digest("acme/app", "latest"); d != job.Content.Digest.String() {
			t.Errorf("latest is %s", d)
		}
		if n := r.Received(); n != got.Sent || n < size(t, big) || n > size(t, big)+10_000 {
			t.Errorf("%d bytes came in, the receipt says %d, the layer has %d", n, got.Sent, size(t, big))
		}
	}
	// Once more sends nothing, and asks little.
	receipts, err = p.Push(t.Context(), job)
	if err != nil || one.Received()+two.Received() != 0 || receipts[0].Sent != 0 || receipts[0].Present < size(t, big) {
		t.Errorf("again: %+v, %v", receipts, err)
	}
	// Where a layer more is all that is new, it alone is sent.
	small := layer(t, 1000)
	job.Content = image(t, big, small)
	if _, err := p.Push(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if n := one.Received(); n < size(t, small) || n > size(t, small)+10_000 {
		t.Errorf("a change of %d bytes sent %d", size(t, small), n)
	}
	if d := one.Digest("acme/app", "v1"); d != job.Content.Digest.String() {
		t.Errorf("v1 is still %s", d)
	}
}

func TestLayersOfOtherRepositoriesAreMounted(t *testing.T) {
	r := pushtest.Start(t, &pushtest.Registry{})
	p := pusher()
	done(t, p)
	big := layer(t, 100_000)
	first, second := target(r, "r"), target(r, "r")
	second.Repository, second.Siblings = r.Host+"/acme/other", []string{r.Host + "/acme/app", "elsewhere.example/acme/app"}
	if _, err := p.Push(t.Context(), push.Job{Content: image(t, big), Targets: []push.Target{first}}); err != nil {
		t.Fatal(err)
	}
	r.Received()
	receipts, err := p.Push(t.Context(), push.Job{Content: image(t, big, layer(t, 500)), Targets: []push.Target{second}, Tags: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Received(); n > 20_000 || receipts[0].Mounted < size(t, big) || n != receipts[0].Sent {
		t.Errorf("sent %d, receipt %+v", n, receipts[0])
	}
	if err := r.Whole(); err != nil {
		t.Error(err)
	}
}

// Two images that are pushed side by side share a layer: it goes out once.
func TestSideBySideNothingIsSentTwice(t *testing.T) {
	r := pushtest.Start(t, &pushtest.Registry{})
	p := pusher()
	done(t, p)
	big := layer(t, 300_000)
	var wg sync.WaitGroup
	for i := range 4 {
		job := push.Job{Content: image(t, big, layer(t, 100+int64(i))), Targets: []push.Target{target(r, "r")}, Tags: []string{"x"}}
		job.Targets[0].Repository = fmt.Sprintf("%s/acme/app%d", r.Host, i)
		wg.Go(func() {
			if _, err := p.Push(t.Context(), job); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := r.Received(); n > size(t, big)+20_000 {
		t.Errorf("%d bytes for a shared layer of %d", n, size(t, big))
	}
	if err := r.Whole(); err != nil {
		t.Error(err)
	}
}

// status answers some requests with a status.
func status(code, times int, header http.Header, which func(*http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	var mu sync.Mutex
	return func(w http.ResponseWriter, q *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if times == 0 || !which(q) {
			return false
		}
		times--
		for k, v := range header {
			w.Header()[k] = v
		}
		w.WriteHeader(code)
		return true
	}
}

func method(m, part string) func(*http.Request) bool {
	return func(q *http.Request) bool { return q.Method == m && strings.Contains(q.URL.Path, part) }
}

// drop closes a connection in the middle of a body.
func drop(after int64, times int) func(http.ResponseWriter, *http.Request) bool {
	return func(_ http.ResponseWriter, q *http.Request) bool {
		if q.Method == http.MethodPatch && times > 0 && q.ContentLength > after {
			times--
			q.Body = io.NopCloser(io.MultiReader(io.LimitReader(q.Body, after), broken{}))
		}
		return false
	}
}

// broken is a body that never comes; it cuts the connection.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestARegistryThatStumbles(t *testing.T) {
	for name, before := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"429 to a layer":     status(429, 3, http.Header{"Retry-After": {"1"}}, method("PATCH", "/blobs/")),
		"500 to a manifest":  status(500, 2, nil, method("PUT", "/manifests/")),
		"503 to the ping":    status(503, 2, nil, func(q *http.Request) bool { return q.URL.Path == "/v2/" }),
		"502 to a begin":     status(502, 4, nil, method("POST", "/uploads/")),
		"504 to a commit":    status(504, 2, nil, method("PUT", "/uploads/")),
		"dropped connection": drop(1000, 1),
	} {
		t.Run(name, func(t *testing.T) {
			r := pushtest.Start(t, &pushtest.Registry{Before: before})
			p := pusher()
			done(t, p)
			job := push.Job{Content: image(t, layer(t, 50_000)), Targets: []push.Target{target(r, "r")}, Tags: []string{"x"}}
			if _, err := p.Push(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			if err := r.Whole(); err != nil {
				t.Error(err)
			}
			if r.Digest("acme/app", "x") != job.Content.Digest.String() {
				t.Error("the tag is not there")
			}
		})
	}
}

// cut breaks a connection after some bytes of a body have arrived.
func cut(r *pushtest.Registry, after int64, times int) {
	var mu sync.Mutex
	r.After = func(w http.ResponseWriter, q *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if q.Method != http.MethodPatch || q.Header.Get("X-Cut") == "" {
			return false
		}
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = c.Close()
		}
		return true
	}
	r.Before = func(_ http.ResponseWriter, q *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if q.Method == http.MethodPatch && q.ContentLength > after && times > 0 {
			times--
			q.Header.Set("X-Cut", "1")
			q.Body = io.NopCloser(io.LimitReader(q.Body, after))
		}
		return false
	}
}

func TestAnUploadGoesOnWhereItBroke(t *testing.T) {
	big := layer(t, 400_000)
	total := size(t, big)
	for _, forgets := range []bool{false, true} {
		r := pushtest.Start(t, &pushtest.Registry{NoResume: forgets})
		cut(r, total/2, 1)
		if forgets {
			after := r.After
			r.After = func(w http.ResponseWriter, q *http.Request) bool {
				if q.Method == http.MethodGet && strings.Contains(q.URL.Path, "/uploads/") {
					w.WriteHeader(http.StatusMethodNotAllowed)
					return true
				}
				return after(w, q)
			}
		}
		p := pusher()
		done(t, p)
		if _, err := p.Push(t.Context(), push.Job{Content: image(t, big), Targets: []push.Target{target(r, "r")}, Tags: []string{"x"}}); err != nil {
			t.Fatal(err)
		}
		got, want := r.Received(), total
		if forgets {
			want += total / 2
		}
		if got < want || got > want+10_000 {
			t.Errorf("forgetful %v: %d bytes came in, want about %d", forgets, got, want)
		}
		if err := r.Whole(); err != nil {
			t.Error(err)
		}
	}
}

func TestAllOrNothing(t *testing.T) {
	good := pushtest.Start(t, &pushtest.Registry{})
	bad := pushtest.Start(t, &pushtest.Registry{User: "u", Password: "p", ReadOnly: true})
	p := pusher()
	done(t, p)
	job := push.Job{Content: image(t, layer(t, 1000)), Targets: []push.Target{target(good, "good"), target(bad, "bad")}, Tags: []string{"x"}}
	if _, err := p.Push(t.Context(), job); err == nil {
		t.Fatal("a push that one registry refuses must fail")
	}
	if tags := append(good.Tags(), bad.Tags()...); len(tags) > 0 {
		t.Errorf("tags were set: %v", tags)
	}
	job.Targets[1].Optional = true
	receipts, err := p.Push(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if len(good.Tags()) != 1 || receipts[0].Digest == "" || receipts[1].Digest != "" || !strings.Contains(receipts[1].Failure, "denied") {
		t.Errorf("tags %v, receipts %+v", good.Tags(), receipts)
	}
	// The last registry to fail at manifests keeps the tags of all others back.
	late := pushtest.Start(t, &pushtest.Registry{Before: status(400, -1, nil, method("PUT", "/manifests/sha256:"))})
	fresh := pushtest.Start(t, &pushtest.Registry{})
	job.Targets = []push.Target{target(fresh, "fresh"), target(late, "late")}
	if _, err := p.Push(t.Context(), job); err == nil || len(fresh.Tags()) > 0 {
		t.Errorf("%v; tags %v", err, fresh.Tags())
	}
	// Where all are optional, one must have it.
	job.Targets = []push.Target{target(bad, "bad")}
	job.Targets[0].Optional = true
	if _, err := p.Push(t.Context(), job); err == nil || !strings.Contains(err.Error(), "no registry took the image") {
		t.Error(err)
	}
}

func TestWhoIsRefused(t *testing.T) {
	r := pushtest.Start(t, &pushtest.Registry{User: "u", Password: "corr3ct"})
	readOnly := pushtest.Start(t, &pushtest.Registry{User: "u", Password: "corr3ct", ReadOnly: true})
	p := pusher()
	done(t, p)
	for _, c := range []struct {
		r    *pushtest.Registry
		a    access
		want []string
	}{
		{r, access{user: "u", password: "b4d"}, []string{`registry "hub"`, `user "u"`, "the variable TOKEN", "401"}},
		{r, access{}, []string{`registry "hub"`, "without credentials", "wfctl registry login hub"}},
		{readOnly, access{user: "u", password: "corr3ct"}, []string{`registry "hub"`, `user "u"`, "the variable TOKEN", "403", "DENIED", "may not push to"}},
	} {
		tgt := target(c.r, "hub")
		tgt.Access = c.a
		_, err := p.Push(t.Context(), push.Job{Content: image(t, layer(t, 100)), Targets: []push.Target{tgt}, Tags: []string{"x"}})
		var f *fault.Error
		if !errors.As(err, &f) {
			t.Fatalf("got %v", err)
		}
		for _, want := range c.want {
			if !strings.Contains(f.Error()+" "+f.Hint, want) {
				t.Errorf("%s (%s)\nlacks %s", f.Error(), f.Hint, want)
			}
		}
		if strings.Contains(f.Error()+f.Hint, "corr3ct") || strings.Contains(f.Error()+f.Hint, "b4d") {
			t.Errorf("the password shows: %s", f)
		}
	}
}

// What was being pushed when a registry failed for good is taken up again.
func TestTakenUpAgain(t *testing.T) {
	r := pushtest.Start(t, &pushtest.Registry{Before: status(400, 1, nil, method("PUT", "/manifests/x"))})
	p := pusher()
	done(t, p)
	job := push.Job{Content: image(t, layer(t, 10_000)), Targets: []push.Target{target(r, "r")}, Tags: []string{"x"}}
	if _, err := p.Push(t.Context(), job); err == nil {
		t.Fatal("want an error")
	}
	r.Received()
	if _, err := p.Push(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if n := r.Received(); n != 0 {
		t.Errorf("%d bytes were sent again", n)
	}
}

func TestReferrers(t *testing.T) {
	for _, lists := range []bool{true, false} {
		r := pushtest.Start(t, &pushtest.Registry{Referrers: lists})
		p := pusher()
		done(t, p)
		content := image(t, layer(t, 100))
		var attached []v1.Image
		for _, text := range []string{"an SBOM", "a signature"} {
			img, err := mutate.AppendLayers(mutate.MediaType(mutate.ConfigMediaType(empty.Image, "application/vnd.example.thing"), types.OCIManifestSchema1), static.NewLayer([]byte(text), "text/plain"))
			if err != nil {
				t.Fatal(err)
			}
			attached = append(attached, mutate.Subject(img, v1.Descriptor{MediaType: types.OCIImageIndex, Digest: content.Digest, Size: 1}).(v1.Image))
		}
		job := push.Job{Content: content, Referrers: attached, Targets: []push.Target{target(r, "r")}, Tags: []string{"x"}}
		for range 2 {
			if _, err := p.Push(t.Context(), job); err != nil {
				t.Fatal(err)
			}
		}
		fallback := strings.Replace(content.Digest.String(), ":", "-", 1)
		res, err := http.Get(r.URL + "/v2/acme/app/manifests/" + fallback) //nolint:noctx // loopback
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if lists {
			if res.StatusCode != http.StatusNotFound {
				t.Error("a registry that lists referrers itself was given a list")
			}
			continue
		}
		index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
		if err != nil || len(index.Manifests) != 2 || index.Manifests[0].ArtifactType != "application/vnd.example.thing" {
			t.Errorf("the list of referrers: %s, %v", raw, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// An image that is gone from this machine can get a tag more, and go to
// another registry, from one that has it.
func TestFromAnotherRegistry(t *testing.T) {
	r := pushtest.Start(t, &pushtest.Registry{User: "u", Password: "p"})
	other := pushtest.Start(t, &pushtest.Registry{})
	p := pusher()
	done(t, p)
	job := push.Job{Content: image(t, layer(t, 5000)), Targets: []push.Target{target(r, "r")}, Tags: []string{"x"}}
	if _, err := p.Push(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	gone := push.Layout(filepath.Join(t.TempDir(), "gone"))
	job.Content = &push.Content{Digest: job.Content.Digest, Sources: []push.Source{gone, p.Source(target(r, "r"))}}
	job.Targets, job.Tags = append(job.Targets, target(other, "other")), []string{"x", "y"}
	r.Received()
	if _, err := p.Push(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if n := r.Received(); n != 0 || r.Digest("acme/app", "y") == "" || other.Digest("acme/app", "y") == "" {
		t.Errorf("%d bytes; tags %v %v", n, r.Tags(), other.Tags())
	}
	if err := other.Whole(); err != nil {
		t.Error(err)
	}
	job.Content.Sources = []push.Source{gone}
	if _, err := p.Push(t.Context(), job); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("an image that is nowhere: %v", err)
	}
	if held, _, err := p.Holds(t.Context(), target(r, "r"), job.Content.Digest.String()); !held || err != nil {
		t.Errorf("holds: %v, %v", held, err)
	}
}

// Layers are streamed: what a push holds in memory does not depend on their size.
func TestMemoryDoesNotGrowWithALayer(t *testing.T) {
	if testing.Short() {
		t.Skip("moves a hundred megabytes")
	}
	dir := t.TempDir()
	const large = 128 << 20
	f, err := os.Create(filepath.Join(dir, "blob"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(large); err != nil {
		t.Fatal(err)
	}
	peak := peakOf(t, f)
	if peak > 24<<20 {
		t.Errorf("pushing %d MiB took %d MiB of memory", large>>20, peak>>20)
	}
}

// Whatever goes wrong, and however often: no tag leads to nothing, and a push
// that says that it worked has worked.
func TestRandomFaults(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		faults := rapid.SliceOfN(rapid.IntRange(0, 12), 0, 60).Draw(rt, "faults")
		var mu sync.Mutex
		next := func() int {
			mu.Lock()
			defer mu.Unlock()
			if len(faults) == 0 {
				return 0
			}
			f := faults[0]
			faults = faults[1:]
			return f
		}
		r := &pushtest.Registry{NoResume: rapid.Bool().Draw(rt, "forgets")}
		hit := func(w http.ResponseWriter, f int) bool {
			switch f {
			case 1:
				w.WriteHeader(http.StatusTooManyRequests)
			case 2:
				w.WriteHeader(http.StatusInternalServerError)
			case 3:
				if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
					_ = c.Close()
				}
			default:
				return false
			}
			return true
		}
		r.Before = func(w http.ResponseWriter, _ *http.Request) bool { return hit(w, next()) }
		r.After = func(w http.ResponseWriter, _ *http.Request) bool { return hit(w, next()) }
		pushtest.Start(t, r)
		p := pusher()
		defer p.Transport.(*http.Transport).CloseIdleConnections()
		job := push.Job{Content: image(t, layer(t, 3000)), Targets: []push.Target{target(r, "r")}, Tags: []string{"x"}}
		_, err := p.Push(t.Context(), job)
		if whole := r.Whole(); whole != nil {
			rt.Error(whole)
		}
		if tagged := r.Digest("acme/app", "x") == job.Content.Digest.String(); err == nil && !tagged {
			rt.Error("the push says that it worked, and the tag is not there")
		}
	})
}
